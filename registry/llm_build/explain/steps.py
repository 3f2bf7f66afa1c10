"""Where a value comes from, step by step: stated at a line, through a let or a param, inherited, derived, default."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

import attrs

from llm_build.components import UNSET, Config, FieldSpec, Origin
from llm_build.diagnostics import Diagnostic, Span
from llm_build.errors import SpecError
from llm_build.explain.paths import Field, find, read_path
from llm_build.language.scanner import lexemes
from llm_build.language.scope import Binding
from llm_build.language.values import DEFAULT, shown
from llm_build.resolve.trace import STATED, Part, Tracer, written

SHOWN = 40


@attrs.frozen(eq=False, repr=False)
class Input:
    """A value that another is derived from; `path` is "" where nobody in the spec states or derives it."""

    name: str
    value: Any
    path: str
    brief: str


@attrs.frozen(eq=False, repr=False)
class Step:
    """One step on the way of a value.

    `kind` is "stated", "set" (from `--set`), "extends" (in a file that the spec extends), "let", "param", "inside" (a
    let or param), "displaced" (what a param was before), "inherited", "derived", "default", "reset" (by `default`),
    "faulty", "missing", or "unknown" (because of a fault elsewhere). `name` is that of the let or param, the path of
    the provider, the derivation, the component or the code of the fault; `words` is all that as a person reads it.
    """

    kind: str
    words: str
    name: str = ""
    span: Span | None = None
    inputs: tuple[Input, ...] = ()


class Sources:
    """Finds the steps of values of one reading."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer, self.reading = tracer, tracer.reading
        self.bindings = self.reading.evaluated.bindings
        self._uses = {(id(use.source), use.start): each for each in self.bindings for use in each.uses}
        self._errors: dict[int, list[Diagnostic]] = {}
        for error in sorted((each for each in self.reading.errors if each.span), key=_start):
            assert error.span is not None
            self._errors.setdefault(id(error.span.source), []).append(error)
        self._lets: dict[int, list[Binding]] = {}
        for each in sorted(self.bindings, key=lambda each: each.extent.start):
            self._lets.setdefault(id(each.extent.source), []).append(each)

    def of(self, part: Part, name: str) -> list[Step]:
        """The steps of a field's value, the nearest first."""
        setting, origin = part.settings.get(name), part.origins.get(name)
        span = setting.value.span if setting else None
        if setting and setting.value.data is DEFAULT:
            reset = Step("reset", "`default` takes it back to unset", span=span)
            return [*(self._found(part, name, origin, None) if origin else [self._absent(part, name)]), reset]
        if origin is None or name not in part.values:
            origin = STATED if span else None
        found = self._found(part, name, origin, span) if origin else [self._absent(part, name)]
        plain = span is not None and not self.tracer.inside(part, name)
        return [*found, *(self._faults(span, span.end) if plain and span else [])]

    def of_part(self, part: Part) -> list[Step]:
        """The steps of a component: those of its field, or of its own place in a list that the text states."""
        assert part.holder is not None, "the root of a spec comes from nowhere"
        name, index = part.path[-1]
        setting = part.holder.settings.get(name)
        items = setting.value.data if setting else None
        if index is not None and isinstance(items, tuple) and index < len(items):
            steps = list(self._written(items[index].span))
        else:
            steps = self.of(part.holder, name)
        return [*steps, *(self._faults(part.span, part.span.start + 1) if part.span else [])]

    def _found(self, part: Part, name: str, origin: Origin, span: Span | None) -> Iterator[Step]:
        if origin.kind == "stated":
            yield from self._written(span) if span else [Step("stated", "stated")]
        elif origin.kind == "inherited":
            yield from self._inherited(part, part.specs[name], origin.detail)
        elif origin.kind == "derived":
            inputs = tuple(self._inputs(part, name, origin.detail))
            yield Step("derived", f"derived: {origin.detail}", origin.detail, inputs=inputs)
        else:
            yield Step("default", f"default of {origin.detail.partition(':')[2]}", origin.detail)

    # --- what is written ---

    def _written(self, span: Span) -> Iterator[Step]:
        """A stated value: its place, the let that holds it, and the lets and params that it goes through."""
        kind = self._kind(span)
        words = {"set": "stated by --set", "extends": f"stated in {span.source.name}, which is extended"}
        yield Step(kind, words.get(kind, "stated"), span=span)
        holder = self._holder(span)
        if holder is not None:
            yield Step("inside", f"in {_kind(holder)} `{holder.node.name}`", holder.node.name, holder.place)
        yield from self._through(span, set())

    def _kind(self, span: Span) -> str:
        if span.source is self.reading.source:
            return "stated"
        return "set" if span.source.path is None else "extends"

    def _holder(self, span: Span) -> Binding | None:
        bindings = self._lets.get(id(span.source), [])
        before = bisect_right(bindings, span.start, key=lambda each: each.extent.start)
        nearest = bindings[before - 1] if before else None
        inside = nearest is not None and span.start < nearest.extent.end
        return nearest if inside else None

    def _through(self, span: Span, seen: set[int]) -> Iterator[Step]:
        """The lets and params that an expression names outside its braces, and those that they name in turn."""
        for start in _names(span):
            binding = self._uses.get((id(span.source), start))
            if binding is None or id(binding) in seen:
                continue
            seen.add(id(binding))
            yield from self.binding(binding)
            yield from self._through(binding.extent, seen)

    def binding(self, binding: Binding) -> Iterator[Step]:
        """A let or param, and what a param was before a file that extends, or `--set`, gave it another value."""
        kind, name = _kind(binding), binding.node.name
        yield Step(kind, f"{kind} `{name}`", name, Span(binding.place.source, binding.place.start, binding.extent.end))
        for earlier in reversed(self.reading.evaluated.evaluator.params.get(name, [])):
            if binding.is_param and earlier.level < binding.level:
                yield Step("displaced", f"in place of param `{name}`", name, earlier.place.to(earlier.extent))

    def _faults(self, span: Span, end: int) -> Iterator[Step]:
        """The faults that stand from the start of a span to `end`."""
        errors = self._errors.get(id(span.source), [])
        place = bisect_left(errors, span.start, key=_start)
        while place < len(errors) and _start(errors[place]) < end:
            each = errors[place]
            yield Step("faulty", f"faulty: {each.message}", each.code, each.span)
            place += 1

    # --- what is not ---

    def _absent(self, part: Part, name: str) -> Step:
        """Why a field that the text does not state has no value."""
        spec = part.specs[name]
        given = spec.inherit is not None and getattr(part.context, spec.inherit, None) is not None
        needed = spec.default is UNSET and spec.derive is None and not spec.optional and not given
        if part.known and needed and getattr(part.config, name) is UNSET:
            return Step("missing", "missing: it must be stated")
        return Step("unknown", "not known, because of a fault")

    def _inherited(self, part: Part, spec: FieldSpec, owner: str) -> Iterator[Step]:
        path = f"{_moved(owner, part)}.{spec.inherit}".lstrip(".")
        provider = self._field(path)
        if provider is None:
            yield Step("inherited", f"inherited from {_moved(owner, part) or 'around it'}", _moved(owner, part))
            return
        yield Step("inherited", f"inherited from {path}", path)
        yield from self.of(provider.part, provider.name)

    def _field(self, path: str) -> Field | None:
        """A field of the spec by its path; None where no field is called as what is inherited."""
        try:
            (found,) = find(self.tracer, read_path(path))
        except (SpecError, ValueError):
            return None
        if isinstance(found, Field):
            return found
        return Field(found.holder, found.path[-1][0]) if found.holder else None

    def _inputs(self, part: Part, name: str, says: str) -> Iterator[Input]:
        """The values that the words of a derivation name: fields of the component, or what surrounds it."""
        for word in dict.fromkeys(re.findall(r"[a-z_]+", says)):
            if word in part.specs:
                if word != name and word in part.values:
                    yield self._input(word, part.values[word], Field(part, word))
                continue
            value = getattr(part.context, word, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                owner = part.context.owners.get(word, "") if part.context else ""
                yield self._input(word, value, self._field(f"{_moved(owner, part)}.{word}") if owner else None)

    def _input(self, name: str, value: Any, field: Field | None) -> Input:
        if field is None:
            return Input(name, value, "", "")
        return Input(name, value, written(field.path), self.brief(self.of(field.part, field.name)))

    # --- in a few words ---

    def brief(self, steps: list[Step]) -> str:
        """The steps on one line: "line 8, param dim (line 3)"."""
        first, *rest = steps
        codes = dict.fromkeys(each.name for each in rest if each.kind == "faulty")
        faulty = f"; faulty: {', '.join(codes)}" if codes else ""
        return f"{self._origin(first, rest)}{faulty}"

    def _origin(self, first: Step, rest: list[Step]) -> str:
        if first.kind not in {"stated", "set", "extends", "let", "param"} or first.span is None:
            return first.words
        words = [self.where(first.span)]
        for each in rest:
            if each.kind in {"let", "param"} and each.span:
                words.append(f"{each.kind} {each.name} ({self.where(each.span)})")
            elif each.kind == "inside":
                words.append(each.words.replace("`", ""))
        return ", ".join(words)

    def where(self, span: Span) -> str:
        """A place in a few words: its line, with the file where that is another."""
        kind = self._kind(span)
        if kind == "set":
            return f"--set {cut(span.source.text)}"
        return f"line {span.line}" if kind == "stated" else f"{span.source.name}:{span.line}"


def _kind(binding: Binding) -> str:
    return "param" if binding.is_param else "let"


def _start(diagnostic: Diagnostic) -> int:
    return diagnostic.span.start if diagnostic.span else 0


def _names(span: Span) -> Iterator[int]:
    """Where the names of an expression begin that stand outside its braces."""
    place, depth = span.start, 0
    for kind, text in lexemes(span.source.text[span.start : span.end]):
        depth += (text == "{") - (text == "}")
        if kind == "NAME" and depth == 0:
            yield place
        place += len(text)


def _moved(owner: str, part: Part) -> str:
    """The path of a provider for this very part: what stands in many layers was filled in the first of them."""
    if part.context is None:
        return owner
    told, here = part.context.path.split("."), written(part.path).split(".")
    steps = owner.split(".")
    for place, (step, first, mine) in enumerate(zip(steps, told, here, strict=False)):
        if step != first:
            break
        steps[place] = mine
    return ".".join(steps)


def value_text(value: Any, spec: FieldSpec | None = None) -> str:
    """A value as a spec writes it, cut where it is long."""
    if isinstance(value, Config):
        return value.__component__.name
    if isinstance(value, tuple) and value and all(isinstance(each, Config) for each in value):
        return f"{len(value)} components"
    if value is None or spec is None:
        return cut(str(value) if isinstance(value, float) else shown(value))
    return cut(spec.kind.write(value))


def cut(text: str) -> str:
    """The first line of a text, and not too much of it."""
    line, _, more = text.partition("\n")
    return f"{line[: SHOWN - 1]}…" if more or len(line) > SHOWN else line
