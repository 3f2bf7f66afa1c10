"""Tables of text, as several verbs show them."""

from __future__ import annotations

import sys
from collections.abc import Sequence, Set

import click


def show_table(cells: Sequence[Sequence[str]], *, right: Set[str] = frozenset()) -> None:
    """With lines on a terminal, in plain columns elsewhere. The first row holds the headings.

    The columns whose headings are in `right` stand to the right.
    """
    numeric = [heading in right for heading in cells[0]]
    if sys.stdout.isatty():
        _show_rich(cells, numeric)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _show_rich(cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table()
    for heading, right in zip(cells[0], numeric, strict=True):
        # folded: half a name could not be used
        shown.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in cells[1:]:
        # as Text, so that brackets in a name are not taken for markup
        shown.add_row(*map(Text, row))
    Console().print(shown)
