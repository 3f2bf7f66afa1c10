"""Reading specs: one file or text, what it extends, and the edition that all of them must share.

A stranger's file is data: `extends` reaches only files inside the project, and nothing but UTF-8 text is taken.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

import attrs

from llm_build.diagnostics import Diagnostic, Related, Source, Span
from llm_build.errors import SpecError
from llm_build.language import tree
from llm_build.language.parser import parse

EDITION = "1"
CHAIN_LIMIT = 64
SIZE_LIMIT = 2**18


@attrs.define(eq=False, repr=False)
class Chain:
    """The files of a spec, the one that extends nothing first."""

    files: list[tuple[Source, tree.File]] = attrs.field(factory=list)
    settings: list[tuple[Source, tree.File]] = attrs.field(factory=list)
    """Each `--set` with faults of syntax, read as a file is."""
    faults: list[Diagnostic] = attrs.field(factory=list)
    """Faults of syntax."""
    meant: list[Diagnostic] = attrs.field(factory=list)
    """Faults of what the statements mean."""
    complete: bool = True
    """False where a file or a setting could not be read, or not all of it: what it would have said is not known."""

    @property
    def doubts(self) -> dict[Source, tuple[tree.Doubt, ...]]:
        """The stretches of each file or setting whose meaning is no ground for a fault."""
        return {source: file.doubts for source, file in (*self.files, *self.settings) if file.doubts}


def read_source(path: str | Path) -> Source:
    """The text of a spec file. Raises `SpecError` where it is missing, too large, empty or no UTF-8 text."""
    file, name = Path(path), str(path)
    try:
        if not stat.S_ISREG(file.stat().st_mode) and not file.is_dir():
            raise _refused(name, "E110", "a spec is a file; this is a device or a pipe", "name a .llm file")
        with file.open("rb") as opened:
            raw = opened.read(SIZE_LIMIT + 1)
    except IsADirectoryError:
        raise _refused(name, "E110", "a spec is a file; this is a folder", "name the .llm file in it") from None
    except OSError as fault:
        raise _refused(name, "E110", f"there is no readable file here: {fault.strerror}", "check the path") from None
    return Source(name, decoded(raw, name), str(file.resolve()))


def decoded(raw: bytes, name: str) -> str:
    """The text that the bytes of a spec are. Raises `SpecError` where they are too many, or no UTF-8 text."""
    if len(raw) > SIZE_LIMIT:
        raise _refused(
            name, "E111", f"a spec has at most {SIZE_LIMIT // 2**10} KiB; this file is larger", "name a .llm file"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        message = f"a spec is UTF-8 text; the byte {raw[fault.start]:#04x} at {fault.start} is not"
        raise _refused(name, "E111", message, "save the file as UTF-8") from None
    if "\0" in text:
        raise _refused(name, "E111", "a spec is UTF-8 text; this file is binary", "name a .llm file")
    return text


def _refused(name: str, code: str, message: str, help: str) -> SpecError:
    source = Source(name, "")
    return SpecError([Diagnostic(code=code, message=message, span=Span(source, 0, 0), help=help)])


def read_chain(source: Source) -> Chain:
    """Parse a source and, one after the other, the files that it extends."""
    chain = Chain()
    seen: dict[str, Span | None] = {source.path or "": None}
    project, size = project_of(source), len(source.text)
    while True:
        file, faults = parse(source)
        chain.faults += faults
        chain.files.insert(0, (source, file))
        if file.whole:
            chain.meant += _edition_faults(source, file)
        chain.complete = chain.complete and file.whole and bool(file.statements)
        extends = [each for each in file.statements if isinstance(each, tree.Extends)]
        for extra in extends[1:]:
            span = Span(source, extra.start, extra.end)
            related = (Related("the first stands here", Span(source, extends[0].start, extends[0].end)),)
            chain.meant.append(
                Diagnostic(
                    code="E208",
                    message="a file extends at most one other",
                    span=span,
                    related=related,
                    help="delete one",
                )
            )
        if not extends:
            return chain
        span = Span(source, extends[0].file.start, extends[0].file.end)
        try:
            source = _extended(source, extends[0].file.text, span, project, seen, SIZE_LIMIT - size)
            size += len(source.text)
        except SpecError as fault:
            chain.meant += fault.diagnostics
            chain.complete = False
            return chain


def project_of(source: Source) -> Path:
    """The nearest folder above the named spec that is a project, or else its own folder; links are followed."""
    own = Path(source.path).parent if source.path else Path.cwd()
    for folder in (own, *own.parents):
        if (folder / "pyproject.toml").exists() or (folder / ".git").exists():
            return folder.resolve()
    return own.resolve()


def _extended(
    source: Source, literal: str, span: Span, project: Path, seen: dict[str, Span | None], room: int
) -> Source:
    def refuse(message: str, help: str, related: tuple[Related, ...] = ()) -> SpecError:
        return SpecError([Diagnostic(code="E208", message=message, span=span, help=help, related=related)])

    try:
        relative: str = json.loads(literal)
    except ValueError:
        raise refuse(
            "this string has an escape or a character that JSON does not allow", "write a plain path"
        ) from None
    if not relative or "\\" in relative:
        raise refuse("extends takes a path with `/` between its parts", 'write extends "base.llm"')
    folder = Path(source.path).parent if source.path else Path.cwd()
    try:
        target = (folder / relative).resolve()
    except (OSError, RuntimeError, ValueError):  # a link to itself, a zero, half a surrogate pair
        raise refuse("extends takes the path of a file; this cannot be one", 'write extends "base.llm"') from None
    if not target.is_relative_to(project):
        raise refuse(
            f"extends reaches only files inside the project {project.name!r}; {relative} lies outside",
            "copy the file into the project and name it with a relative path",
        )
    key = str(target)
    if key in seen:
        raise refuse(
            "files must not extend each other in a cycle; this file is in the chain already", "extend another file"
        )
    if len(seen) >= CHAIN_LIMIT:
        raise refuse(f"at most {CHAIN_LIMIT} files extend each other", "flatten the chain")
    seen[key] = span
    try:
        found = read_source(target)
    except SpecError as fault:
        first = fault.diagnostics[0]
        raise refuse(f"{relative}: {first.message}", first.help) from None
    if len(found.text) > room:
        raise refuse(f"the files of a spec hold at most {SIZE_LIMIT // 2**10} KiB together", "extend a smaller file")
    return Source(str(Path(source.name).parent / relative) if source.path else relative, found.text, key)


def _edition_faults(source: Source, file: tree.File) -> list[Diagnostic]:
    """`llm 1` stands first, once, and is an edition that we know."""
    editions = [each for each in file.statements if isinstance(each, tree.Edition)]
    start = Span(source, 0, min(1, len(source.text)))
    if not file.statements:
        return [
            Diagnostic(
                code="E112",
                message="a spec must say something; this one is empty",
                span=start,
                help="begin with `llm 1`",
            )
        ]
    if not editions or file.statements[0] is not editions[0]:
        place = (
            Span(source, editions[0].start, editions[0].end) if editions else Span(source, file.start, file.start + 1)
        )
        return [
            Diagnostic(
                code="E106",
                message="a spec begins with its edition",
                span=place,
                help="write `llm 1` as the first line",
            )
        ]
    faults = []
    if editions[0].text != EDITION:
        span = Span(source, editions[0].start, editions[0].end)
        message = f"this llm-build knows edition {EDITION} of the language; {editions[0].text} is asked for"
        faults.append(Diagnostic(code="E107", message=message, span=span, help=f"write `llm {EDITION}`"))
    for extra in editions[1:]:
        span = Span(source, extra.start, extra.end)
        faults.append(
            Diagnostic(code="E106", message="the edition stands once, first", span=span, help="delete this line")
        )
    return faults
