"""The names of a new plugin: one that a person gives, and all that follow from it."""

from __future__ import annotations

import importlib.util
import keyword
import re

import attrs

from llm_build.components.names import refuse_bad_id
from llm_build.errors import PluginError

GIVEN = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)+")
TEMPLATE = re.compile(r"acme[-_.]thing|(?<![A-Za-z0-9])[Tt]hing\b")


@attrs.frozen(kw_only=True)
class Names:
    """`acme-scale-norm` gives the distribution of that name, the package `acme_scale_norm`, the component
    `acme.scale_norm`, its config class `scale_norm` and its module class `ScaleNorm`."""

    distribution: str

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        return self.package.replace("_", ".", 1)

    @property
    def config(self) -> str:
        return self.component.partition(".")[2]

    @property
    def module(self) -> str:
        return "".join(part.capitalize() for part in self.config.split("_"))

    def put_into(self, template: str) -> str:
        """The text of a template with these names for its own."""
        own = {
            "acme-thing": self.distribution,
            "acme_thing": self.package,
            "acme.thing": self.component,
            "thing": self.config,
            "Thing": self.module,
        }
        return TEMPLATE.sub(lambda found: own[found[0]], template)


def names_of(name: str, slot: str) -> Names:
    """The names that follow from one such as `acme-norm`. Raises `PluginError` for one that could not be used."""
    if not GIVEN.fullmatch(name):
        raise PluginError(
            f"a plugin is named by its namespace, a hyphen and the name of its component, in small letters; "
            f'"{name}" arrived: write {_near(name, slot)}'
        )
    names = Names(distribution=name)
    if keyword.iskeyword(names.config):
        raise PluginError(f"a component cannot be named {names.config}, a word of Python; choose another name")
    # what the registry would refuse later is refused now, in its own words
    refuse_bad_id(f"{slot}:{names.component}")
    if importlib.util.find_spec(names.package) is not None:
        raise PluginError(f"a package {names.package} is installed already; choose another name")
    return names


def _near(name: str, slot: str) -> str:
    """A name that is allowed, near to one that is not."""
    words = [word.lstrip("0123456789") for word in re.split(r"[^a-z0-9]+", name.lower())]
    near = "-".join(filter(None, words))
    return near if GIVEN.fullmatch(near) else f"{near or 'acme'}-{slot}"
