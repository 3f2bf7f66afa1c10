"""Diagnostics on stderr, in colour where a person sees them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from llm_build.diagnostics import Diagnostic, render


def say(diagnostics: Sequence[Diagnostic]) -> None:
    """Print diagnostics as text; nothing where there are none."""
    if diagnostics:
        click.echo(render(diagnostics, colour=_in_colour()), err=True)


def _in_colour() -> bool:
    """On a terminal that has colours, unless NO_COLOR says otherwise (no-color.org: any value that is not empty)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
