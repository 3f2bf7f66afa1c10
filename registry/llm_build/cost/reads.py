"""What one decode step reads of a model's weights, in bytes, seen in a step that is really taken.

A tensor that is only looked up in, as a table of embeddings is, counts by the rows that come out; one that a module
shares out (`active`) by the share that the rows of a batch are expected to need; any other as a whole, once, however
many layers share it. What is neither read nor belongs to a part that is called, such as an encoder, counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from llm_build.components import Config
from llm_build.cost.layers import Part, described, merged, parts
from llm_build.cost.states import Kept, TokenBytes, kept
from llm_build.cost.weights import shares
from llm_build.interfaces import reads_source
from llm_build.step import make_state

LOOKED_UP = (torch.ops.aten.embedding, torch.ops.aten.index, torch.ops.aten.index_select, torch.ops.aten.gather)
"""Operations that read some rows of their first argument."""


@attrs.frozen(kw_only=True)
class Read(Part):
    """Bytes that a step of a batch reads of a part: of those weights that no earlier part has, and of what it keeps."""

    weights: float
    state: float


class Reading(TorchDispatchMode):
    """While it is on: the bytes of some tensors that operations read; `rows` those that were looked up."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._of = {each.untyped_storage()._cdata: each for each in tensors}
        self.whole: dict[Tensor, int] = {}
        self.rows: dict[Tensor, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            for place, (value, tensor) in enumerate(self._tracked(args)):
                if func.overloadpacket in LOOKED_UP and place == 0:
                    self.rows[tensor] = self.rows.get(tensor, 0) + made.nbytes
                else:
                    self.whole[tensor] = self.whole.get(tensor, 0) + value.nbytes
        return made

    def _tracked(self, values: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for each in values:
            if isinstance(each, Tensor):
                tensor = self._of.get(each.untyped_storage()._cdata)
                if tensor is not None:
                    yield each, tensor
            elif isinstance(each, (list, tuple)):
                yield from self._tracked(each)


def weights_read(model: Any, rows: int = 1) -> dict[Tensor, float]:
    """The bytes of each parameter and buffer that a decode step of so many rows reads. The step is taken in eager."""
    tensors = list({id(each): each for each in (*model.parameters(), *model.buffers())}.values())
    with Reading(tensors) as seen, _called(model) as called:
        _step(model)
    own = {each for module in called for each in (*module.parameters(recurse=False), *module.buffers(recurse=False))}
    share = shares(model)
    return {each: _bytes(each, share[each], seen, each in own, rows) for each in tensors}


def reads(
    model: Any,
    config: Config,
    rows: int,
    lengths: Sequence[int],
    places: int = 0,
    token_bytes: TokenBytes | None = None,
) -> list[Read]:
    """What a step of so many rows reads of each part, on the mean over `lengths`: tokens of a text in use.

    `places` are those of an encoder's memory; `token_bytes` is that of a cache, which may code what is kept. Equal
    neighbours are one row; they sum to the whole model.
    """
    read, entries = weights_read(model, rows), list(model.state_spec)
    dtype = next(model.parameters()).dtype
    found: list[tuple[Read, Config | None]] = []
    for name, module, part in [*parts(model, config), ("", model, None)]:
        new = {each for each in (*module.parameters(), *module.buffers()) if each in read}
        mine = [each for each in entries if name == "" or each is getattr(module, "state_spec", None)]
        entries = [each for each in entries if not any(each is one for one in mine)]
        weights = sum(read.pop(each) for each in new)
        state = sum(mean_bytes(kept(each, dtype, token_bytes), lengths, places) for each in mine) * rows
        if part is None and not weights and not state:
            continue
        described_as = described(module, part)
        row = Read(name=name or "the model itself", component=described_as, weights=weights, state=state)
        found.append((row, part))
    return merged(found)


def mean_bytes(of: Kept, lengths: Sequence[int], places: int) -> float:
    """The bytes that a layer keeps of one text, on the mean over its lengths."""
    return sum(of.at(each, places) for each in lengths) / len(lengths)


def expected(share: Fraction, rows: int) -> float:
    """The share of a bank that so many rows read, each of which needs `share` and any as likely: 1 - (1 - share)^B."""
    return 1 - float(1 - share) ** rows


def _bytes(tensor: Tensor, share: Fraction, seen: Reading, called: bool, rows: int) -> float:
    if tensor not in seen.whole and tensor not in seen.rows and not called:
        return 0
    if share < 1:
        return tensor.nbytes * expected(share, rows)
    if tensor in seen.rows and tensor not in seen.whole:
        return min(tensor.nbytes, seen.rows[tensor] * rows)
    return min(tensor.nbytes, seen.whole.get(tensor, tensor.nbytes) + seen.rows.get(tensor, 0))


@torch.no_grad()
def _step(model: Any) -> None:
    device = next(model.parameters()).device
    state = make_state(model, 1, 1, memory=1 if reads_source(model) else 0)
    state.reserve(1)
    hidden, _ = model.hidden(torch.zeros(1, 1, dtype=torch.int64, device=device), state)
    model.head(hidden[:, -1])


@contextmanager
def _called(model: nn.Module) -> Iterator[set[nn.Module]]:
    """The modules that are called."""
    called: set[nn.Module] = set()

    def note(module: nn.Module, _inputs: Any) -> None:
        called.add(module)

    handles = [each.register_forward_pre_hook(note) for each in model.modules()]
    try:
        yield called
    finally:
        for each in handles:
            each.remove()
