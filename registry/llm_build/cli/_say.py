"""Diagnostics on stderr, in colour where a person sees them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from llm_build.diagnostics import Diagnostic, render


def say(diagnostics: Sequence[Diagnostic]) -> None:
    """Print diagnostics as text; nothing where there are none."""
    if diagnostics:
        click.echo(render(diagnostics, colour=_in_colour()), err=True)


@contextmanager
def hearing(name: str, quiet: bool) -> Iterator[None]:
    """Meanwhile, what a logger says stands on stderr, a line each, unless it is to be quiet; -v shows it already."""
    logger, handler = logging.getLogger(name), _Echo()
    if quiet or logger.isEnabledFor(logging.INFO):
        yield
        return
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Echo(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def _in_colour() -> bool:
    """On a terminal that has colours, unless NO_COLOR says otherwise (no-color.org: any value that is not empty)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
