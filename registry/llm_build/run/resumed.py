"""Training that goes on where it was: the run, its last checkpoint, and that all of it is as it was."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import torch

from llm_build.components.compare import differences
from llm_build.context import Context
from llm_build.corpus import Contents
from llm_build.errors import RunError
from llm_build.interfaces import Tokenizer
from llm_build.resolve import load, resolve
from llm_build.run.checkpoints import Checkpoint, Checkpoints, step_of
from llm_build.run.compute import DEVICES, DTYPES, Compute
from llm_build.run.directory import RunDirectory
from llm_build.run.nested import read_state
from llm_build.run.provenance import tokenizer_files
from llm_build.run.requirements import refuse_missing

log = logging.getLogger("llm_build.resume")

SHOWN = 5


@attrs.frozen(kw_only=True)
class Resumed:
    """A run to go on with. `checkpoint` is None where training ended before it kept one: it begins anew then.

    `made` is what its versions.json says.
    """

    directory: RunDirectory
    checkpoint: Checkpoint | None
    made: Mapping[str, Any]

    @classmethod
    def of(cls, directory: RunDirectory, name: str | None, spec: Any) -> Resumed:
        """The last checkpoint of a run, or the one of a name, for a filled spec, which must be the run's.

        Raises `RunError` where the checkpoint is missing or damaged, needs a component that is not here, has no state
        to go on from, or was made by another spec or with another tokenizer file.
        """
        checkpoint = _taken(directory, name)
        there = directory if checkpoint is None else checkpoint
        refuse_missing(there.versions)
        found = cls(directory=directory, checkpoint=checkpoint, made=_made(there.versions))
        found._refuse_other_spec(spec, there.spec)
        found._refuse_other_tokenizer(spec)
        if checkpoint is None and found.made["init"] is not None:
            raise RunError(
                f"{directory.path} started from {found.made['init']['checkpoint']} and kept no checkpoint of its own: "
                "start it again, with --init, in another directory"
            )
        if checkpoint is not None and checkpoint.state.name not in checkpoint.manifest.files:
            raise RunError(f"{checkpoint.path} holds weights and no state of training to go on from: {ANEW}")
        return found

    def compute(self, device: str, dtype: str, seed: int | None) -> Compute:
        """Where and how to go on: as before, unless another device is asked for.

        Raises `RunError` for another dtype or seed. Says what may change the losses in their last digits.
        """
        before = self.made["compute"]
        for name, asked, unstated in (("dtype", dtype, "auto"), ("seed", seed, None)):
            if asked not in (unstated, before[name]):
                raise RunError(f"{self.directory.path} was trained with {name} {before[name]}, not {asked}: {ANEW}")
        compute = Compute.choose(before["device"] if device == "auto" else device, before["dtype"], before["seed"])
        unlike = list(self._unlike(compute.described()))
        if unlike:
            log.warning("the losses may differ from those of an uninterrupted run: %s", "; ".join(unlike))
        return compute

    def refuse_other_data(self, contents: Mapping[str, Contents]) -> None:
        """Raises `RunError` where the text is not the one that the run was trained on."""
        unlike = [
            f"the {name} text is {found}, not {before}"
            for name, found in contents.items()
            if found != (before := Contents(**self.made["data"][name]))
        ]
        if unlike:
            raise RunError(
                f"{self.directory.path} goes on with the text that it began with; {'; '.join(unlike)}: {ANEW}"
            )

    def give(self, tokenizer: Tokenizer) -> None:
        """Load the run's vocabulary, so that none is learned; a run without a checkpoint learns it again."""
        if self.checkpoint is not None:
            tokenizer.load(self.checkpoint.tokenizer)

    def state(self) -> Any:
        """What the job handed over when it kept the checkpoint; None where it begins anew."""
        if self.checkpoint is None:
            return None
        found = read_state(self.checkpoint.state, self.checkpoint.tensors)
        if not isinstance(found, dict) or not {"trainer", "random", "loggers"} <= found.keys():
            raise RunError(f"{self.checkpoint.state} must hold the state of training, and it does not: {ANEW}")
        return found

    def _unlike(self, now: Mapping[str, Any]) -> Iterator[str]:
        before = self.made["compute"]
        if now["device"] != before["device"]:
            yield f"it was trained on {before['device']}, and goes on on {now['device']}"
        elif now["device"] == "cpu" and now["threads"] != before["threads"]:
            yield f"it was trained with {before['threads']} threads, and goes on with {now['threads']}"
        if torch.__version__ != self.made["torch"]:
            yield f"it was trained with torch {self.made['torch']}, and goes on with {torch.__version__}"

    def _refuse_other_spec(self, spec: Any, before: Path) -> None:
        found = differences(spec, resolve(load(before), Context()))
        # where its text and its tokenizer lie may change: what they hold is compared
        unlike = [each for each in found if not (each.of_paths and each.path.startswith(("data.", "tokenizer.")))]
        if unlike:
            more = f" and {len(unlike) - SHOWN} more" if len(unlike) > SHOWN else ""
            shown = ", ".join(map(str, islice(unlike, SHOWN)))
            raise RunError(f"{self.directory.path} goes on with the spec that it began with; {shown}{more}: {ANEW}")

    def _refuse_other_tokenizer(self, spec: Any) -> None:
        before = self.made["tokenizer_files"].values()
        unlike = [file for file, found in tokenizer_files(spec).items() if before and found not in before]
        if unlike:
            raise RunError(f"{self.directory.path} goes on with its tokenizer; {', '.join(unlike)} was changed: {ANEW}")


ANEW = (
    "leave --resume out to start a new run, with --init RUN from these weights where model and tokenizer are the same"
)


def _taken(directory: RunDirectory, name: str | None) -> Checkpoint | None:
    checkpoints = directory.checkpoints
    if name is None and not checkpoints.names:
        return None
    taken = checkpoints.take(checkpoints.names[-1] if name is None else name)
    _refuse_damaged(checkpoints, taken.manifest.step)
    return taken


def _refuse_damaged(checkpoints: Checkpoints, step: int) -> None:
    """Those before the last are read when training ends, to find the best: damage is better seen now."""
    for name in checkpoints.names:
        try:
            if step_of(name) < step:
                Checkpoint.verified(checkpoints.path / name)
        except RunError as fault:
            raise RunError(f"{fault}. Move it elsewhere to go on without it; it may have been the best") from fault


def _made(versions: Path) -> Mapping[str, Any]:
    """What a versions.json says of how its run was made."""
    try:
        found: dict[str, Any] = json.loads(versions.read_text(encoding="utf-8"))
        compute, data, init = found["compute"], found["data"], found["init"]
        known = compute["device"] in DEVICES and compute["dtype"] in DTYPES
        numbers = all(type(compute[name]) is int and 0 <= compute[name] < 2**63 for name in ("seed", "threads"))
        if not (known and numbers and isinstance(found["torch"], str) and isinstance(found["tokenizer_files"], dict)):
            raise TypeError
        for side in ("training", "held out"):
            str(Contents(**data[side]))
        if init is not None:
            str(init["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise RunError(f"{versions} must say how the run was made, and it does not: {ANEW}") from fault
    return found
