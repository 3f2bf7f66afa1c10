"""The context that a component is proved in, by slot: what its parent would tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from llm_build.conformance.drawing import Draw, draw_part
from llm_build.conformance.subject import Subject
from llm_build.context import Context

VOCAB = 11
CONTEXT = 64
WIDTHS = (4, 2, 6, 8, 12, 3, 1)
BRANCHES = ("attention", "cross", "ffn")
STEPS = 40

Surround = Callable[[Draw, Subject], dict[str, Any]]


def draw_context(draw: Draw, subject: Subject) -> Context:
    """Surroundings for a component of the subject's slot. Sizes are small; none is missing that the slot is told."""
    known = {"dim": draw(st.sampled_from(WIDTHS)), "vocab": VOCAB, "context": CONTEXT, "depth": 2}
    return Context(**{**known, **SURROUND.get(subject.info.slot, _nothing_more)(draw, subject)})


def _nothing_more(_draw: Draw, _subject: Subject) -> dict[str, Any]:
    return {}


def _attention(draw: Draw, subject: Subject) -> dict[str, Any]:
    turned = draw(st.booleans())
    return {"position": draw_part(draw, "position", subject) if turned else None}


def _ffn(draw: Draw, _subject: Subject) -> dict[str, Any]:
    return {"dropout": draw(st.sampled_from((0.0, 0.5)))}


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
    "ffn": _ffn,
    "router": _router,
    "position": _position,
    "placement": _placement,
    "optimizer": _training,
    "schedule": _training,
    "objective": _training,
}
