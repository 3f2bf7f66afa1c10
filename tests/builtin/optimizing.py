"""What the tests of the optimisers share: a model with every kind of parameter, and steps on drawn gradients."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build import TABLE, Context
from llm_build_plugins import train

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 5))
RATES = st.floats(1e-4, 0.5)
DECAYS = st.floats(0, 0.5)
BETAS = st.tuples(st.floats(0, 0.99), st.floats(0, 0.99))


class Bank(nn.Module):
    """A matrix, a stack of matrices [X, out, in], a table and two vectors, each of which moves the output."""

    def __init__(self, seed: int = 0, experts: int = 3, shape: tuple[int, int] = (4, 2)) -> None:
        super().__init__()
        self.map = nn.Linear(shape[1], shape[0])
        self.stack = nn.Parameter(torch.empty(experts, *shape))
        self.table = nn.Parameter(torch.empty(5, shape[0]))
        self.scale = nn.Parameter(torch.empty(shape[0]))
        self.parameter_groups = {"table": TABLE}
        self.to(torch.float64)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.map(x) + (self.stack @ x[..., None])[..., 0].sum(0) * self.scale) @ self.table.T


def made(config: Any, model: nn.Module) -> Any:
    return config.build(Context()).make(model)


def named(name: str, **options: Any) -> Any:
    return getattr(train, name)(**options)


def decaying(name: str, decay: float = 0.3) -> Any:
    """The optimiser with this decay everywhere."""
    others = {"others": train.adamw(decay=decay)} if name == "muon" else {}
    return named(name, decay=decay, **others)


def advance(model: nn.Module, optimizer: Any, seed: int, steps: int = 1, lr: float | None = None) -> None:
    """Steps on drawn gradients, as the trainer takes them."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] if lr is None else lr
        for weight in model.parameters():
            weight.grad = torch.randn(weight.shape, dtype=weight.dtype, generator=generator)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether all their weights are equal, bit for bit."""
    return all(torch.equal(*each) for each in zip(first.parameters(), second.parameters(), strict=True))


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def after(config: Any, weight: Tensor, grads: list[Tensor]) -> Tensor:
    """A weight after a step on each gradient."""
    model = nn.ParameterList([nn.Parameter(weight.clone())])
    optimizer = made(config, model)
    for grad in grads:
        model[0].grad = grad.clone()
        optimizer.step()
    return model[0].detach()
