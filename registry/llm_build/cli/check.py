"""`llm-build check SPEC...`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from llm_build.cli._options import read_measured, spec_options, talk_options, use_plugins
from llm_build.cli._say import say
from llm_build.diagnostics import FORMATS, Diagnostic, Severity, render
from llm_build.errors import SpecError
from llm_build.resolve import read, source_of


@click.command("check", short_help="find every fault of a spec, without building it")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option(
    "--measure", is_flag=True, help="Decide requirements on params, flops and memory too, which brings in torch."
)
@spec_options
@talk_options
def command(
    specs: Sequence[str], form: str, measure: bool, sets: Sequence[str], plugins: Sequence[str], quiet: bool
) -> int:
    """Find every fault of each SPEC in one go: what is wrong, where, and what to write instead.

    Nothing is built, and torch is not imported; a requirement that needs measuring is listed as decided at build. With
    --measure it is decided now, on a model that is built on a device without memory; memory is that of training on the
    best device that is there. Exits with 1 where there is an error; a warning is silenced by a comment on its line, as
    # allow: W202. All of it goes to stderr as text, or to stdout as JSON, as SARIF 2.1.0 or as GitHub's workflow
    commands.
    """
    use_plugins(plugins)
    found = {spec: _diagnostics(spec, sets, measure) for spec in specs}
    everything = [each for diagnostics in found.values() for each in diagnostics]
    if form != "text":
        _print(render(everything, form))
    else:
        say(everything)
    for spec, diagnostics in found.items():
        if form == "text" and not quiet and not _faulty(diagnostics):
            click.echo(f"{spec}: fine")
    return int(_faulty(everything))


def _diagnostics(spec: str, sets: Sequence[str], measure: bool) -> Sequence[Diagnostic]:
    try:
        reading = read_measured(spec, sets) if measure else read(source_of(Path(spec)), sets)
    except SpecError as fault:
        return fault.diagnostics
    return reading.diagnostics


def _print(rendered: str) -> None:
    if rendered:
        click.echo(rendered)


def _faulty(diagnostics: Sequence[Diagnostic]) -> bool:
    return any(each.severity is Severity.ERROR for each in diagnostics)
