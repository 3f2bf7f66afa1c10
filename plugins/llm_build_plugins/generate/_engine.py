"""Many texts at once: requests come into the rows of a state and leave them between steps.

Legend: B rows, T positions, M places of a source, D model dim, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build import Piece, make_state
from llm_build_plugins.generate._draw import Draw
from llm_build_plugins.generate._flight import Flight
from llm_build_plugins.generate._replay import Replay
from llm_build_plugins.generate._request import Request

if TYPE_CHECKING:
    from llm_build.interfaces import Cache, Tokenizer


class Engine:
    """Reads prompts chunk by chunk, then takes one token a row and step; sampling is part of the step.

    What a step needs lies on the device and is changed in place. `allowed` [B] says which rows may go on, `live` [B]
    which have not met [eos]; the host learns of that later than the device does.
    """

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
    ) -> None:
        self.model, self.tokenizer, self.chunk = model, tokenizer, chunk
        self.device = next(model.parameters()).device
        self.state = make_state(model, rows, capacity, min(chunk, capacity), memory=memory, cache=cache)
        self.draw = Draw(sampler, tokenizer, model.vocab, rows, self.device)
        self.tokens = torch.zeros(rows, 1, dtype=torch.int64, device=self.device)
        self.live = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self.allowed = torch.zeros_like(self.live)
        self._eos = -1 if tokenizer.eos is None else tokenizer.eos
        self._allowed: list[int] = [0] * rows
        self._rows: list[Request | None] = [None] * rows
        self._waiting: deque[Request] = deque()
        self._flying: deque[tuple[Flight, list[tuple[int, Request]]]] = deque()
        on_gpu = self.device.type == "cuda"
        # a GPU takes the next step while the host looks at this one
        self._ahead = int(on_gpu)
        self._step = Replay(self._decode, self.state, self._tensors) if capture and on_gpu else self._reserved

    def submit(self, request: Request) -> Iterator[Piece]:
        """The pieces of a request as they come; whoever takes them moves all others on."""
        if not request.done:
            self._waiting.append(request)
        return self._stream(request)

    def step(self) -> bool:
        """Do what is next: read prompts, or write a token a row. False where nothing is left to do."""
        self._admit()
        rows = {row: each for row, each in enumerate(self._rows) if each is not None}
        if reading := {row: each for row, each in rows.items() if each.waits}:
            self._read(reading)
        elif writing := {row: each for row, each in rows.items() if each.launched < each.most}:
            self._write(writing)
        elif not self._flying:
            return False
        else:
            self._land()
        while len(self._flying) > self._ahead:
            self._land()
        return True

    def _stream(self, request: Request) -> Iterator[Piece]:
        while not (request.done and not request.pieces):
            while request.pieces:
                yield request.pieces.popleft()
            if not request.done:
                self.step()

    def _admit(self) -> None:
        """Give free rows to those that wait."""
        for row, taken in enumerate(self._rows):
            if taken is None and self._waiting:
                request = self._rows[row] = self._waiting.popleft()
                self.state.reset([row])
                self.draw.begin(row, request.seed, request.tokens)
                self.live[row] = 1

    @torch.no_grad()
    def _read(self, reading: Mapping[int, Request]) -> None:
        """Feed a chunk of each prompt; those that are at its end draw their first token."""
        width = min(self.chunk, max(len(each.tokens) - each.fed for each in reading.values()))
        tokens, counts = torch.zeros(len(self._rows), width, dtype=torch.int64), [0] * len(self._rows)
        for row, each in reading.items():
            piece = each.tokens[each.fed : each.fed + width]
            tokens[row, : len(piece)], counts[row] = torch.tensor(piece), len(piece)
        self.state.reserve(counts)
        count = torch.tensor(counts, device=self.device)
        logits = self._logits(tokens.to(self.device), count, **self._memory(reading))
        for row, each in reading.items():
            each.fed += counts[row]
        drawing = {row: each for row, each in reading.items() if not each.waits}
        if drawing:
            self._draw(logits, torch.tensor([int(row in drawing) for row in range(len(counts))], device=self.device))
            self._launched(drawing)

    def _memory(self, reading: Mapping[int, Request]) -> dict[str, Tensor]:
        """What is made of the sources of those that begin [B, M, D]; -1 keeps what the other rows have."""
        begin = {row: each.source for row, each in reading.items() if each.source and each.fed == 0}
        if not begin:
            return {}
        width = max(map(len, begin.values()))
        tokens = torch.zeros(len(begin), width, dtype=torch.int64)
        for index, source in enumerate(begin.values()):
            tokens[index, : len(source)] = torch.tensor(source)
        lengths = torch.tensor([len(each) for each in begin.values()], device=self.device)
        made = self.model.encode(tokens.to(self.device), lengths)
        rows = torch.tensor(list(begin), device=self.device)
        memory = made.new_zeros(len(self._rows), *made.shape[1:])
        memory[rows] = made
        count = torch.full((len(self._rows),), -1, device=self.device)
        count[rows] = lengths
        return {"memory": memory, "memory_count": count}

    def _write(self, writing: Mapping[int, Request]) -> None:
        """A token for each row that may go on."""
        allowed = [int(row in writing) for row in range(len(self._rows))]
        if allowed != self._allowed:
            self.allowed.copy_(torch.tensor(allowed))
            self._allowed = allowed
        self._step(allowed)
        self._launched(writing)

    def _reserved(self, counts: Sequence[int]) -> None:
        self.state.reserve(counts)
        self._decode()

    @torch.no_grad()
    def _decode(self) -> None:
        """The step that is launched as a graph: everything that it reads and writes stays where it is."""
        count = self.allowed * self.live
        self._draw(self._logits(self.tokens, count), count)

    def _draw(self, logits: Tensor, count: Tensor) -> None:
        new = self.draw.next(logits, count)
        self.tokens.copy_(torch.where(count[:, None] > 0, new, self.tokens))
        self.live.mul_(((count == 0) | (new[:, 0] != self._eos)).long())

    def _logits(self, tokens: Tensor, count: Tensor, **reading: Tensor) -> Tensor:
        """[B, V] logits after the last real token of each row; those of a row without one mean nothing."""
        hidden, _ = self.model.hidden(tokens, self.state, count=count, **reading)
        last = hidden.gather(1, (count - 1).clamp(min=0)[:, None, None].expand(-1, 1, hidden.shape[-1]))
        logits: Tensor = self.model.head(last[:, 0])
        return logits

    def _launched(self, drawing: Mapping[int, Request]) -> None:
        """What these rows drew is on its way to the host."""
        for each in drawing.values():
            each.launched += 1
        self._flying.append((Flight(self.tokens), list(drawing.items())))

    def _land(self) -> None:
        """Hand out the tokens of the oldest step that is on its way."""
        flight, drawing = self._flying.popleft()
        tokens = flight.tokens()
        for row, request in drawing:
            if not request.done:
                request.take(tokens[row], self.tokenizer.eos)
                if request.done and self._rows[row] is request:
                    self._rows[row] = None

    def _tensors(self) -> Sequence[Tensor]:
        """What a step changes beside the state."""
        return [self.tokens, self.live, *self.draw.tensors()]
