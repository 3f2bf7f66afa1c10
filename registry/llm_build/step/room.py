"""What a state takes of a device's memory, beside what is there."""

from __future__ import annotations

from dataclasses import dataclass

from llm_build.devices import GIB
from llm_build.errors import GenerationError
from llm_build.step.view import Sizes

UNITS = (("GiB", GIB), ("MiB", 2**20))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMemory:
    """Bytes on a device, before a state is allocated: of the model's weights, which are there, of the state, and free.

    As text it is a line for people.
    """

    device: str
    weights: int
    state: int
    free: float
    sizes: Sizes

    def refuse(self) -> None:
        """Raises `GenerationError` with the figures where the state does not fit into what is free."""
        if self.state > self.free:
            raise GenerationError(
                f"what a model keeps of its texts must fit into the memory that is free: {self}. {self._remedy()}, or "
                "keep them in fewer bytes (--set generate.cache.codec=int8)"
            )

    def _remedy(self) -> str:
        """Sizes for which there may be memory: a state grows with rows and tokens."""
        rows, tokens = (int(each * self.free / self.state) for each in (self.sizes.rows, self.sizes.capacity))
        fewer = f"Write about {rows:_} texts at a time (--set generate.rows={rows}, or open(rows={rows})), or "
        shorter = f"{tokens:_} tokens of each (--max-new, or open(capacity={tokens}))"
        return (fewer if rows else "Write about ") + shorter if tokens else "Free some"

    def __str__(self) -> str:
        texts, take = ("one text", "takes") if self.sizes.rows == 1 else (f"{self.sizes.rows:_} texts", "take")
        return (
            f"{texts} of at most {self.sizes.capacity:_} tokens {take} {_size(self.state)} on {self.device}, where "
            f"{_size(self.free)} are free; the weights are {_size(self.weights)}"
        )


def _size(count: float) -> str:
    unit, of = next((each for each in UNITS if count >= each[1] / 10), ("KiB", 2**10))
    return f"{count / of:_.1f} {unit}"
