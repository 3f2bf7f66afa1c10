"""Ways to damage a checkpoint, or to lay something beside it that is none."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

from llm_build.run.checkpoints import Checkpoint
from llm_build.run.manifest import Digest


@attrs.frozen
class Target:
    """A file of a checkpoint, in the folder that holds all of them."""

    folder: Path
    name: str
    file: str
    chance: random.Random

    @property
    def checkpoint(self) -> Path:
        return self.folder / self.name

    @property
    def path(self) -> Path:
        return self.checkpoint / self.file

    def other(self) -> str:
        """The name of another checkpoint."""
        return self.chance.choice(sorted(each.name for each in self.folder.iterdir() if each.name != self.name))


Spoil = Callable[[Target], set[str]]
"""Does something to a target → the checkpoints that no longer are what they were; none where it is harmless."""


def flip(at: Target) -> set[str]:
    content = bytearray(at.path.read_bytes())
    content[at.chance.randrange(len(content))] ^= 1 << at.chance.randrange(8)
    at.path.write_bytes(content)
    return {at.name}


def cut(at: Target) -> set[str]:
    size = at.path.stat().st_size
    os.truncate(at.path, at.chance.randrange(size))
    return {at.name}


def extend(at: Target) -> set[str]:
    with at.path.open("ab") as content:
        content.write(at.chance.randbytes(at.chance.randint(1, 100)) if at.chance.random() < 0.5 else b"\n")
    return {at.name}


def empty(at: Target) -> set[str]:
    os.truncate(at.path, 0)
    return {at.name}


def remove(at: Target) -> set[str]:
    at.path.unlink()
    return {at.name}


def zero_a_page(at: Target) -> set[str]:
    """What a disk gives for a page that it never wrote."""
    content = bytearray(at.path.read_bytes())
    start = at.chance.randrange(-(-len(content) // 4_096)) * 4_096
    end = min(len(content), start + 4_096)
    content[start:end] = bytes(end - start)
    at.path.write_bytes(content)
    return {at.name}


def link(at: Target) -> set[str]:
    """A link to the same content elsewhere, which may change behind the checkpoint's back."""
    elsewhere = at.folder.parent / f"moved-{at.file}"
    at.path.rename(elsewhere)
    at.path.symlink_to(elsewhere)
    return {at.name}


def folder_in_place(at: Target) -> set[str]:
    at.path.unlink()
    at.path.mkdir()
    return {at.name}


def exchange(at: Target) -> set[str]:
    """Two files of a name change places between two checkpoints."""
    other = at.other()
    first, second = at.path, at.folder / other / at.file
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    return set() if a == b else {at.name, other}


def copy_from_another(at: Target) -> set[str]:
    other = at.other()
    content = (at.folder / other / at.file).read_bytes()
    same = content == at.path.read_bytes()
    at.path.write_bytes(content)
    return set() if same else {at.name}


def exchange_inside(at: Target) -> set[str]:
    """Two files of one checkpoint change places."""
    others = [each.name for each in at.checkpoint.iterdir() if each.name != at.file]
    other, aside = at.chance.choice(others), at.checkpoint / "aside"
    at.path.rename(aside)
    (at.checkpoint / other).rename(at.path)
    aside.rename(at.checkpoint / other)
    return {at.name}


def stranger(at: Target) -> set[str]:
    """A file that nobody accounted for."""
    (at.checkpoint / f"{at.file}.bak").write_bytes(at.path.read_bytes())
    return {at.name}


def cut_manifest_line(at: Target) -> set[str]:
    manifest = at.checkpoint / "manifest.json"
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    del lines[at.chance.randrange(len(lines))]
    manifest.write_text("".join(lines), encoding="utf-8")
    return {at.name}


def forge_manifest(at: Target) -> set[str]:
    """The manifest states what a changed file holds now, but its own SHA-256 is the old one."""
    manifest = at.checkpoint / "manifest.json"
    before = Checkpoint.verified(at.checkpoint).manifest.files
    target = attrs.evolve(at, file=at.chance.choice(sorted(before)))
    flip(target)
    text = manifest.read_text(encoding="utf-8")
    text = text.replace(before[target.file].sha256, Digest.of(target.path).sha256)
    manifest.write_text(text, encoding="utf-8")
    return {at.name}


def another_step(at: Target) -> set[str]:
    """The directory takes the name of a step that it is not of, its own is then missing."""
    other = at.folder / f"step-{at.chance.choice([1, 33, 34, 36, 40]):06}"
    at.checkpoint.rename(other)
    return {at.name, other.name}


def names_exchanged(at: Target) -> set[str]:
    other = at.other()
    at.checkpoint.rename(at.folder / "aside")
    (at.folder / other).rename(at.checkpoint)
    (at.folder / "aside").rename(at.folder / other)
    return {at.name, other}


def hollow(at: Target) -> set[str]:
    for each in at.checkpoint.iterdir():
        each.unlink()
    return {at.name}


def stale_new(at: Target) -> set[str]:
    """What a save that was killed leaves."""
    stale = at.folder / f".step-{at.chance.choice([32, 36, 40]):06}.new"
    shutil.copytree(at.checkpoint, stale)
    cut(attrs.evolve(at, name=stale.name))
    return set()


def stale_old(at: Target) -> set[str]:
    """What a removal that was killed leaves."""
    stale = at.folder / f".{at.chance.choice([at.name, 'step-000004'])}.old"
    shutil.copytree(at.checkpoint, stale)
    (stale / at.file).unlink()
    return set()


PER_FILE: tuple[Spoil, ...] = (
    flip, cut, extend, empty, remove, zero_a_page, link, folder_in_place, exchange, copy_from_another, exchange_inside,
    stranger, stale_new, stale_old,
)  # fmt: skip
PER_CHECKPOINT: tuple[Spoil, ...] = (cut_manifest_line, forge_manifest, another_step, names_exchanged, hollow)
