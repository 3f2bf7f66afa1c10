"""What an optimiser keeps between steps, asked of the optimiser itself on the meta device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from llm_build.components import Config, field_specs
from llm_build.context import Context


def optimizer_of(spec: Config) -> Any:
    """The optimiser that the trainer of a filled spec holds, or None where it has none."""
    trainer = getattr(spec, "train", None)
    if trainer is None:
        return None
    context = spec.inside("train", Context()).with_(path="train")
    for name in field_specs(trainer):
        value = getattr(trainer, name)
        if isinstance(value, Config) and value.__component__.slot == "optimizer":
            return trainer.part(name, context)
    return None


def optimizer_bytes(optimizer: Any, model: nn.Module) -> int:
    """Bytes that the optimiser of a model on the meta device keeps after a step in which all weights had a gradient."""
    weights = [each for each in model.parameters() if each.requires_grad]
    made = optimizer.make(model)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    try:
        with Ones():  # type: ignore[no-untyped-call]
            made.step()
    finally:
        for weight in weights:
            weight.grad = None
    # an optimiser that is made of others keeps its state in theirs; its state_dict has all of it
    tensors = {id(each): each for each in _tensors(made.state_dict())}
    return sum(each.numel() * each.element_size() for each in tensors.values())


class Ones(TorchDispatchMode):
    """Every number that the host reads from the meta device is 1: which weights there are decides what is kept of them,
    and not what they hold."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "meta":
            return torch.ones((), dtype=args[0].dtype).item()
        return func(*args, **(kwargs or {}))


def _tensors(held: Any) -> Iterator[Tensor]:
    if isinstance(held, Tensor):
        yield held
    elif isinstance(held, Mapping):
        for each in held.values():
            yield from _tensors(each)
    elif isinstance(held, list | tuple):
        for each in held:
            yield from _tensors(each)
