"""`llm-build explain SPEC [PATH]`, and `llm-build explain CODE`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click

from llm_build.cli._exit import FAULT, FINE, USAGE
from llm_build.cli._options import spec_options, talk_options, use_plugins
from llm_build.diagnostics import Severity, render
from llm_build.explain import as_json, as_text
from llm_build.explain import explain as explained
from llm_build.resolve import Reading, read, source_of

CODE = re.compile(r"[EWN][0-9]{3}")


@click.command("explain", short_help="say of each value of a spec where it comes from")
@click.argument("spec", metavar="SPEC|CODE")
@click.argument("path", required=False, default="")
@click.option("--json", "as_data", is_flag=True, help="Print values, types, bounds and origins as JSON.")
@spec_options
@talk_options
def command(spec: str, path: str, as_data: bool, sets: Sequence[str], plugins: Sequence[str], quiet: bool) -> int:
    """Say of each value of SPEC where it comes from: stated at a line, by a let, a param, a file that is extended, or
    --set; inherited, derived or default.

    PATH names one place, as in --set: model.layers[3].attention.heads, or a let or param. A plain value is shown with
    what its field takes and the lines that made it, a component with its fields. A spec with faults is explained as far
    as it is known, the faults go to stderr, and the exit code is 1. With a code, as E304, its page is printed.
    """
    if CODE.fullmatch(spec):
        return _page(spec)
    use_plugins(plugins)
    reading = read(source_of(Path(spec)), sets)
    explanation = explained(reading, path)
    click.echo(json.dumps(as_json(explanation), indent=2) if as_data else as_text(explanation))
    return _faults(reading, quiet)


def _faults(reading: Reading, quiet: bool) -> int:
    told = [each for each in reading.diagnostics if each.severity is not Severity.NOTE]
    if told and not (quiet and not reading.errors):
        click.echo(render(told), err=True)
    return FAULT if reading.errors else FINE


def _page(code: str) -> int:
    from llm_build.diagnostics.pages import page

    text = page(code)
    click.echo(text.rstrip("\n") if text else f"error: there is no page for {code}", err=text is None)
    return FINE if text else USAGE
