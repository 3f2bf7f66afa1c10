"""The context that a component is proved in, by slot: what its parent would tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable, UnsatisfiedAssumption

from llm_build.conformance.drawing import Draw, draw_config, draw_part
from llm_build.conformance.subject import Subject
from llm_build.context import Context

VOCAB = 11
CONTEXT = 64
WIDTHS = (4, 2, 6, 8, 12, 3, 1)
BRANCHES = ("attention", "cross", "ffn")
STEPS = 40
FORWARDS: Mapping[str, Any] = {"memory": None, "causal": True}
BACKWARDS: Mapping[str, Any] = {"memory": None, "causal": False}
OVER_MEMORY: Mapping[str, Any] = {"memory": 3, "causal": False, "position": None}
"""What surrounds a mixer that reads its sequence, up to each place or as a whole, or a memory in place of it."""
ONCE = settings(
    max_examples=4, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)

Surround = Callable[[Draw, Subject], dict[str, Any]]


def draw_context(draw: Draw, subject: Subject) -> Context:
    """Surroundings for a component of the subject's slot. Sizes are small; none is missing that the slot is told."""
    return Context(**{**_known(draw), **SURROUND.get(subject.info.slot, _nothing_more)(draw, subject)})


def _known(draw: Draw) -> dict[str, Any]:
    return {
        "dim": draw(st.sampled_from(WIDTHS)),
        "vocab": VOCAB,
        "context": CONTEXT,
        "depth": 2,
        "dropout": draw(st.sampled_from((0.0, 0.5))),
    }


def _nothing_more(_draw: Draw, _subject: Subject) -> dict[str, Any]:
    return {}


def _attention(draw: Draw, subject: Subject) -> dict[str, Any]:
    """Often its own sequence, forwards, with rotary positions; else the whole sequence, or a memory."""
    kinds: list[Mapping[str, Any]] = [FORWARDS, FORWARDS, BACKWARDS, OVER_MEMORY]
    kind = draw(st.sampled_from([each for each in kinds if takes(subject, each)] or [FORWARDS]))
    turned = kind is not OVER_MEMORY and draw(st.sampled_from((True, True, False)))
    return {"position": draw_part(draw, "position", subject, "rotary") if turned else None, **kind}


def takes(subject: Subject, surroundings: Mapping[str, Any]) -> bool:
    """Whether any config of a component is right in surroundings of this kind."""
    return _takes(subject, tuple(surroundings.items()))


@cache
def _takes(subject: Subject, surroundings: tuple[tuple[str, Any], ...]) -> bool:
    def right(data: st.DataObject) -> bool:
        context = Context(**{**_known(data.draw), **dict(surroundings)})
        try:
            with TemporaryDirectory() as place:
                draw_config(data.draw, subject, context, Path(place))
        except UnsatisfiedAssumption:
            return False
        return True

    try:
        find(st.data(), right, settings=ONCE, random=Random(0))  # noqa: S311 - nothing secret
    except (NoSuchExample, Unsatisfiable):
        return False
    return True


def _router(draw: Draw, _subject: Subject) -> dict[str, Any]:
    return {"experts": draw(st.integers(1, 8))}


def _position(draw: Draw, _subject: Subject) -> dict[str, Any]:
    return {"heads": draw(st.integers(1, 3)), "head_dim": draw(st.sampled_from((2, 4, 6, 8, 3)))}


def _placement(draw: Draw, subject: Subject) -> dict[str, Any]:
    branches = draw(st.sampled_from((BRANCHES[::2], BRANCHES[:1], BRANCHES)))
    return {"branches": branches, "norm": draw_part(draw, "norm", subject)}


def _training(_draw: Draw, _subject: Subject) -> dict[str, Any]:
    return {"steps": STEPS}


SURROUND: Mapping[str, Surround] = {
    "attention": _attention,
    "router": _router,
    "position": _position,
    "placement": _placement,
    "optimizer": _training,
    "schedule": _training,
    "objective": _training,
}
