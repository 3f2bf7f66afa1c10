"""`llm-build new plugin NAME`."""

from __future__ import annotations

from pathlib import Path

import click

from llm_build.cli._options import talk_options
from llm_build.errors import PluginError
from llm_build.scaffold import names_of, new_plugin, slots


@click.group("new", short_help="write the files of a new plugin")
def command() -> None:
    """Write the files of something new."""


@command.command("plugin")
@click.argument("name")
@click.option("--slot", type=click.Choice(slots()), required=True, help="What its component is.")
@talk_options
def plugin(name: str, slot: str, quiet: bool) -> None:
    """Write a plugin with one component into the folder NAME: four files, which work as they are.

    NAME is a namespace, a hyphen and a name: `acme-ring` is a distribution and a folder, its package is acme_ring, and
    a spec writes `acme.ring`. The component is a plain one of its slot, to be changed into your own.
    """
    try:
        names = names_of(name, slot)
        files = new_plugin(names, slot, Path())
    except PluginError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    if quiet:
        return
    for file in files:
        click.echo(file.as_posix())
    shown = f"llm-build plugins {slot}:{names.component}"
    click.echo(f"pip install -e {name} installs it, pytest {name} tests it, {shown} shows it")
