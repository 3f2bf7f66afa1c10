"""What a checkpoint holds: the size and SHA-256 of each of its files, and of the manifest itself.

A manifest is JSON in one spelling only. Its last line is the SHA-256 of what stands above it, so that a bit that flips
anywhere in the file is seen, be it in a blank.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import attrs

from llm_build.errors import RunError

MANIFEST = "manifest.json"
FORMAT = 1
MOST = 2**20
"""Bytes that a manifest may have; one of ten files has about 1_500."""


@attrs.frozen
class Digest:
    """A file's size in bytes and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str

    @classmethod
    def of(cls, file: Path) -> Digest:
        """Raises `OSError` where the file cannot be read."""
        with file.open("rb") as content:
            return cls(file.stat().st_size, file_digest(content, "sha256").hexdigest())


@attrs.frozen(kw_only=True)
class Manifest:
    """The step of a checkpoint, its held-out loss in nats a token (None: not measured), and its files by name."""

    step: int
    held_out_nats: float | None
    files: Mapping[str, Digest]

    @property
    def text(self) -> str:
        """The content of manifest.json."""
        body = {
            "format": FORMAT,
            "step": self.step,
            "held_out_nats": self.held_out_nats,
            "files": {name: {"size": each.size, "sha256": each.sha256} for name, each in sorted(self.files.items())},
        }
        return _text({**body, "sha256": sha256(_text(body).encode()).hexdigest()})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a checkpoint. Raises `RunError` where it is missing, or is not as it was written."""
        file = folder / MANIFEST
        try:
            found = _parsed(_content(file))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
            raise _damaged(folder, f"{MANIFEST} must be as it was written, and it is not: {_why(fault)}") from fault
        return found

    def verify(self, folder: Path) -> None:
        """Compare a folder's files with this. Raises `RunError` which names each file that differs, and how."""
        try:
            faults = list(self._faults(folder))
        except OSError as fault:
            raise _damaged(folder, f"it cannot be read: {fault}") from fault
        if faults:
            raise _damaged(folder, "; ".join(faults))

    def _faults(self, folder: Path) -> Iterator[str]:
        there = {each.name for each in folder.iterdir()} - {MANIFEST}
        yield from (f"{name} is missing" for name in sorted(self.files.keys() - there))
        yield from (f"{name} is not in its manifest" for name in sorted(there - self.files.keys()))
        for name in sorted(there & self.files.keys()):
            yield from _unlike(folder / name, self.files[name])


def _unlike(file: Path, stated: Digest) -> Iterator[str]:
    if file.is_symlink() or not file.is_file():
        yield f"{file.name} must be a plain file"
    elif file.stat().st_size != stated.size:
        yield f"{file.name} must have {stated.size:_} bytes; it has {file.stat().st_size:_}"
    elif Digest.of(file) != stated:
        yield f"{file.name} must have the SHA-256 that its manifest states; its content was changed"


def _content(file: Path) -> bytes:
    try:
        if file.is_symlink() or not file.is_file():
            raise ValueError("there is no such file")
        with file.open("rb") as content:
            found = content.read(MOST + 1)
    except OSError as fault:
        raise ValueError(str(fault)) from fault
    if len(found) > MOST:
        raise ValueError(f"it has more than {MOST:_} bytes")
    return found


def _parsed(content: bytes) -> Manifest:
    """The manifest of a text, of which every byte is accounted for."""
    told = json.loads(content)
    if told["format"] != FORMAT:
        raise ValueError(f"format must be {FORMAT}, is {told['format']}")
    found = Manifest(
        step=_count(told["step"]),
        held_out_nats=None if told["held_out_nats"] is None else float(told["held_out_nats"]),
        files={_name(name): Digest(_count(each["size"]), str(each["sha256"])) for name, each in told["files"].items()},
    )
    if found.text.encode() != content:
        raise ValueError("it must end with the SHA-256 of what stands above, and hold nothing else")
    return found


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("step and sizes must be whole numbers from 0 to 2^63 - 1")
    return value


def _name(name: str) -> str:
    if name in {"", ".", "..", MANIFEST} or not name.isascii() or not name.isprintable() or set(name) & set("/\\:"):
        raise ValueError(f"{name!r:.40} is no name of a file beside it")
    return name


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, allow_nan=False) + "\n"


def _why(fault: Exception) -> str:
    if isinstance(fault, KeyError):
        return f"it lacks {fault}"
    if isinstance(fault, UnicodeDecodeError | json.JSONDecodeError):
        return "it is no JSON"
    if isinstance(fault, TypeError | AttributeError | RecursionError):
        return "it is no manifest"
    return str(fault)


def _damaged(folder: Path, why: str) -> RunError:
    return RunError(f"{folder} is damaged: {why}")
