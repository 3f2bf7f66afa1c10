"""A state under any schedule of calls, beside what each row would give alone. Legend: B rows, T new positions."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.builtin.caches import full_pass, poison, state_of

CLOSE = {"rtol": 1e-9, "atol": 1e-10}
MAX_STEP = 4
MEMORY = 5
CAPACITY = 64


class Machine:
    """Runs calls on a state; after each one, every row must have given what it gives alone, without a state.

    `vocab` is that of the tokens; `reads` says that the model reads a source; `cache` names one of `CACHES`. Where it
    codes numbers, what a row gives alone is the full pass over coded ones.
    """

    def __init__(self, model: Any, rows: int, vocab: int, reads: bool = False, cache: str | None = None) -> None:
        self.model, self.vocab, self.reads, self.cache = model, vocab, reads, cache
        self.texts = [torch.empty(0, dtype=torch.int64) for _ in range(rows)]
        self.sources = [torch.empty(0, dtype=torch.int64) for _ in range(rows)]
        memory = MEMORY if reads else 0
        self.state = state_of(model, rows, cache, capacity=CAPACITY, max_step=MAX_STEP, memory=memory)

    @torch.no_grad()
    def append(self, counts: Sequence[int], sources: Mapping[int, Tensor] | None = None) -> None:
        """Each row takes its next counts[b] tokens; the rows of `sources` get a memory with this call."""
        new = self._call(counts, sources or {})
        for row, count in enumerate(counts):
            self.texts[row] = torch.cat([self.texts[row], new[row, :count]])
        assert self.state.lengths.tolist() == [len(text) for text in self.texts]

    @torch.no_grad()
    def verify(self, counts: Sequence[int], accepted: Sequence[int]) -> None:
        """Feed counts[b] tokens, reject all, then replay the first accepted[b] of them."""
        mark = self.state.mark()
        new = self._call(counts, {})
        self.state.rewind(mark)
        self._poison(range(len(self.texts)), 1e30)
        self.state.rewind(mark)
        self._call(accepted, {}, new)
        for row, count in enumerate(accepted):
            self.texts[row] = torch.cat([self.texts[row], new[row, :count]])

    def reset(self, rows: Sequence[int]) -> None:
        """Forget rows that hold what is not a number."""
        self._poison(rows, float("nan"), memory=True)
        self.state.reset(rows)
        for row in rows:
            self.texts[row] = self.sources[row] = torch.empty(0, dtype=torch.int64)

    def fork(self, source: Sequence[int], target: Sequence[int]) -> None:
        self.state.fork(source, target)
        for held in (self.texts, self.sources):
            copies = [held[row] for row in source]
            for row, copy in zip(target, copies, strict=True):
                held[row] = copy

    def _call(self, counts: Sequence[int], sources: Mapping[int, Tensor], new: Tensor | None = None) -> Tensor:
        """One call of the model; what follows the real tokens is noise. Returns the tokens [B, T]."""
        width = max(*counts, 1)
        new = torch.randint(self.vocab, (len(counts), width)) if new is None else new[:, :width]
        self.state.reserve(counts)
        found = self.model(new, self.state, count=torch.tensor(counts), **self._memory(sources))
        for row, count in enumerate(counts):
            if count:
                text = torch.cat([self.texts[row], new[row, :count]])
                torch.testing.assert_close(found[row, :count], self._alone(row, text)[-count:], **CLOSE)
        return new

    def _memory(self, sources: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """The memory of all rows that get one; for the others it is noise, and -1 says so."""
        if not sources:
            return {}
        width = max(len(each) for each in sources.values())
        padded = torch.randint(self.vocab, (len(self.texts), max(width, 1)))
        counts = torch.full((len(self.texts),), -1)
        for row, source in sources.items():
            padded[row, : len(source)], counts[row] = source, len(source)
            self.sources[row] = source
        return {"memory": self.model.encode(padded, counts.clamp(min=0)), "memory_count": counts}

    def _alone(self, row: int, text: Tensor) -> Tensor:
        """What the row gives by itself for all its tokens [T] → [T, V]."""
        memory = {"memory": self.model.encode(self.sources[row][None])} if self.reads else {}
        return full_pass(self.model, text[None], self.cache, **memory)[0]

    def _poison(self, rows: Container[int], value: float, memory: bool = False) -> None:
        """Append to these rows as many tokens as may come, all of them of this value."""
        room = [min(MAX_STEP, CAPACITY - len(text)) for text in self.texts]
        counts = [count if row in rows else 0 for row, count in enumerate(room)]
        poison(self.model, self.state, counts, value, memory)


def run(machine: Machine, data: st.DataObject, calls: int = 6) -> None:
    """Draw a schedule and carry it out."""
    rows = len(machine.texts)
    row = st.integers(0, rows - 1)
    counts = st.lists(st.integers(0, MAX_STEP), min_size=rows, max_size=rows)
    actions = ["append", "append", "verify", "reset", "fork", *(["arrive"] if machine.reads else [])]
    for call in range(calls):
        # a source comes first, or most schedules would never read one
        action = "arrive" if call == 0 and machine.reads else data.draw(st.sampled_from(actions))
        if action == "append":
            machine.append(data.draw(counts))
        elif action == "verify":
            tried = data.draw(counts)
            machine.verify(tried, [data.draw(st.integers(0, count)) for count in tried])
        elif action == "reset":
            machine.reset(data.draw(st.lists(row, unique=True, max_size=rows)))
        elif action == "fork":
            target = data.draw(st.lists(row, unique=True, min_size=1, max_size=rows))
            machine.fork([data.draw(row) for _ in target], target)
        else:
            joining = data.draw(st.lists(row, unique=True, min_size=1, max_size=rows))
            machine.reset(joining)
            lengths = {each: data.draw(st.integers(0, MEMORY)) for each in joining}
            machine.append(data.draw(counts), {each: torch.randint(machine.vocab, (n,)) for each, n in lengths.items()})
