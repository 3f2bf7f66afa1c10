"""The reference of all slots as one page of Markdown, made of the code: what each asks of a module, what it gets.

It brings torch: to find a module is to import its package.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from llm_build import interfaces
from llm_build.catalogue.listing import listing
from llm_build.catalogue.outline import outline
from llm_build.registry import Registry

FIELDS = ("size", "number", "amount", "share", "flag", "text", "path", "choice", "many", "part", "parts")
GIVEN = {
    "llm_build.context": ("Context",),
    "llm_build.step.step": ("Step",),
    "llm_build.step.field": ("Field",),
    "llm_build.step.view": ("Sizes", "View"),
    "llm_build.corpus.batch": ("Batch",),
    "llm_build.document": ("Document",),
    "llm_build.progress": ("Progress",),
    "llm_build.groups": ("ParameterGroup",),
    "llm_build.run.job": ("Job", "Outcome"),
}
"""What modules and configs are handed, by the module that it stands in."""


def reference(registry: Registry, distribution: str) -> str:
    """The page, with the components that a distribution brings to each slot."""
    return "\n\n".join([*_slots(registry, distribution), *_others(), *_fields(), *_given()]) + "\n"


def _slots(registry: Registry, distribution: str) -> Iterator[str]:
    yield "# The slots: what each asks of a module, and what it is given"
    yield "Written by `tools/pages` from the code; `llm-build plugins --slot norm` shows the same of one slot."
    yield _doc(interfaces.__name__)
    rows = [each for each in listing(registry).rows if each.distribution == distribution]
    for slot, protocol in interfaces.PROTOCOLS.items():
        yield f"## {slot}"
        yield _code(interfaces.__name__, protocol.__name__)
        yield "\n".join(
            f"- `{each.component}`{_promises(each.capabilities)}: {each.doc}" for each in rows if each.slot == slot
        )


def _promises(capabilities: tuple[str, ...]) -> str:
    return f" ({', '.join(capabilities)})" if capabilities else ""


def _others() -> Iterator[str]:
    yield "## Beside the slots"
    yield "What some modules of a slot offer on top, and what others are handed."
    protocols = {each.__name__ for each in interfaces.PROTOCOLS.values()}
    for name, value in vars(interfaces).items():
        if isinstance(value, type) and value.__module__ == interfaces.__name__ and name not in protocols:
            yield _code(interfaces.__name__, name)


def _fields() -> Iterator[str]:
    yield "## The fields of a config"
    yield _code("llm_build.components.fields", *FIELDS)
    yield _code("llm_build.components.fields", "FieldSpec")


def _given() -> Iterator[str]:
    yield "## What configs and modules are handed"
    for module, names in GIVEN.items():
        for name in names:
            yield _code(module, name)


def _code(module: str, *names: str) -> str:
    blocks = "\n\n\n".join(outline(module, name) for name in names)
    return f"```python\n{blocks}\n```"


def _doc(module: str) -> str:
    return (importlib.import_module(module).__doc__ or "").strip()
