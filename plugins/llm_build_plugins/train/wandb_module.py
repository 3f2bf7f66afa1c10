"""Figures for Weights & Biases."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from llm_build import UNSET, Config, RunError, Share, id_of, load
from llm_build_plugins.train._logging import need, strange, writable

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.wandb_config import wandb

log = logging.getLogger("llm_build.wandb")

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
PATIENCE = 120.0
"""Seconds that the end of training waits for figures to be sent."""


class WandB:
    """Hands the figures to wandb's own process, which writes them under RUN/wandb and sends them unless it is offline.

    Training waits for the network for 90 s at its beginning and two minutes at its end, at most. Where no server is
    reached figures are kept for `wandb sync RUN/wandb`, and a warning says so. A run that goes on from a checkpoint is
    the same there, in one more folder; `wandb sync` sends one folder after the other. All rows stay: one that comes
    late is appended, at the step that it names. Training that is killed loses up to 15 s that wandb had not written.
    """

    def __init__(self, config: wandb, context: Context) -> None:
        """Raises `RunError` where the library is missing, which is before any data is prepared."""
        need("wandb")
        self.config = config
        self._run: Any = None
        self._id: str | None = None
        self._faults: tuple[type[Exception], ...] = ()

    def begin(self, directory: Path, mark: str | None = None) -> None:
        """Begin a run, or go on with the one of the id `mark`.

        Raises `RunError` where nobody is logged in, or nothing can be written.
        """
        if mark is not None and not (isinstance(mark, str) and ID.fullmatch(mark)):
            raise strange(mark, "the id of a run of wandb")
        writable(directory / "wandb")  # wandb would take a folder elsewhere, and say so at most
        if self.config.mode in {"offline", "disabled"}:
            # else wandb reports on itself through the network even then; no setting of a run ends that
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        from wandb import errors
        from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

        self._id, self._faults = mark, (OSError, errors.Error, HandleAbandonedError, MailboxClosedError)
        try:
            self._run = self._connected(directory)
            self._id = self._run.id
            self._run.define_metric("step", hidden=True)
            self._run.define_metric("*", step_metric="step")
        except self._faults as fault:
            raise RunError(
                f'wandb must be able to begin, which failed: {fault} Or write mode = "offline", or leave wandb out of '
                "`loggers`"
            ) from fault

    def log(self, figures: Mapping[str, float]) -> None:
        if self._run is None:
            return
        try:
            self._run.log(dict(figures))
        except self._faults as fault:
            self._run = None
            log.warning(
                "wandb stopped: %s. Training goes on; figures from step %d on are not there", fault, figures["step"]
            )

    def mark(self) -> str | None:
        """The run's id."""
        return self._id

    def end(self) -> None:
        if self._run is not None:
            try:
                self._run.finish()
            except self._faults as fault:
                log.warning("wandb did not end as it should: %s", fault)
            self._run = None

    def _connected(self, directory: Path) -> Any:
        from wandb import errors

        try:
            return self._begun(directory, self.config.mode)
        except errors.AuthenticationError:
            raise
        except errors.CommError as fault:
            log.warning(
                "wandb cannot be reached: %s. Training goes on; `wandb sync %s` sends its figures",
                fault,
                directory / "wandb",
            )
            return self._begun(directory, "offline")

    def _begun(self, directory: Path, mode: Any) -> Any:
        import wandb

        spec = directory / "spec.llm"
        return wandb.init(
            project=self.config.project,
            entity=self.config.entity,
            name=self.config.name or directory.resolve().name,
            mode=mode,
            dir=directory,
            id=self._id,
            resume=None if self._id is None else "allow",
            reinit="create_new",  # a run of the program's own goes on
            config={**_fields(load(spec)), "spec": spec.read_text(encoding="utf-8")},
            settings=wandb.Settings(console="off", quiet=True, finish_timeout=PATIENCE),
        )


def _told(value: Any) -> Any:
    """What a config states, as wandb's tables take it."""
    if isinstance(value, Config):
        return {"component": id_of(value), **_fields(value)}
    if isinstance(value, tuple | list):
        return [_told(each) for each in value]
    return str(value) if isinstance(value, Share) else value


def _fields(config: Any) -> dict[str, Any]:
    found = attrs.asdict(config, recurse=False)
    return {name: _told(each) for name, each in found.items() if each is not UNSET}
