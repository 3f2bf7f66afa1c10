"""The checkpoints of a run: each a directory that appears whole or not at all, and is never written to again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import attrs

from llm_build.errors import RunError
from llm_build.run.manifest import MANIFEST, Digest, Manifest

Writers = Mapping[str, Callable[[Path], None]]
"""The files of a checkpoint: by its name, what writes each of them to a path."""

LAST = 2
STATE, TENSORS = "training.json", "training.safetensors"
NAME = re.compile(r"step-(\d{6,18})")


@attrs.frozen
class Checkpoint:
    """A checkpoint whose every file was compared with its manifest when this was made."""

    path: Path
    manifest: Manifest

    @classmethod
    def verified(cls, path: Path) -> Checkpoint:
        """Raises `RunError` where a file differs from the manifest, with the file and how it differs."""
        manifest = _manifest(path)
        manifest.verify(path)
        return cls(path, manifest)

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def spec(self) -> Path:
        return self.path / "spec.llm"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def versions(self) -> Path:
        return self.path / "versions.json"

    @property
    def state(self) -> Path:
        """What training goes on from; its tensors lie in `tensors`."""
        return self.path / STATE

    @property
    def tensors(self) -> Path:
        return self.path / TENSORS


@attrs.frozen
class Checkpoints:
    """A run's folder of checkpoints. The last two are kept, and the one with the lowest held-out loss."""

    path: Path

    @property
    def names(self) -> list[str]:
        """Those that are there, by step; what a save that was killed left behind is none."""
        if not self.path.is_dir():
            return []
        return sorted((each.name for each in self.path.iterdir() if NAME.fullmatch(each.name)), key=step_of)

    def take(self, name: str | None = None) -> Checkpoint:
        """The checkpoint of a name, or else the best, compared with its manifest.

        The best has the lowest held-out loss; where none was measured it is the last. Raises `RunError` where there is
        none, or where it is damaged: the message names another one that is whole.
        """
        names = self.names
        if not names:
            raise RunError(f"{self.path.parent} has no checkpoint: its training ended before the first was kept")
        if name is not None and name not in names:
            raise RunError(f"{self.path.parent} has no checkpoint {name}; it has {', '.join(names)}")
        chosen = name or self._best(names)
        try:
            return Checkpoint.verified(self.path / chosen)
        except RunError as fault:
            raise RunError(f"{fault}; {self._offer(chosen)}") from fault

    @property
    def best(self) -> Manifest | None:
        """The manifest of the best, as `take` finds it; None where there is no checkpoint."""
        names = self.names
        return _manifest(self.path / self._best(names)) if names else None

    def set_aside(self, step: int) -> list[Path]:
        """Give every checkpoint of a later step another name, under which it is none any more; nothing is removed."""
        moved = []
        for name in self.names:
            if step_of(name) > step:
                places = (self.path / f"{name}.aside{number}" for number in count(1))
                moved.append((self.path / name).rename(next(place for place in places if not place.exists())))
        return moved

    def tidy(self) -> None:
        """Do what a save that was killed has left to do: remove what it left, and what need not be kept."""
        self._sweep()
        if self.names:
            self._remove_old()

    def save(self, step: int, held_out_nats: float | None, writers: Writers) -> None:
        """Write the checkpoint of a step, then remove those that need not be kept.

        Until its last file is on the disk it has another name. Raises `RunError` where it cannot be written; what was
        there before is then as it was.
        """
        place, temporary = self.path / _named(step), self.path / f".{_named(step)}.new"
        if place.exists():
            raise RunError(f"a checkpoint is never written over, and {place} is there: train into another directory")
        try:
            self._make_folder()
            self._sweep()
            temporary.mkdir()
            _fill(temporary, step, held_out_nats, writers)
            temporary.rename(place)
            _sync(self.path)
            self._remove_old()
        except (OSError, RunError) as fault:
            there = ", ".join(self.names) or "none"
            raise RunError(
                f"a checkpoint must be written to {place}, which failed: {fault}; checkpoints that are there: {there}"
            ) from fault
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _best(self, names: list[str]) -> str:
        """Raises `RunError` where a manifest cannot be read, as that one could be the best."""
        try:
            return _best({name: _manifest(self.path / name) for name in names})
        except RunError as fault:
            whole = ", ".join(self._whole(names)) or "none"
            raise RunError(
                f"{fault}; which checkpoint is the best is not known then. Whole are: {whole}: {HOW}"
            ) from fault

    def _offer(self, damaged: str) -> str:
        """What to take in place of a damaged one: the nearest before it, or else the nearest after it."""
        others = sorted(
            self.names, key=lambda name: (step_of(name) > step_of(damaged), abs(step_of(name) - step_of(damaged)))
        )
        for name in self._whole([each for each in others if each != damaged]):
            return f"{name} is whole: {HOW.replace('NAME', name)}"
        return "no other checkpoint of this run is whole"

    def _whole(self, names: list[str]) -> Iterator[str]:
        for name in names:
            try:
                yield Checkpoint.verified(self.path / name).path.name
            except RunError:  # damaged as well
                continue

    def _make_folder(self) -> None:
        if not self.path.is_dir():
            self.path.mkdir()
            _sync(self.path.parent)

    def _sweep(self) -> None:
        """Remove what saves and removals that were killed have left."""
        for each in self.path.glob(".step-*"):
            shutil.rmtree(each)

    def _remove_old(self) -> None:
        """Remove all but the last and the best; what cannot be read is left for a person to look at."""
        readable: dict[str, Manifest] = {}
        for name in self.names:
            try:
                readable[name] = _manifest(self.path / name)
            except RunError:
                continue
        for name in readable.keys() - {*list(readable)[-LAST:], _best(readable)}:
            # under another name first: a removal that is killed must not look like a checkpoint that is damaged
            doomed = (self.path / name).rename(self.path / f".{name}.old")
            shutil.rmtree(doomed)


HOW = 'take it with --checkpoint NAME, open_run(…, checkpoint="NAME") or --init RUN/checkpoints/NAME'


def _manifest(checkpoint: Path) -> Manifest:
    """What a checkpoint says of itself. Raises `RunError` where that cannot be read, or is said of another step."""
    found = Manifest.read(checkpoint)
    if checkpoint.name != _named(found.step):
        raise RunError(f"{checkpoint} is damaged: its manifest is that of {_named(found.step)}")
    return found


def _best(manifests: Mapping[str, Manifest]) -> str:
    """The lowest loss, and of equals the first; where none was measured, the last."""
    measured = {name: each.held_out_nats for name, each in manifests.items() if each.held_out_nats is not None}
    if not measured:
        return max(manifests, key=step_of)
    return min(measured, key=lambda name: (measured[name], step_of(name)))


def _fill(folder: Path, step: int, held_out_nats: float | None, writers: Writers) -> None:
    manifest = Manifest(step=step, held_out_nats=held_out_nats, files=_written(folder, writers))
    (folder / MANIFEST).write_text(manifest.text, encoding="utf-8", newline="\n")
    _sync(folder / MANIFEST)
    _sync(folder)


def _written(folder: Path, writers: Writers) -> dict[str, Digest]:
    """Write the files → what is in each, once all of them are on the disk.

    Training waits for this, so each is synced and hashed while the next is written.
    """
    with ThreadPoolExecutor(1) as disk, ThreadPoolExecutor(1) as processor:
        synced, digests = [], {}
        for name, write in writers.items():
            write(folder / name)
            (folder / name).chmod(folder.stat().st_mode & 0o666)  # some libraries write for the owner alone
            synced.append(disk.submit(_sync, folder / name))
            digests[name] = processor.submit(Digest.of, folder / name)
        for each in synced:
            each.result()
        return {name: each.result() for name, each in digests.items()}


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _named(step: int) -> str:
    return f"step-{step:06}"


def step_of(name: str) -> int:
    """The step of a checkpoint's name."""
    return int(name.removeprefix("step-"))
