"""Prompts from a file: a line each. Free of torch, so that a bad line is told at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from llm_build.errors import GenerationError, PromptError

RESULTS = ("line", "sample", "text", "tokens", "finish")
"""What is said of each text beside its prompt."""
SHOWN = 5


@attrs.frozen(kw_only=True)
class Prompt:
    """A prompt and the line that it stands in, counted from 1; `beside` are other fields of that line."""

    text: str
    line: int
    beside: Mapping[str, Any] = attrs.field(factory=dict)


class _Faulty(Exception):
    """A line that is no prompt."""


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file in UTF-8: a line each as it is, or, where its name ends in .jsonl, `{"prompt": "…"}`.

    Raises `GenerationError` with every line that is none, and for a file that cannot be read or holds none.
    """
    read = _of_json if path.suffix == ".jsonl" else _as_it_is
    found, faults = [], []
    for number, line in enumerate(_lines(path), 1):
        try:
            found.append(read(number, line))
        except _Faulty as fault:
            faults.append(f"{path}:{number}: {fault}")
    if faults:
        raise _refused(faults)
    if not found:
        raise GenerationError(f"{path} must hold a prompt a line; it is empty")
    return found


@contextmanager
def naming_lines(path: Path, prompts: Sequence[Prompt]) -> Iterator[None]:
    """A fault of some of these prompts is told with the lines in which they stand, each once."""
    try:
        yield
    except PromptError as fault:
        told = {prompts[place].line: why for place, why in sorted(fault.faults.items())}
        raise _refused([f"{path}:{line}: {why}" for line, why in told.items()]) from fault


def _refused(faults: Sequence[str]) -> GenerationError:
    more = [f"and {len(faults) - SHOWN:_} lines more"] if len(faults) > SHOWN else []
    return GenerationError("\n".join([*faults[:SHOWN], *more]))


def _lines(path: Path) -> Sequence[str | bytes]:
    """Without what ends them; a line that is no UTF-8 stays bytes."""
    try:
        whole = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as fault:
        raise GenerationError(f"{path} cannot be read: {fault.strerror or fault}; name a file of prompts") from fault
    lines = [each.removesuffix(b"\r") for each in whole.split(b"\n")]
    return [_decoded(each) for each in (lines if lines[-1] else lines[:-1])]


def _decoded(line: bytes) -> str | bytes:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line


def _as_it_is(number: int, line: str | bytes) -> Prompt:
    if isinstance(line, bytes):
        raise _Faulty("a prompt must be UTF-8; write the file anew as that")
    if not line:
        raise _Faulty(
            'a prompt must hold some text; delete the line, or write {"prompt": ""} a line into a file that ends in '
            ".jsonl (there a prompt may hold new lines too, as \\n)"
        )
    return Prompt(text=line, line=number)


def _of_json(number: int, line: str | bytes) -> Prompt:
    try:
        read = json.loads(line)
        whole = json.dumps(read, ensure_ascii=False)
    except RecursionError as fault:
        raise _Faulty("a line must be JSON that is not so deep; leave such a field out") from fault
    except ValueError as fault:
        raise _Faulty(f'a line must be JSON such as {{"prompt": "…"}}: {fault}') from fault
    if not isinstance(read, dict) or not isinstance(read.get("prompt"), str):
        raise _Faulty('a line must be an object with a text "prompt"; write {"prompt": "…"}')
    if whole.encode(errors="replace").decode() != whole:
        raise _Faulty("a prompt, and what is beside it, must be text that UTF-8 can hold; take out the lone surrogate")
    text = read.pop("prompt")
    taken = [each for each in RESULTS if each in read]
    if taken:
        raise _Faulty(f'"{taken[0]}" is what the answer is told under; give the field another name')
    return Prompt(text=text, line=number, beside=read)
