"""The components of a spec where they stand, faulty ones too: what is known of them, and what the text states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from llm_build.components import UNSET, Config, FieldSpec, Origin, PartKind, PartsKind, field_specs
from llm_build.context import Context
from llm_build.diagnostics import Span
from llm_build.language.values import FAULTY, Setting
from llm_build.resolve.fill import Known
from llm_build.resolve.reading import Reading

Step = tuple[str, int | None]
"""One name of a path, and which of a list it means."""
Path = tuple[Step, ...]

STATED = Origin("stated")


def written(path: Path) -> str:
    """A path as `--set` takes it: model.layers[3].attention."""
    return ".".join(name if index is None else f"{name}[{index}]" for name, index in path)


@attrs.frozen(eq=False, repr=False)
class Part:
    """A component where it stands. A field that is faulty, or needs what is, is not in `values`.

    `settings` is what the text states of its fields, `span` where it names the component; both are empty for one that
    stands here by default. `holder` is the component that holds it. Parts with one `key` are one and the same thing.
    """

    path: Path
    config: Config
    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    settings: Mapping[str, Setting]
    span: Span | None
    context: Context | None
    holder: Part | None
    key: int
    known: Known | None

    @property
    def specs(self) -> dict[str, FieldSpec]:
        return field_specs(self.config)


class Tracer:
    """Walks what a reading found, from the root of the spec inwards."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def root(self) -> Part:
        """The spec itself."""
        return self._part((), self.reading.filled or self.reading.config, self.reading.context, None)

    def inside(self, part: Part, name: str, layers: tuple[int, int] | None = None) -> tuple[Part, ...]:
        """The components in a field, or some of a list, in order; those that cannot be made out are left out."""
        kind = part.specs[name].kind
        if not isinstance(kind, PartKind | PartsKind):
            return ()
        value = part.values.get(name, getattr(part.config, name))
        if isinstance(kind, PartKind):
            return tuple(self._inner(part, name, None, value))
        items = value if isinstance(value, tuple) else ()
        first, stop = layers or (0, len(items))
        numbered = enumerate(items[first:stop], first)
        return tuple(each for index, item in numbered for each in self._inner(part, name, index, item))

    def _inner(self, part: Part, name: str, index: int | None, value: Any) -> Iterator[Part]:
        if isinstance(value, Config):
            step = (name, index)
            context = part.known.inner(name, written((step,))) if part.known else None
            yield self._part((*part.path, step), value, context, part)

    def _part(self, path: Path, config: Config, context: Context | None, holder: Part | None) -> Part:
        filler = self.reading.filler
        stated = filler.stated.get(id(config), config)
        place = self.reading.lowering.places.get(id(stated))
        settings, span = (place.fields, place.span) if place else ({}, None)
        known = filler.known(config, context) if context and not config.filled else None
        values: Mapping[str, Any]
        origins: Mapping[str, Origin]
        if config.filled:
            values = {name: getattr(config, name) for name in field_specs(config)}
            origins = {name: config.origin(name) for name in values}
            context = filler.contexts.get(id(config), context)
        else:
            values, origins = (known.values, known.origins) if known else _stated(config)
        return Part(path, stated, values, origins, settings, span, context, holder, id(config), known)


def _stated(config: Config) -> tuple[dict[str, Any], dict[str, Origin]]:
    """What is known of a config that could not be filled, because a part of the text could not be read."""
    fields = ((name, getattr(config, name)) for name in field_specs(config))
    values = {name: value for name, value in fields if value is not UNSET and not _faulty(value)}
    return values, dict.fromkeys(values, STATED)


def _faulty(value: Any) -> bool:
    items = value if isinstance(value, tuple) else (value,)
    return any(each is FAULTY for each in items)
