"""`llm-build verify COMPONENT`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from llm_build.cli._options import plugin_option, talk_options, use_plugins
from llm_build.errors import PluginError

if TYPE_CHECKING:
    from llm_build.conformance.subject import Reference


@click.command("verify", short_help="hold a component to what it promises")
@click.argument("component")
@click.option("--full", is_flag=True, help="Draw ten times as many cases, and compile with inductor.")
@click.option("--check", "only", multiple=True, metavar="ID", help="Run this check alone; may be given again.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the drawn cases.")
@click.option(
    "--reference",
    metavar="MODULE:FUNCTION",
    help="function(module, *inputs) gives what the component's module must give.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@plugin_option
@talk_options
def command(
    component: str,
    full: bool,
    only: Sequence[str],
    seed: int,
    reference: str | None,
    as_json: bool,
    plugins: Sequence[str],
    quiet: bool,
) -> int:
    """Hold COMPONENT, as `norm:acme.ring`, to what its slot asks for and to what it promises.

    Cases are drawn from its own fields. A failing one is shrunk, and told with the command that draws it again. Exits
    with 1 where a check fails, or where one that the component opts out of passes. A pass is no proof.
    """
    use_plugins(plugins)
    from llm_build.conformance import Subject, checks_for, verify

    try:
        subject = Subject.of(component, _named(reference), tuple(plugins))
    except PluginError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    _refuse_strangers(only, [each.id for each in checks_for(subject, full=full)], subject.id)
    report = verify(subject, only=only, full=full, seed=seed)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    elif not quiet or not report.passed:
        click.echo("\n".join(report.lines()))
    return int(not report.passed)


def _refuse_strangers(only: Sequence[str], held: Sequence[str], component: str) -> None:
    for name in only:
        if name not in held:
            raise click.UsageError(f"{component} is not held to a check {name}; its checks are {', '.join(held)}")


def _named(reference: str | None) -> Reference | None:
    """The function that `--reference` names."""
    if reference is None:
        return None
    place, _, name = reference.partition(":")
    try:
        found: Reference = getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError) as fault:
        raise click.UsageError(f"--reference is MODULE:FUNCTION; {reference} cannot be imported: {fault}") from fault
    return found
