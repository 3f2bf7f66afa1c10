"""Training that goes on from another run: its weights and its tokenizer, and no other's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from llm_build.assemble import build
from llm_build.checkpoint import load_weights
from llm_build.components import Config
from llm_build.components.compare import differences
from llm_build.context import Context
from llm_build.errors import RunError
from llm_build.interfaces import Tokenizer
from llm_build.resolve import load, resolve
from llm_build.run.checkpoints import Checkpoint
from llm_build.run.directory import RunDirectory
from llm_build.run.requirements import refuse_missing


@attrs.frozen
class Origin:
    """The checkpoint that a run starts from."""

    checkpoint: Checkpoint

    @classmethod
    def of(cls, run: str | Path, spec: Any) -> Origin:
        """The best checkpoint of a run that a filled spec can start from, or the one that `run` is the path of.

        Raises `RunError` where it is missing or damaged, has another tokenizer, or weights with other names or shapes.
        """
        origin = cls(_taken(Path(run)))
        refuse_missing(origin.checkpoint.versions)
        origin._refuse_other_tokenizer(spec.tokenizer)
        # on the meta device names and shapes are compared and nothing is copied
        load_weights(build(spec, device="meta"), origin.checkpoint.weights)
        return origin

    def give(self, tokenizer: Tokenizer) -> None:
        """Load the run's vocabulary, so that none is learned."""
        tokenizer.load(self.checkpoint.tokenizer)

    def described(self) -> dict[str, str]:
        """For the record: where the checkpoint lies, and the SHA-256 of its weights."""
        weights = self.checkpoint.manifest.files[self.checkpoint.weights.name]
        return {"checkpoint": str(self.checkpoint.path.absolute()), "weights": weights.sha256}

    def _refuse_other_tokenizer(self, wanted: Config) -> None:
        there: Any = resolve(load(self.checkpoint.spec), Context())
        if there.tokenizer == wanted:
            return
        unlike = ", ".join(map(str, differences(wanted, there.tokenizer, "tokenizer")))
        raise RunError(
            f"training that starts from {self.checkpoint.path} takes over its tokenizer; the spec has another one: "
            f"{unlike}: write it as in {self.checkpoint.spec}"
        )


def _taken(run: Path) -> Checkpoint:
    if run.parent.name == "checkpoints":
        return RunDirectory.existing(run.parent.parent).checkpoints.take(run.name)
    return RunDirectory.existing(run).checkpoints.take()
