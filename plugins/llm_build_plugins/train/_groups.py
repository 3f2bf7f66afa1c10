"""A model's parameters as torch's optimisers take them."""

from __future__ import annotations

from typing import Any

from torch import nn

from llm_build import TrainingError, parameter_groups

FUSED = frozenset({"cpu", "cuda", "mps"})


def torch_groups(model: nn.Module, *, lr: float, decay: float) -> list[dict[str, Any]]:
    """One torch group for each way that parameters ask to be treated, with its own "lr" and "weight_decay".

    Raises `TrainingError` where nothing is to be trained.
    """
    groups = [
        {"params": weights, "lr": lr * group.lr, "weight_decay": decay if group.decay else 0.0}
        for group, weights in parameter_groups(model).items()
    ]
    if not groups:
        raise TrainingError("an optimiser needs a parameter to train; every one has requires_grad=False")
    return groups


def can_fuse(groups: list[dict[str, Any]]) -> bool:
    """Whether torch has a fused kernel wherever these parameters are."""
    return all(weight.device.type in FUSED for group in groups for weight in group["params"])
