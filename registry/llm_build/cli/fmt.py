"""`llm-build fmt SPEC...`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from llm_build.cli._exit import FAULT, FINE
from llm_build.cli._options import talk_options
from llm_build.diagnostics import render
from llm_build.errors import FormatError, SpecError
from llm_build.language.files import SIZE_LIMIT, decoded, read_source
from llm_build.language.formatter import format_text

STDIN = "-"


@click.command("fmt", short_help="put specs into the one style, white space only")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing; name the files that are not in the style, and exit with 1.")
@talk_options
def command(specs: Sequence[str], check: bool, quiet: bool) -> int:
    """Put each SPEC into the one style; a lone - reads stdin and writes stdout.

    Only white space changes: no token and no comment does, nor does a line break. A file with faults is formatted too,
    and one that is in the style already is left alone. Exits with 1 where a file cannot be read or written, or, with
    --check, is not in the style.

    The style: two spaces for each line around with an open bracket, and two where a value goes on below; one space
    around =, operators and braces, none inside ( ) and [ ]; at most one empty line. The = of fields on neighbouring
    lines stand in one column, and comments behind code keep theirs. Where brackets do not fit, indentation stays.
    """
    if STDIN not in specs:
        return max([_of_file(spec, check, quiet) for spec in specs])
    if len(specs) > 1:
        raise click.UsageError("- stands alone: give files, or a text on stdin")
    return _of_stdin(check, quiet)


def _of_stdin(check: bool, quiet: bool) -> int:
    raw = sys.stdin.buffer.read(SIZE_LIMIT + 1)
    made = format_text(decoded(raw, "<stdin>")).encode()
    if check:
        return _verdict("<stdin>", raw == made, quiet)
    sys.stdout.buffer.write(made)
    return FINE


def _of_file(spec: str, check: bool, quiet: bool) -> int:
    """Format a file, or only look at it; a fault of one leaves the others their turn."""
    try:
        source = read_source(spec)
        made = format_text(source.text).encode()
        assert source.path is not None
        file = Path(source.path)
        right = file.read_bytes() == made
        if not right and not check:
            _write(file, made)
    except SpecError as fault:
        click.echo(render(fault.diagnostics), err=True)
        return FAULT
    except FormatError as fault:
        click.echo(f"error: {spec}: {fault}", err=True)
        return FAULT
    except OSError as fault:
        click.echo(f"error: {spec} must be writable, and so must its folder: {fault.strerror}", err=True)
        return FAULT
    if check:
        return _verdict(spec, right, quiet)
    if not right and not quiet:
        click.echo(f"{spec}: formatted")
    return FINE


def _verdict(spec: str, right: bool, quiet: bool) -> int:
    if not right:
        click.echo(f"{spec}: not in the style; llm-build fmt writes it")
    elif not quiet:
        click.echo(f"{spec}: fine")
    return FINE if right else FAULT


def _write(file: Path, content: bytes) -> None:
    """Under another name first, so that the file is never there in part; it keeps its permissions."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(content)
        shutil.copymode(file, name)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink()
        raise
