"""Texts of many prompts, a line of JSON each, in the order of the prompts though they end in another."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
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

    Raises `GenerationError` where either is there already, before anything is written.
    """

    def __init__(self, texts: Sequence[Text], path: Path) -> None:
        self._texts, self._path, self._so_far = texts, path, path.with_name(path.name + ".part")

    def __enter__(self) -> Self:
        refuse_taken(self._path)
        try:
            self._file = self._so_far.open("x", encoding="utf-8")
        except OSError as fault:
            raise GenerationError(f"{self._so_far} cannot be written: {fault.strerror}; name another --out") from fault
        return self

    def done(self, number: int) -> None:
        self._file.write(self._texts[number].told() + "\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        count = sum(each.finish is not None for each in self._texts)
        self._file.close()
        if count < len(self._texts):
            click.echo(f"{count:_} of {len(self._texts):_} texts are in {self._so_far}", err=True)
            return
        whole = self._path.with_name(self._path.name + ".new")
        with whole.open("w", encoding="utf-8") as file:
            file.writelines(each.told() + "\n" for each in self._texts)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(self._path)
        self._so_far.unlink()


def refuse_taken(path: Path) -> None:
    """Raises `GenerationError` where texts would be written over something, or cannot be written."""
    for each in (path, path.with_name(path.name + ".part")):
        if each.exists():
            raise GenerationError(f"--out must be a new file; {each} is there: name another, or move it away")
    if not path.parent.is_dir():
        raise GenerationError(f"--out must lie in a folder that is there; {path.parent} is none: make it first")
