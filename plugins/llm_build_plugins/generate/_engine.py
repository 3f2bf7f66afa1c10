"""Many texts at once: requests come into the rows of a state and leave them between steps.

Rows in use stand at the front, so that a step takes the first few alone: 1, 2, 4 … of them, a bucket. What waits for a
row is let in together, in rows that follow each other, the shortest prompt first, so that a call of the model reads
several with little padding. Where both prompts are to be read and texts to be written, they take turns, one call each:
a long prompt delays the texts by a chunk at a time, and they delay it by a token.

Legend: B rows, T positions, M places of a source, D model dim.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build import GenerationError, Sizes, make_state
from llm_build_plugins.generate._compile import constants
from llm_build_plugins.generate._draw import Draw
from llm_build_plugins.generate._fitting import memory_for
from llm_build_plugins.generate._flight import Flight
from llm_build_plugins.generate._groups import bucket, together
from llm_build_plugins.generate._replay import Replay
from llm_build_plugins.generate._request import Request
from llm_build_plugins.generate._sent import sent
from llm_build_plugins.generate._waiting import Waiting
from llm_build_plugins.generate._writing import Writing

if TYPE_CHECKING:
    from llm_build.interfaces import Cache, Tokenizer

log = logging.getLogger("llm_build.generate")

RANGES = 64
"""Ranges of rows that are kept for the next prompts; those of steps stay."""
Taken = Callable[[Sequence[int]], None]


class Engine:
    """Reads prompts chunk by chunk, then takes one token a row and step; sampling is part of the step.

    It does not keep its model, so that it goes when that does. `takes` is its memory, known before it is allocated;
    raises `GenerationError` where that is not there. `sound` is false once a step was broken off by an
    exception: then what the rows hold is not known. Threads that share it hold `turn` while they submit and step.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        sampler: Any,
        cache: Cache,
        *,
        rows: int,
        capacity: int,
        chunk: int,
        memory: int = 0,
        capture: bool = True,
        compile: bool = False,
    ) -> None:
        self.tokenizer, self.chunk, self.sound = tokenizer, chunk, True
        self.turn = threading.RLock()
        self._eos = tokenizer.eos
        self.rows, self.capacity, self.memory = rows, capacity, memory
        self.device = next(model.parameters()).device
        sizes = Sizes(rows=rows, capacity=capacity, max_step=min(chunk, capacity), memory=memory)
        self.takes = memory_for(model, sizes, cache)
        self.takes.refuse()
        log.info("%s", self.takes)
        state = make_state(model, rows, capacity, sizes.max_step, memory=memory, cache=cache)
        draw = Draw(sampler, tokenizer, model.vocab, rows, self.device)
        self.writing = Writing(model, state, draw, tokenizer.eos, constants(sampler) if compile else None)
        on_gpu = self.device.type == "cuda"
        # a GPU takes the next step while the host looks at this one
        self._ahead, self._captures = int(on_gpu), capture and on_gpu
        self._steps: dict[int, Taken] = {}
        self._refused: set[str] = set()
        self._ranges: dict[tuple[int, int], Writing] = {}
        self._allowed: list[int] = [0] * rows
        self._due: tuple[list[int], list[int]] | None = None
        self._held: list[Request | None] = [None] * rows
        self._waiting = Waiting(state)
        self._dropped: deque[Request] = deque()
        self._flying: deque[tuple[Flight, list[tuple[int, Request]]]] = deque()
        self._turns, self._read_last = 0, False

    def submit(self, request: Request) -> None:
        """Let a request wait for a row; `step` until it is done.

        Raises `GenerationError` for one that has no room even alone.
        """
        if not request.done:
            self._waiting.add(request)

    def drop(self, request: Request) -> None:
        """Nobody waits for it any more: its row is free with the next step. Any moment will do, amidst a step too."""
        if not request.done:
            request.done = True
            self._dropped.append(request)

    def step(self) -> bool:
        """Do what is next: read prompts, or write a token a row. False where nothing is left to do."""
        if not self.sound:
            raise GenerationError("these texts were broken off by an earlier fault; begin them again")
        self.sound = False
        went = self._go_on()
        self.sound = True
        return went

    def _go_on(self) -> bool:
        self._sweep()
        self._admit()
        if self._due is None:
            self._gather()
            self._due = self._where(lambda each: each.waits), self._where(lambda each: each.writes)
        reading, writing = self._due
        if reading and not (writing and self._read_last):
            self._read(*self._group(reading))
        elif writing:
            self._write(writing)
        elif not self._flying:
            return False
        else:
            self._land()
        while len(self._flying) > self._ahead:
            self._land()
        return True

    def _where(self, holds: Callable[[Request], bool]) -> list[int]:
        """The rows whose request is such."""
        return [row for row, each in enumerate(self._held) if each is not None and holds(each)]

    # --- rows ---

    def _sweep(self) -> None:
        """Let go of what was dropped."""
        gone = [self._dropped.popleft() for _ in range(len(self._dropped))]
        if any(each.row is None for each in gone):
            self._waiting.forget()
        self._free([each for each in gone if each.row is not None])

    def _free(self, requests: Sequence[Request]) -> None:
        rows = [each.row for each in requests if each.row is not None]
        for row in rows:
            self._held[row] = None
        for each in requests:
            each.row = None
        if rows:
            self._due = None
            # what they held is given back now: the length in use follows, and so do the pages of a pool
            self.writing.state.reset(rows)

    def _admit(self) -> None:
        """Give free rows to those that wait; rows that follow each other to those that come together."""
        coming = self._waiting.coming(self._held)
        if not coming:
            return
        count = len(coming)
        self._due = None
        free = [row for row, each in enumerate(self._held) if each is None]
        if free[count - 1] - free[0] >= count:
            self._close_up()
            free = [row for row, each in enumerate(self._held) if each is None]
        # in the order in which they came where they are equal
        begun = sorted(coming, key=lambda each: each.left)
        for row, each in zip(free, begun, strict=False):
            self._held[row], each.row, each.turn = each, row, self._turns
            self._turns += 1
        self.writing.begin(free[:count], [each.seed for each in begun], [each.tokens for each in begun])

    def _gather(self) -> None:
        """Move rows to the front where a smaller bucket holds them then."""
        used = self._where(lambda _: True)
        if used and bucket(len(used), self.rows) < bucket(used[-1] + 1, self.rows):
            self._close_up()

    def _close_up(self) -> None:
        """The last rows in use go where others in front of them are free."""
        used = self._where(lambda _: True)
        free = [row for row in range(len(used)) if self._held[row] is None]
        moving = used[len(used) - len(free) :]
        if not moving:
            return
        self.writing.move(moving, free)
        for old, new in zip(moving, free, strict=True):
            each, self._held[old] = self._held[old], None
            assert each is not None, "a row in use has a request"
            self._held[new], each.row = each, new

    # --- reading ---

    def _group(self, reading: Sequence[int]) -> tuple[int, int]:
        """The rows of one call, from the one whose turn it is on."""
        left = {row: self._at(row) for row in reading}
        start = stop = min(left, key=lambda row: left[row].turn)
        while stop in left:
            stop += 1
        return start, start + together([left[row].left for row in range(start, stop)], self.chunk)

    def _at(self, row: int) -> Request:
        found = self._held[row]
        assert found is not None, "a row in use has a request"
        return found

    def _read(self, start: int, stop: int) -> None:
        """Feed a chunk of each prompt; those that are at its end draw their first token."""
        requests = [self._at(row) for row in range(start, stop)]
        width = min(self.chunk, max(len(each.tokens) - each.fed for each in requests))
        pieces = [each.tokens[each.fed : each.fed + width] for each in requests]
        counts, part = [len(each) for each in pieces], self._range(start, stop)
        part.state.reserve(counts)
        memory = self._memory(requests)
        for each, taken in zip(requests, counts, strict=True):
            each.fed += taken
        drawing = [int(not each.waits) for each in requests]
        # without a count nothing is padding, and attention need not look for it
        count = None if min(counts) == width else sent(counts, self.device)
        part.read(self._padded(pieces), count, sent(drawing, self.device) if any(drawing) else None, **memory)
        if any(drawing):
            self._launched(part, start, [row for row, draws in enumerate(drawing, start) if draws])
        self._due, self._read_last = None, True

    def _memory(self, requests: Sequence[Request]) -> dict[str, Tensor]:
        """What is made of the sources of those that begin [B, M, D]; -1 keeps what the other rows have."""
        begin = [row for row, each in enumerate(requests) if each.source and each.fed == 0]
        if not begin:
            return {}
        sources = [requests[row].source for row in begin]
        lengths = sent([len(each) for each in sources], self.device)
        made = self.writing.model.encode(self._padded(sources), lengths)
        rows = sent(begin, self.device)
        memory = made.new_zeros(len(requests), *made.shape[1:])
        memory[rows] = made
        count = torch.full((len(requests),), -1, device=self.device)
        count[rows] = lengths
        return {"memory": memory, "memory_count": count}

    def _padded(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Tokens [B, T] on the device."""
        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for row, each in enumerate(rows):
            tokens[row, : len(each)] = torch.tensor(each, dtype=torch.int64)
        return sent(tokens, self.device)

    def _range(self, start: int, stop: int) -> Writing:
        """Rows that are read together."""
        found = self._ranges.pop((start, stop), None) or self.writing.range(start, stop)
        self._ranges[start, stop] = found
        if len(self._ranges) > RANGES:
            del self._ranges[next(iter(self._ranges))]
        return found

    # --- writing ---

    def _write(self, writing: Sequence[int]) -> None:
        """A token for each row that may go on, in a step of the bucket that holds all rows in use."""
        allowed = [0] * self.rows
        for row in writing:
            allowed[row] = 1
        if allowed != self._allowed:
            self.writing.allowed.copy_(sent(allowed, self.device))
            self._allowed = allowed
        size = bucket(writing[-1] + 1, self.rows)
        if size not in self._steps:
            self._steps[size] = self._step_of(self.writing.range(0, size))
        self._steps[size](allowed[:size])
        self._launched(self.writing, 0, writing)
        self._read_last = False

    def _step_of(self, part: Writing) -> Taken:
        if self._captures:
            return Replay(part.step, part.state, part.tensors, self._refused)

        def step(counts: Sequence[int]) -> None:
            part.state.reserve(counts)
            part.step()

        return step

    def _launched(self, part: Writing, start: int, drawing: Sequence[int]) -> None:
        """What these rows drew is on its way to the host."""
        drawn = [(row - start, self._at(row)) for row in drawing]
        for _, each in drawn:
            each.launched += 1
            if each.launched == each.most:
                self._due = None
        self._flying.append((Flight(part.tokens), drawn))

    def _land(self) -> None:
        """Hand out the tokens of the oldest step that is on its way."""
        flight, drawing = self._flying.popleft()
        tokens = flight.tokens()
        going = [(row, each) for row, each in drawing if not each.done]
        for row, each in going:
            each.take(tokens[row], self._eos)
        self._free([each for _, each in going if each.done])
