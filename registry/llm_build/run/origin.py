"""Training that goes on from another run: its weights and its tokenizer, and no other's."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

import attrs

from llm_build.assemble import build
from llm_build.checkpoint import load_weights
from llm_build.components import Config, field_specs
from llm_build.context import Context
from llm_build.errors import RunError
from llm_build.interfaces import Tokenizer
from llm_build.resolve import load, resolve
from llm_build.run.directory import RunDirectory


@attrs.frozen
class Origin:
    """The run that another one starts from."""

    directory: RunDirectory

    @classmethod
    def of(cls, run: str | Path, spec: Any) -> Origin:
        """A run that a filled spec can start from.

        Raises `RunError` where it is missing, has no weights, another tokenizer, or weights with other names or shapes.
        """
        origin = cls(RunDirectory.trained(run))
        origin._refuse_other_tokenizer(spec.tokenizer)
        # on the meta device names and shapes are compared and nothing is copied
        load_weights(build(spec, device="meta"), origin.directory.weights)
        return origin

    def give(self, tokenizer: Tokenizer) -> None:
        """Load the run's vocabulary, so that none is learned."""
        tokenizer.load(self.directory.tokenizer)

    def described(self) -> dict[str, str]:
        """For the record: where the run lies, and the SHA-256 of its weights."""
        with self.directory.weights.open("rb") as file:
            return {"run": str(self.directory.path.absolute()), "weights": file_digest(file, "sha256").hexdigest()}

    def _refuse_other_tokenizer(self, wanted: Config) -> None:
        there: Any = resolve(load(self.directory.spec), Context())
        if there.tokenizer == wanted:
            return
        raise RunError(
            f"training that starts from {self.directory.path} takes over its tokenizer; the spec has another one: "
            f"{', '.join(_differences(wanted, there.tokenizer))}: write it as in {self.directory.spec}"
        )


def _differences(wanted: Config, there: Config | None) -> Iterator[str]:
    if there is None or type(wanted) is not type(there):
        yield f"{_name(wanted)}, not {_name(there)}"
        return
    for field in field_specs(wanted):
        mine, other = getattr(wanted, field), getattr(there, field)
        if mine != other:
            yield f"{field} is {mine}, not {other}"


def _name(config: Config | None) -> str:
    return "none" if config is None else config.__component__.name
