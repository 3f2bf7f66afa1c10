"""Texts of many prompts, a line of JSON each, in the order of the prompts though they end in another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import click

from llm_build.cli._prompts import Prompt
from llm_build.errors import GenerationError

if TYPE_CHECKING:
    from llm_build.interfaces import Piece


@attrs.define
class Text:
    """What has been written after one prompt."""

    prompt: Prompt
    sample: int
    text: str = ""
    tokens: int = 0
    finish: str | None = None

    def add(self, piece: Piece) -> bool:
        """Whether that was the last of it."""
        self.text += piece.text
        self.tokens += piece.token is not None
        self.finish = piece.finish
        return piece.finish is not None

    def told(self) -> str:
        beside = {**self.prompt.beside, "line": self.prompt.line, "sample": self.sample}
        said: dict[str, Any] = {"prompt": self.prompt.text, **beside}
        return json.dumps({**said, "text": self.text, "tokens": self.tokens, "finish": self.finish}, ensure_ascii=False)


class Printed:
    """To stdout: each as soon as it and all before it are there."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self._texts, self._next = texts, 0

    def __enter__(self) -> Self:
        return self

    def done(self, _number: int) -> None:
        while self._next < len(self._texts) and self._texts[self._next].finish:
            click.echo(self._texts[self._next].told())
            self._next += 1

    def __exit__(self, *_: object) -> None:
        """Those that are done behind one that is not are told too."""
        for each in self._texts[self._next :]:
            if each.finish:
                click.echo(each.told())


class Filed:
    """To a file that appears when all are there; until then those that are done lie in one beside it, as they came.

    Raises `GenerationError` where one of these files is there already, before anything is written, and where one cannot
    be written.
    """

    def __init__(self, texts: Sequence[Text], path: Path) -> None:
        self._texts = texts
        self._path, self._so_far, self._whole = _files(path)

    def __enter__(self) -> Self:
        refuse_taken(self._path)
        with _written(self._so_far):
            self._file, self._kept = self._so_far.open("x", encoding="utf-8"), 0
        return self

    def done(self, number: int) -> None:
        with _written(self._so_far):
            self._file.write(self._texts[number].told() + "\n")
            self._file.flush()
        self._kept += 1

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what it still had to write was told as a fault where it came
            self._file.close()
        if self._kept < len(self._texts):
            if self._kept:
                click.echo(f"{self._kept:_} of {len(self._texts):_} texts are in {self._so_far}", err=True)
            else:
                self._so_far.unlink()
            return
        with _written(self._whole):
            with self._whole.open("x", encoding="utf-8") as file:
                file.writelines(each.told() + "\n" for each in self._texts)
                file.flush()
                os.fsync(file.fileno())
            self._whole.replace(self._path)
        self._so_far.unlink()


def refuse_taken(path: Path) -> None:
    """Raises `GenerationError` where texts would be written over something, or cannot be written."""
    if not path.name:
        raise GenerationError(f"--out must name a file; {path} is none: name one in it")
    for each in _files(path):
        if each.exists():
            raise GenerationError(f"--out must be a new file; {each} is there: name another, or move it away")
    if not path.parent.is_dir():
        raise GenerationError(f"--out must lie in a folder that is there; {path.parent} is none: make it first")


def _files(path: Path) -> tuple[Path, Path, Path]:
    """The file itself, the one that holds what is done so far, and the one that becomes the first."""
    return path, path.with_name(path.name + ".part"), path.with_name(path.name + ".new")


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Raises `GenerationError` where a file cannot be written, as on a full disk."""
    try:
        yield
    except OSError as fault:
        raise GenerationError(f"{path} cannot be written: {fault.strerror}; name another --out") from fault
