"""torch's Muon over matrices and stacks of them, stepped together with an optimiser over the rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import nn


class MatricesAndOthers(torch.optim.Optimizer):
    """`matrices`, which is torch's Muon, and `others` as one optimiser, whose state stays with the two.

    `param_groups` are those of both, the matrices' first. torch's Muon takes single matrices, so it works on *pieces*:
    one parameter [out, in] for each matrix of a weight [..., out, in], a view of the weight.
    """

    def __init__(self, groups: list[dict[str, Any]], others: torch.optim.Optimizer | None, **options: Any) -> None:
        pieces = [[Piece(weight, index) for weight in group["params"] for index in _places(weight)] for group in groups]
        inner = [
            {**group, "params": [each.matrix for each in of_group]}
            for group, of_group in zip(groups, pieces, strict=True)
        ]
        self.matrices, self.others = torch.optim.Muon(inner, **options), others
        super().__init__([{**self.matrices.defaults, **group} for group in groups], {})
        self._weights = self.param_groups
        self._pieces = [each for of_group in pieces for each in of_group]
        self._join()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` computes the loss anew, which is returned."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        self._hand_down()
        for piece in self._pieces:
            piece.lend()
        self.matrices.step()
        for piece in self._pieces:
            piece.matrix.grad = None
        if self.others is not None:
            self.others.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Those of the two, each in torch's form."""
        self._hand_down()
        others = None if self.others is None else self.others.state_dict()
        return {"matrices": self.matrices.state_dict(), "others": others}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken, over parameters of the same shapes in the same order."""
        self.matrices.load_state_dict(state_dict["matrices"])
        if self.others is not None:
            self.others.load_state_dict(state_dict["others"])
        for group, inner in zip(self._weights, self.matrices.param_groups, strict=True):
            group.update(_options(inner))
        self._join()

    def _join(self) -> None:
        # the very groups of the others: a rate that is set here is set there
        self.param_groups = [*self._weights, *([] if self.others is None else self.others.param_groups)]

    def _hand_down(self) -> None:
        for group, inner in zip(self._weights, self.matrices.param_groups, strict=True):
            inner.update(_options(group))


class Piece:
    """One matrix of a weight, as the parameter `matrix` [out, in] that shares its memory."""

    def __init__(self, weight: nn.Parameter, place: tuple[int, ...]) -> None:
        self.weight, self.place = weight, place
        self.matrix = nn.Parameter(weight.detach()[place])

    def lend(self) -> None:
        """Point the matrix at the weight and its gradient; anew each time, since `.to()` may have moved the weight."""
        self.matrix.data = self.weight.detach()[self.place]
        self.matrix.grad = None if self.weight.grad is None else self.weight.grad[self.place]


def _places(weight: nn.Parameter) -> product[tuple[int, ...]]:
    """Where the matrices of a weight [..., out, in] are: every index of its leading axes."""
    return product(*map(range, weight.shape[:-2]))


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}
