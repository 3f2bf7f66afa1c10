"""Which of a few layers that stand for many is at work, forward, backward and in what is done to its weights."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


@attrs.frozen(eq=False)
class Copy:
    """A layer that counts `times`; `edge`: what happens while it is at work is looked at."""

    times: int = 1
    edge: bool = True


CopyOf = Callable[[Tensor], Copy | None]
Hand = Callable[[Tensor, Copy], None]


class AtWork:
    """Follows some layers: whoever runs forward, whose nodes run backward, or else whose tensors an operation takes.

    Nodes of the way back have the numbers of their making, so those of a layer lie between two numbers. `copy_of` says
    in which layer a tensor was made; `hand` is told of those that go from one layer into another.
    """

    def __init__(self, copy_of: CopyOf, hand: Hand) -> None:
        self.looked_at = True
        self._copy_of, self._hand = copy_of, hand
        self._running: list[Copy] = []
        self._starts: list[int] = []
        self._ends: list[tuple[int, Copy]] = []
        self._last: Copy | None = None

    def follow(self, module: nn.Module, copy: Copy) -> list[Any]:
        """Follow a layer until the hooks are removed."""
        return [
            module.register_forward_pre_hook(lambda _, inputs: self._begin(copy, inputs)),
            module.register_forward_hook(lambda _, _inputs, made: self._end(copy, made)),
        ]

    def now(self, args: Sequence[Any]) -> Copy | None:
        """Whose work an operation with such arguments is; None where that is no layer's, or several ones'."""
        copy = self._running[-1] if self._running else self._backward(args) if self._starts else None
        self.looked_at = copy is None or copy.edge
        return copy

    def of_place(self, args: Sequence[Any], place: int) -> Copy | None:
        """Whose the tensors at a place of an operation's lists are."""
        lists = (each for each in args if isinstance(each, (list, tuple)) and place < len(each))
        return self._owner(each[place] for each in lists)

    def _begin(self, copy: Copy, inputs: Any) -> None:
        self._take(copy, inputs)
        self._running.append(copy)
        if _forward_for_real():
            self._starts.append(_made_so_far())

    def _end(self, copy: Copy, made: Any) -> None:
        self._running.pop()
        if _forward_for_real():
            self._ends.append((_made_so_far(), copy))
            for each in tree_leaves(made):
                if isinstance(each, Tensor) and each.grad_fn is not None:
                    each.grad_fn.register_prehook(lambda gradients: self._take(copy, gradients))

    def _take(self, copy: Copy, tensors: Any) -> None:
        for each in tree_leaves(tensors):
            if isinstance(each, Tensor):
                self._hand(each, copy)

    def _backward(self, args: Sequence[Any]) -> Copy | None:
        node = torch._C._current_autograd_node()
        if node is None:
            return self._owner(_flat(args))
        number = node._sequence_nr()
        if number < 2**63:  # else it hands a gradient over, right after the node that made it
            place = bisect(self._starts, number) - 1
            end, copy = self._ends[place] if place >= 0 else (0, None)
            self._last = copy if number < end else None
        return self._last

    def _owner(self, found: Iterable[Any]) -> Copy | None:
        """The one layer among those that own something."""
        owners = {self._copy_of(each) for each in found if isinstance(each, Tensor)} - {None}
        return owners.pop() if len(owners) == 1 else None


def _made_so_far() -> int:
    """The number of the next node of the way back."""
    return int(torch.autograd._get_sequence_nr())  # type: ignore[attr-defined]


def _forward_for_real() -> bool:
    # what is computed again on the way back belongs to the node that asks for it
    return torch.is_grad_enabled() and torch._C._current_autograd_node() is None


def _flat(args: Sequence[Any]) -> Iterator[Any]:
    for each in args:
        if isinstance(each, (list, tuple)):
            yield from _flat(each)
        else:
            yield each
