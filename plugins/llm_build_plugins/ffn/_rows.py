"""Which row belongs to which expert, and how their products are taken.

Nothing waits for a GPU: all sizes there follow from N, k and X. Legend: N positions, k experts each, X experts,
R rows, D dim, M blocks of S rows each.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_build_plugins._autocast import autocasts
from llm_build_plugins._thin import HALF, fits, product
from llm_build_plugins.ffn._moves import Collect, Spread
from llm_build_plugins.ffn._products import Blocked, Grouped, Sliced

if TYPE_CHECKING:
    from llm_build.interfaces import Groups

ALIGNED = 8
"""grouped_mm reads 16 bytes at a time."""
GROUPS = 1_023
"""The most experts that grouped_mm takes."""
GATHERED = 0.5
"""Rows an expert up to which each reads its own matrices; `tools/bench/products.py` prints what is faster."""

log = logging.getLogger("llm_build.moe")


# dataclasses, not attrs: torch.compile traces the construction of these
@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows [R, D] that the experts see.

    choice  [R] int64: which of the N · k choices each row is, N · k = nobody's
    place   [N · k] int64: the row of each choice
    groups  takes the rows' products
    k       choices a position
    """

    choice: Tensor
    place: Tensor
    groups: Groups
    k: int

    def spread(self, x: Tensor) -> Tensor:
        """[N, D] → [R, D], in the dtype of the arithmetic."""
        rows: Tensor = Spread.apply(x.to(arithmetic(x)), self.choice, self.place, self.k)  # type: ignore[no-untyped-call]
        return rows

    def collect(self, y: Tensor, weights: Tensor) -> Tensor:
        """y [R, D], weights [N, k] → [N, D], the weighted sum of each position's rows, always in the same order."""
        chosen: Tensor = Collect.apply(y, self.choice, self.place)  # type: ignore[no-untyped-call]
        added: Tensor = (chosen.unflatten(0, weights.shape) * weights.to(y.dtype)[..., None]).sum(1)
        return added


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Rows sorted by expert; the host knows where each expert's end."""

    ends: Sequence[int]

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [R, in], weight [X, out, in], bias [X, out] → [R, out]."""
        y: Tensor = Sliced.apply(*_cast(x, weight, bias), self.ends)  # type: ignore[no-untyped-call]
        return y

    def halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        return (self.linear(x, weight, bias),)


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """Rows sorted by expert: `ends` [X] int32 and `owner` [R] on the device."""

    ends: Tensor
    owner: Tensor

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [R, in], weight [X, out, in], bias [X, out] → [R, out]; sizes that do not fit the kernel are filled up."""
        return self._product(*_cast(x, weight, bias))

    def halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        """Two products, so that what is done to the halves next meets each without gaps."""
        x, weight, bias = _cast(x, weight, bias)
        biases = (None, None) if bias is None else bias.chunk(2, dim=1)
        return tuple(self._product(x, *each) for each in zip(weight.chunk(2, dim=1), biases, strict=True))

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        outputs, inputs = weight.shape[1:]
        more_in, more_out = -inputs % ALIGNED, -outputs % ALIGNED
        if more_in or more_out:
            x, weight = pad(x, (0, more_in)), pad(weight, (0, more_in, 0, more_out))
            bias = None if bias is None else pad(bias, (0, more_out))
        y: Tensor = Grouped.apply(x.contiguous(), weight, bias, self.ends, self.owner)  # type: ignore[no-untyped-call]
        return y[:, :outputs]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Rows in blocks of one expert each: `owner` [M]."""

    owner: Tensor

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [M · S, in], weight [X, out, in], bias [X, out] → [M · S, out]."""
        y: Tensor = Blocked.apply(*_cast(x, weight, bias), self.owner)  # type: ignore[no-untyped-call]
        return y

    def halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        return (self.linear(x, weight, bias),)


@dataclass(frozen=True, slots=True, eq=False)
class Unsorted:
    """`Rows` where those of a position stand one after the other: nothing has to be found. Without gradients."""

    groups: Groups
    k: int

    def spread(self, x: Tensor) -> Tensor:
        return x.to(arithmetic(x))[:, None].expand(-1, self.k, -1).flatten(0, 1)

    def collect(self, y: Tensor, weights: Tensor) -> Tensor:
        added: Tensor = (y.unflatten(0, weights.shape) * weights.to(y.dtype)[..., None]).sum(1)
        return added


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Rows that each read the matrices of their own expert where they lie: `owner` [R]."""

    owner: Tensor

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [R, in], weight [X, out, in], bias [X, out] → [R, out]."""
        x, weight, bias = _cast(x, weight, bias)
        if fits(x, weight, bias, self.owner):
            return product(x, weight, bias, owner=self.owner)
        return Blocks(self.owner).linear(x, weight, bias)

    def halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        return (self.linear(x, weight, bias),)


Arrange = Callable[[Tensor, int], Rows | Unsorted]
"""experts [N, k], X → the rows."""


def arrange(experts: Tensor, count: int, x: Tensor) -> Rows | Unsorted:
    """experts [N, k] int64, `count` = X, x [N, D] → the rows, by the fastest way that there is for the device."""
    way, why, slow = choose(experts.numel(), count, x.device, arithmetic(x))
    report(way.__name__, why, slow)
    return way(experts, count)


def choose(rows: int, count: int, device: torch.device, dtype: torch.dtype) -> tuple[Arrange, str, bool]:
    """The way, why it was chosen, and whether it is slow where another would not be."""
    if device.type == "cpu" and not torch.compiler.is_compiling():
        return sliced, "a CPU", False
    if device.type == "meta":
        return single, "nothing is computed, so the products that are counted are exactly the rows'", False
    if device.type != "cuda":
        return blocked, "sizes that the host cannot look at", False
    few = rows <= GATHERED * count
    if few and dtype in HALF and not torch.is_grad_enabled():
        return gathered, "few rows without gradients, each of which reads its own matrices where they lie", False
    if few:
        return blocked, "few rows, each of which reads its own matrices once", False
    if dtype != torch.bfloat16:
        return blocked, "grouped_mm takes bfloat16 alone", True
    if not _has_grouped_mm(device):
        return blocked, "grouped_mm needs compute capability 9 or 10", True
    if count > GROUPS:
        return blocked, "grouped_mm takes fewer than 1,024 experts", True
    return grouped, "bfloat16 on a GPU that has grouped_mm", False


def sliced(experts: Tensor, count: int) -> Rows:
    """Sorted rows and one product an expert. It looks at the experts' ends."""
    _, choice, ends = _sorted(experts, count)
    return Rows(choice, _inverse(choice), Slices(tuple(ends.tolist())), experts.shape[1])


def grouped(experts: Tensor, count: int) -> Rows:
    """Sorted rows and one kernel for all experts."""
    owner, choice, ends = _sorted(experts, count)
    return Rows(choice, _inverse(choice), Sorted(ends, owner), experts.shape[1])


def blocked(experts: Tensor, count: int) -> Rows:
    """Sorted rows, each expert's filled up to whole blocks: up to twice the rows, and twice the weights.

    Where there are no more rows than experts, each is a block, unsorted.
    """
    rows = experts.numel()
    size = max(1, -(-rows // count))
    if size == 1:
        return single(experts, count)
    owner, choice, ends = _sorted(experts, count)
    starts = torch.cat((ends.new_zeros(1), ends[:-1]))
    last = ((ends - starts + size - 1) // size).cumsum(0)  # [X]: where each expert's blocks end
    first = torch.cat((last.new_zeros(1), last[:-1]))
    blocks = (rows + min(count, rows) * (size - 1)) // size  # never more, however the rows fall
    row = torch.arange(rows, device=experts.device) + (first * size - starts)[owner]  # [N · k], by expert
    whose = torch.searchsorted(last, torch.arange(blocks, device=experts.device), right=True)
    return Rows(
        torch.full((blocks * size,), rows, device=experts.device).index_copy_(0, row, choice),
        torch.empty_like(row).index_copy_(0, choice, row),
        Blocks(whose.clamp(max=count - 1)),
        experts.shape[1],
    )


def single(experts: Tensor, _count: int) -> Rows:
    """Unsorted rows, each of which is a block."""
    # two tensors: torch.compile takes none twice
    choice, place = (torch.arange(experts.numel(), device=experts.device) for _ in range(2))
    return Rows(choice, place, Blocks(experts.flatten()), experts.shape[1])


def gathered(experts: Tensor, _count: int) -> Unsorted:
    """Unsorted rows that copy no matrix."""
    return Unsorted(Gathered(experts.flatten()), experts.shape[1])


def arithmetic(x: Tensor) -> torch.dtype:
    """The dtype of products with x: autocast's, where it acts."""
    return autocast_dtype(x) or x.dtype


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    device = x.device.type
    acts = x.dtype != torch.float64 and autocasts(device)
    return torch.get_autocast_dtype(device) if acts else None


def report(way: str, why: str, slow: bool) -> bool:
    """Log a choice the first time that it is made."""
    _report_once(way, why, slow)
    return True


@functools.cache
def _report_once(way: str, why: str, slow: bool) -> None:
    if slow:
        log.warning("experts take the slow %s way, up to twice the products: %s", way, why)
    else:
        log.info("experts take the %s way: %s", way, why)


def _has_grouped_mm(device: torch.device) -> bool:
    # elsewhere it falls back to a loop that waits for the device
    return torch.version.hip is None and torch.cuda.get_device_capability(device)[0] in (9, 10)


# While torch.compile traces, these run once and leave nothing in the graph. It is what
# torch.compiler.assume_constant_result does, which takes seconds to import.
report._dynamo_marked_constant = True  # type: ignore[attr-defined]
_has_grouped_mm._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _sorted(experts: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """experts [N, k] → whose each row is and which choice it is [N · k], and where each expert's end [X] int32."""
    owner, order = experts.flatten().sort(stable=True)
    every = torch.arange(count, device=experts.device)
    return owner, order, torch.searchsorted(owner, every, right=True, out_int32=True)


def _inverse(order: Tensor) -> Tensor:
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))


def _cast(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What autocast does to an nn.Linear."""
    dtype = autocast_dtype(x)
    if dtype is None:
        return x, weight, bias
    return x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
