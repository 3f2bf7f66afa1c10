"""The fields of a config class: one function for each kind, and what each field knows about itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import attrs

from llm_build.components.kinds import (
    AmountKind,
    ChoiceKind,
    FlagKind,
    Kind,
    ManyKind,
    NumberKind,
    PartKind,
    PartsKind,
    PathKind,
    ShareKind,
    SizeKind,
    TextKind,
)
from llm_build.components.values import UNSET, Problem
from llm_build.errors import PluginError

Derive = Callable[[Any, Any], Any]
"""(config, context) → a value. `config` answers for the fields of the same config, filled on demand."""

KEY = "llm_build"


@attrs.frozen(kw_only=True, eq=False)
class FieldSpec:
    """What a field takes and where its value comes from when a config does not state it.

    Explicit beats inherited beats derived beats default. `says` is the derivation in words ("dim / heads"). `optional`
    fields take `none`. `once` marks an inherited part that is built once, where it is stated, and shared. `example` is
    what an example of the component states here, even where it could be left out; of a part it is the text of a spec.
    """

    kind: Kind
    default: Any = UNSET
    derive: Derive | None = None
    says: str = ""
    inherit: str | None = None
    optional: bool = False
    once: bool = False
    example: Any = UNSET
    doc: str = ""

    @property
    def required(self) -> bool:
        """Whether a value must be stated, as nothing else gives one."""
        return self.default is UNSET and self.derive is None and self.inherit is None and not self.optional

    def suggested(self, names: Sequence[str]) -> str:
        """Which of the components `names` a message names for this part: the example's, else the first; "" of none."""
        stated = self.example.split()[0] if isinstance(self.example, str) else ""
        return stated if stated in names else next(iter(names), "")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _rounded(value: Any) -> Any:
    return float(value) if isinstance(value, Fraction) else value


def _as_list(value: Any) -> Any:
    # one component is a list of one, whichever way it was stated
    return (value,) if hasattr(value, "__component__") else _frozen(value)


def _field(kind: Kind, *, converter: Callable[[Any], Any] = _frozen, **options: Any) -> Any:
    return attrs.field(default=UNSET, converter=converter, metadata={KEY: FieldSpec(kind=kind, **options)})


def size(*, low: int = 1, high: int = 2**63 - 1, **options: Any) -> Any:
    """A whole number. Options here and below: default, derive and says, inherit, optional, example, doc."""
    return _field(SizeKind(low, high), **options)


def number(
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    **options: Any,
) -> Any:
    """A real number; `low` and `high` are allowed, `above` and `below` are not."""
    return _field(NumberKind(low=low, high=high, above=above, below=below), converter=_rounded, **options)


def amount(**options: Any) -> Any:
    """A count of steps or a share of all of them."""
    return _field(AmountKind(), **options)


def share(**options: Any) -> Any:
    """A share from 0% to 100%."""
    return _field(ShareKind(), **options)


def flag(default: bool = False, **options: Any) -> Any:
    """true or false."""
    return _field(FlagKind(), default=default, **options)


def text(**options: Any) -> Any:
    """A string."""
    return _field(TextKind(), **options)


def path(**options: Any) -> Any:
    """A path, relative to the file that holds the literal. A config opens it only where `context.may_read(path)`."""
    return _field(PathKind(), **options)


def choice(*options: str, **others: Any) -> Any:
    """One of a few strings."""
    return _field(ChoiceKind(options), **others)


def many(of: Any, *, least: int = 0, most: int | None = None, **options: Any) -> Any:
    """A list, whose elements are what `of` (another field function's result) describes.

    Raises `PluginError` for elements that no list of the language holds.
    """
    spec = getattr(of, "metadata", {}).get(KEY)
    if spec is None:
        raise PluginError(f"many takes what each element is, such as many(number()); {of!r} arrived")
    if isinstance(spec.kind, (ManyKind, PartKind, PartsKind)):
        advice = 'write parts("slot")' if not isinstance(spec.kind, ManyKind) else "write one list, or two fields"
        raise PluginError(f"the elements of many are plain values, not {spec.kind.describe()}: {advice}")
    return _field(ManyKind(of=spec.kind, least=least, most=most), **options)


def part(slot: str, **options: Any) -> Any:
    """Another component. `default` is its name, resolved like text: `default="rms"`."""
    return _field(PartKind(slot), **options)


def parts(slot: str, **options: Any) -> Any:
    """A list of components of one slot, as `4 * block { … }`. `default` is the name of one."""
    return _field(PartsKind(slot), converter=_as_list, **options)


def field_specs(config: Any) -> dict[str, FieldSpec]:
    """The fields of a config or a config class, by name, in their order."""
    cls = config if isinstance(config, type) else type(config)
    return {each.name: each.metadata[KEY] for each in attrs.fields(cls) if KEY in each.metadata}


def divided(whole: str, by: str, *, at_most: int = 12) -> Derive:
    """Derive `whole / by`: `whole` is the context's, `by` a field. A remainder is a fault that lists the divisors."""

    def derive(config: Any, context: Any) -> Any:
        total, count = context.need(whole), getattr(config, by)
        if total % count == 0:
            return Fraction(total, count)
        return Problem(
            field=by,
            message=f"{by} must divide {whole} = {total}; {count} arrived",
            help=f"{by} may be {divisors(total, at_most)}",
            code="E302",
            related=(whole,),
        )

    return derive


def divisors(total: int, at_most: int = 12) -> str:
    """The first divisors of a number, for a message: "1, 2, 4, 8, …"."""
    found = []
    for each in range(1, min(total, 65_536) + 1):
        if total % each == 0:
            found.append(str(each))
        if len(found) > at_most:
            return ", ".join(found[:-1]) + ", …"
    return ", ".join(found)
