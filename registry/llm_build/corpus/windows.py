"""Plain text read as windows. Legend: N tokens, B rows, T context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from llm_build.corpus.batch import IGNORED, Batch
from llm_build.corpus.examples import Example, collate, xz_bits
from llm_build.corpus.order import drawn
from llm_build.corpus.store import Tokens
from llm_build.errors import DataError


class Windows:
    """Training windows of context + 1 tokens in a drawn order, each token a target once an epoch.

    Only the last few, which fill no window, are none. Window i starts at i · context. Raises `DataError` where there is
    not one whole window; `what` says of which text.
    """

    def __init__(self, tokens: Tokens, context: int, seed: int, what: str = "the training text") -> None:
        self.tokens, self.context, self.seed = tokens, context, seed
        self.count = max(0, len(tokens) - 1) // context
        if self.count == 0:
            raise DataError(
                f"{what} must fill one window of context + 1 = {context + 1} tokens; it has {len(tokens)}: "
                "give more text, or a model with a smaller context"
            )

    def batch(self, position: int, rows: int) -> Batch:
        """The next `rows` windows, where `position` windows were read before; epochs follow each other."""
        return collate(self.draw(position, rows))

    def draw(self, position: int, rows: int) -> Sequence[Example]:
        """The same windows, one by one."""
        return [Example(self._window(index)) for index in drawn(self.seed, self.count, position, rows)]

    def _window(self, index: int) -> Tokens:
        start = index * self.context
        return self.tokens[start : start + self.context + 1]


@attrs.frozen(eq=False)
class HeldOut:
    """Text that is never trained on, in its order. Every token after the first is a target once.

    `texts` are its documents; `size` is how many bytes of them the targets stand for.
    """

    tokens: Tokens = attrs.field(repr=False)
    context: int
    texts: Sequence[str] = attrs.field(repr=False)
    size: int
    sources: Sequence[str] = attrs.field(default=(), init=False)

    @property
    def targets(self) -> int:
        """How many tokens are predicted."""
        return max(0, len(self.tokens) - 1)

    @property
    def windows(self) -> int:
        """How many windows that takes, the last one filled up."""
        return -(-self.targets // self.context)

    def batches(self, at_once: int, limit: int | None = None) -> Iterator[Batch]:
        """All windows, or about `limit` tokens of them spread evenly, by batches of about `at_once` tokens.

        Targets of `IGNORED` only fill the last window.
        """
        wanted = self.windows if limit is None else min(max(1, limit // self.context), self.windows)
        picked = [index * self.windows // wanted for index in range(wanted)]
        rows = max(1, at_once // self.context)
        for start in range(0, wanted, rows):
            pairs = [self._pair(index) for index in picked[start : start + rows]]
            yield Batch(tokens=torch.stack([x for x, _ in pairs]), targets=torch.stack([y for _, y in pairs]))

    def xz_bits(self) -> float:
        """Bits a byte that xz (preset 9) needs for the same documents, one after the other."""
        return xz_bits(self.texts)

    def _pair(self, index: int) -> tuple[Tensor, Tensor]:
        start = index * self.context
        found = torch.from_numpy(self.tokens[start : start + self.context + 1].astype(np.int64))
        missing = self.context + 1 - len(found)
        x = torch.nn.functional.pad(found[:-1], (0, missing))
        return x, torch.nn.functional.pad(found[1:], (0, missing), value=IGNORED)
