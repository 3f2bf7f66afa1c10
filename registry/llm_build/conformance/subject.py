"""The component under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from llm_build.components import ComponentInfo, Config
from llm_build.errors import PluginError
from llm_build.registry import Owner, installed

Reference = Callable[..., Any]
"""(module, *inputs) → what the module must give for them, written as plainly as can be."""


@attrs.frozen(kw_only=True, eq=False)
class Subject:
    """A component, who brings it, and what else its author gives: a `reference` that its module must equal.

    `doors` are the names that `--plugin` would take to bring it.
    """

    cls: type[Config]
    owner: Owner | None = None
    reference: Reference | None = None
    doors: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, component: str | type[Config], reference: Reference | None = None, doors: tuple[str, ...] = ()
    ) -> Subject:
        """The component of an id, as "norm:acme.ring", or of a config class that is perhaps not installed.

        Raises `PluginError` where there is none of that id.
        """
        if isinstance(component, type):
            return cls(cls=component, owner=_owner(component), reference=reference, doors=doors)
        slot, _, name = component.partition(":")
        entry = installed().find(slot, name) if name else None
        if entry is None:
            raise PluginError(f'no component "{component}" is installed; one is named as "norm:acme.ring"')
        return cls(cls=entry.config(), owner=entry.owner, reference=reference, doors=doors)

    @property
    def info(self) -> ComponentInfo:
        return self.cls.__component__

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def oracle(self) -> str:
        """The reference as `--reference` takes it; "MODULE:FUNCTION" for one that no name imports."""
        place, name = (str(getattr(self.reference, each, "")) for each in ("__module__", "__qualname__"))
        return f"{place}:{name}" if name.isidentifier() else "MODULE:FUNCTION"

    @property
    def opt_outs(self) -> Mapping[str, str]:
        """The checks that the component is not held to, each with the reason that its author gives."""
        return self.info.opt_outs

    def can(self, capability: str) -> bool:
        """Whether it promises a capability."""
        return capability in self.info.capabilities

    def __str__(self) -> str:
        return self.id if self.owner is None else f"{self.id} of {self.owner}"


def _owner(cls: type[Config]) -> Owner | None:
    """Who brings a class; None where it is not installed."""
    info = cls.__component__
    entry = installed().find(info.slot, info.name)
    return entry.owner if entry is not None and entry.config() is cls else None
