"""What a stranger's spec may do: give diagnostics. Everything else that Python can be seen to do is held against it."""

from __future__ import annotations

import json
import os
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_build.diagnostics import Source, render
from llm_build.language.formatter import format_text
from llm_build.resolve import read
from tests.language.drawing import EVERY_STATEMENT

ROOT = Path(__file__).parents[2]
OUTSIDE = ("../x.json", "link.json", "/etc/hostname", "/etc/passwd", "../project/../x.json")
"""Paths of files that lie outside the project, one of them through a link; most of them are there."""
SETTING = "\n--set "
"""What stands before a setting in an input; the spec ends at the first."""
WORDS = [
    *(ROOT / "registry" / "llm_build" / "language" / "grammar.lark").read_text(encoding="utf-8").split('"')[1::2],
    *["cycle", "count", "sqrt", "params", "flops", "memory", "min", "max", "tokenizer", "model", "data", "train"],
    *["generate", "decoder", "block", "gqa", "mha", "swiglu", "moe", "rms", "norm", "layers", "attention", "ffn"],
    *["dim", "heads", "norm:layer", "model.layers[0]", "[0:3]", "0", "-1", "3", "64", "1%", "1K", "8Ki", "1e400"],
    *["1e-400", "9**9**9", "1__0", "0x1F", "9999999999999999999", "#", "$", ";", "@", "'", "&", "|", "!", "\u202e"],
    *[
        '"',
        '""',
        '"a"',
        '"a\\q"',
        '"\\u0000"',
        '"\\ud800"',
        '"/etc/passwd"',
        '"../../x.llm"',
        '"base.llm"',
        '"self.llm"',
        '"drawn.llm"',
        '"tokenizer.json"',
    ],
    *[f'tokenizer = pretrained {{ file = "{each}" }}\n' for each in OUTSIDE],
    *["\n", "\n\n", "\r\n", "  ", "\t", "llm 1\n", SETTING, 'extends "base.llm"\n', "4096 * ", "cycle(a, to = 4)"],
]
"""The words of the language, and some that break it."""
ALLOWED = sys.stdlib_module_names | {
    "llm_build",
    "llm_build_plugins",
    "attr",
    "attrs",
    "lark",
    "pluggy",
    "_distutils_hack",
}
FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "urllib.",
    "shutil.",
    "ctypes.",
)


CHANGES = """param d = 32
model { dropout = 0.2, layers { attention { bias = true } } }
model { layers[0:2] { ffn { hidden = 2 * d } } }
train { batch = 3 }
require model.dim >= d : "as wide as before"
"""
"""What a child file says of any base."""


class Watch:
    """Notes each import, opened file, process and connection that reading a spec has no business with."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self.roots = [str(Path(each).resolve()) for each in (sys.prefix, sys.base_prefix, ROOT)]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "import":
            if str(args[0]).partition(".")[0] not in ALLOWED:
                self.seen.append(f"import {args[0]}")
        elif event == "open":
            if not self._may_open(args[0], args[1], args[2]):
                self.seen.append(f"open {args[0]!r} {args[1]}")
        elif event.startswith(FORBIDDEN):
            self.seen.append(event)

    def _may_open(self, path: Any, mode: Any, flags: Any) -> bool:
        # what a link or `..` leads to is what is opened
        if isinstance(path, int) or not any(os.path.realpath(path).startswith(root) for root in self.roots):
            return False
        return mode is None or not set(str(mode)) & set("wax+")

    @contextmanager
    def __call__(self, project: Path) -> Iterator[None]:
        """Listen; `project` is where files may be read. Raises `AssertionError` for what was noted."""
        self.roots.append(str(project.resolve()))
        loaded = set(sys.modules)
        self.seen, self.on = [], True
        try:
            yield
        finally:
            self.on = False
            self.roots.pop()
        # what importlib loads by itself raises no event
        self.seen += [f"loaded {each}" for each in set(sys.modules) - loaded if each.partition(".")[0] not in ALLOWED]
        assert not self.seen, self.seen


def prepare(folder: Path) -> Path:
    """A project with a spec to extend, one that extends itself, and a tokenizer; gives its folder.

    Outside of it lie a spec and a tokenizer, to which a link leads from inside.
    """
    project = folder / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("", encoding="utf-8")
    (project / "base.llm").write_bytes((ROOT / "specs" / "quickstart.llm").read_bytes())
    (project / "self.llm").write_text('llm 1\nextends "self.llm"\n', encoding="utf-8")
    (folder / "x.llm").write_text(EVERY_STATEMENT, encoding="utf-8")
    for file in (project / "tokenizer.json", folder / "x.json"):
        file.write_text(json.dumps({"model": {"vocab": {"a": 0, "[eos]": 1}}}), encoding="utf-8")
    (project / "link.json").symlink_to(folder / "x.json")
    lay(EVERY_STATEMENT, project)
    return project


def lay(text: str, project: Path) -> None:
    """Put a spec where `chain` finds it: as the base of another, and as a link between two. Nobody listens yet."""
    spec = text.partition(SETTING)[0]
    first, _, rest = spec.partition("\n")
    for name, content in (("drawn", spec), ("middle", f'{first}\nextends "base.llm"\n{rest}')):
        (project / f"{name}.llm").write_bytes(content.encode("utf-8", errors="replace"))


def check(text: str, project: Path) -> int:
    """Parse, evaluate and resolve a spec, and show what is said of it; gives the number of diagnostics."""
    spec, *settings = text.split(SETTING)
    source = Source("fuzz.llm", spec, str(project / "fuzz.llm"))
    found = read(source, settings[:4]).diagnostics
    for form in ("text", "json"):
        render(found[:50], form)
    return len(found)


def chain(text: str, project: Path) -> int:
    """Read a spec that extends the one which `lay` has put down, as a base or as a link; gives as `check` does."""
    base = "drawn" if _number(text) % 2 else "middle"
    return check(f'llm 1\nextends "{base}.llm"\n{CHANGES}', project)


def _number(text: str) -> int:
    """One that is the same whenever a text is tried again."""
    return zlib.crc32(text.encode("utf-8", errors="replace"))


def form(text: str, project: Path) -> None:
    """Put a spec into the one style, which it keeps; only its white space changes, or `FormatError` says otherwise."""
    made = format_text(text)
    assert format_text(made) == made


def targets(text: str) -> Sequence[Callable[[str, Path], object]]:
    """What is done with an input, one after the other, once it is laid down.

    A chain takes as long as all else together, so one input in four is read in one.
    """
    return [check, form, chain] if _number(text) // 2 % 4 == 0 else [check, form]


def corpus() -> list[str]:
    """What mutation begins with: the specs of the repository, sound and faulty."""
    files = sorted(
        each for folder in ("specs", "tests/specs", "tests/diagnostics") for each in (ROOT / folder).glob("*.llm")
    )
    return [EVERY_STATEMENT, *(each.read_text(encoding="utf-8") for each in files)]


def mutate(text: str, other: str, draw: random.Random) -> str:
    """A text with a few changes, in words and stretches of the language rather than in bytes."""
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.choice((0, 0, 1, 3, 12, 60)))
        begin = draw.randint(0, len(other))
        new = draw.choice(
            (
                "",
                draw.choice(WORDS),
                f" {draw.choice(WORDS)} ",
                text[start:end] * draw.choice((2, 2, 3, 70)),
                other[begin : begin + draw.choice((5, 40, 200))],
                draw.choice("{[(-") * draw.choice((1, 2, 65, 300)),
            )
        )
        text = text[:start] + new + text[end:]
    return text
