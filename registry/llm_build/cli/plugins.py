"""`llm-build plugins [COMPONENT]`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from llm_build.cli._options import plugin_option, talk_options
from llm_build.cli._table import show_table

if TYPE_CHECKING:
    from llm_build.catalogue import Listing, Page
    from llm_build.registry import Registry

HEADINGS = ("distribution", "version", "entry point", "slot", "component", "capabilities", "what it is")
FIELD_HEADINGS = ("field", "takes", "where it is not stated", "what it is")


@click.command("plugins", short_help="list the installed components, or show one")
@click.argument("component", required=False)
@click.option("--slot", help="List the components of this slot, and what it asks of a module.")
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON.")
@plugin_option
@talk_options
def command(component: str | None, slot: str | None, as_json: bool, plugins: Sequence[str], quiet: bool) -> None:
    """List the components that are installed: who brings each one, what it can, and what it is.

    With COMPONENT, as `gqa` or `attention:gqa`, show that one: its fields, what each takes and where its value comes
    from, and an example. A name that several slots have shows all of them. Plugins that cannot be used are listed with
    the reason; they stop nobody, and the exit code stays 0. Torch is not imported.
    """
    from llm_build.catalogue import listing

    registry = _registry(plugins)
    if slot is not None and slot not in registry.slots():
        raise click.UsageError(f"no component of slot {slot} is installed{_near(slot, registry.slots())}")
    if component is not None:
        _show_pages(_found(component, slot, registry), as_json)
        return
    found = listing(registry, slot)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
        return
    _show_listing(found)
    if slot is not None and not quiet:
        _show_slot(slot)


def _registry(plugins: Sequence[str]) -> Registry:
    """What is installed or named; what cannot be used is part of the list, so there is no warning of it."""
    from llm_build.registry import installed

    registry = installed()
    for name in plugins:
        registry.add_named(name)
    return registry


def _found(component: str, slot: str | None, registry: Registry) -> list[Page]:
    from llm_build.catalogue import pages

    name = component if slot is None or ":" in component else f"{slot}:{component}"
    found = pages(name, registry)
    if not found:
        names = {each.name for each in registry.entries()} | {each.id for each in registry.entries()}
        raise click.UsageError(f"no component {name} is installed{_near(name, names)}")
    return found


def _near(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(names), 3)
    return f"; near to it: {', '.join(near)}" if near else "; `llm-build plugins` lists all"


def _show_listing(found: Listing) -> None:
    cells = [
        (each.distribution, each.version, each.entry, each.slot, each.component, " ".join(each.capabilities), each.doc)
        for each in found.rows
    ]
    show_table([HEADINGS, *cells])
    sections = {
        "rules over whole specs": [str(each) for each in found.rules],
        "cannot be used": [*(str(each) for each in found.failed if not each.usable), *found.twice],
        "is used, but should be mended": [str(each) for each in found.failed if each.usable],
        "left out by LLM_BUILD_PLUGINS": found.left_out,
    }
    for heading, lines in sections.items():
        if lines:
            click.echo("\n".join([f"\n{heading}:", *(f"  {line}" for line in lines)]))


def _show_slot(slot: str) -> None:
    from llm_build.catalogue import outline
    from llm_build.interfaces import PROTOCOLS

    if slot in PROTOCOLS:
        click.echo(f"\nwhat the module of a {slot} offers:\n")
        click.echo(outline("llm_build.interfaces", PROTOCOLS[slot].__name__))


def _show_pages(found: Sequence[Page], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([each.as_json() for each in found], indent=2, ensure_ascii=False))
        return
    for number, each in enumerate(found):
        click.echo("\n" * bool(number) + f"{each.id}, version {each.version}")
        for line in _head(each):
            click.echo(line)
        if each.fields:
            click.echo()
            show_table([FIELD_HEADINGS, *((line.name, line.takes, line.unstated, line.doc) for line in each.fields)])
        click.echo(f"\nexample: {each.example}")
        if each.taken_by:
            click.echo(f"stands in: {', '.join(each.taken_by)}")


def _head(page: Page) -> Iterator[str]:
    yield f"from {page.owner}, entry point {page.owner.entry}"
    if page.capabilities:
        yield f"capabilities: {' '.join(page.capabilities)}"
    for check, reason in page.opt_outs.items():
        yield f"opts out of {check}: {reason}"
    if page.doc:
        yield ""
        yield page.doc
