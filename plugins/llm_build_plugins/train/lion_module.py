"""Lion over a model's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llm_build_plugins.train._groups import torch_groups

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.lion_config import lion


class Lion:
    """Makes `SignOfMomentum`, since torch has no Lion."""

    def __init__(self, config: lion, context: Context) -> None:
        self.config = config

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """A group for each way that the model's parameters ask to be treated."""
        groups = torch_groups(model, lr=self.config.lr, decay=self.config.decay)
        return SignOfMomentum(groups, betas=self.config.betas)


class SignOfMomentum(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2. A weight that has a gradient keeps one "momentum" of its own shape and dtype."""

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, ...]) -> None:
        super().__init__(groups, {"betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` computes the loss anew, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        of_direction, of_momentum = group["betas"]
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"]
        direction = momentum.lerp(grad, 1 - of_direction).sign_()
        weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])
        momentum.lerp_(grad, 1 - of_momentum)
