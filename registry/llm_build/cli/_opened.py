"""What `generate` and `eval` share: the run, its checkpoint, and the spec of that."""

from __future__ import annotations

from collections.abc import Sequence

from llm_build.cli._options import resolve_spec, use_plugins
from llm_build.resolve import Reading
from llm_build.run import Checkpoint, RunDirectory, refuse_missing


def read_run(
    run: str, checkpoint: str | None, sets: Sequence[str], plugins: Sequence[str]
) -> tuple[RunDirectory, Checkpoint, Reading]:
    """A run, its best checkpoint or the named one, and the spec of that with the changes.

    Raises `RunError` where the checkpoint is missing or damaged or needs a component that is not here, and `SpecError`
    with every fault of the spec.
    """
    place = RunDirectory.existing(run)
    taken = place.checkpoints.take(checkpoint)
    use_plugins(plugins)
    refuse_missing(taken.versions)
    return place, taken, resolve_spec(str(taken.spec), sets)
