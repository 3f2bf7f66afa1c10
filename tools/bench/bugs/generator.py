"""Bugs of generators."""

from __future__ import annotations

from bugs.bug import Bug

DRAW = "plugins/llm_build_plugins/generate/_draw.py"
BUGS = [
    Bug(
        name="the seed is ignored",
        component="generator:decode",
        file=DRAW,
        old="[_signed(each) for each in seeds]",
        new="[0 for each in seeds]",
    ),
    Bug(
        name="the global random state",
        component="generator:decode",
        file=DRAW,
        old="tokens = drawn_of(scores, self._seeds, self._drawn)",
        new="tokens = (scores - torch.empty_like(scores).exponential_().log()).argmax(-1, keepdim=True)",
    ),
    Bug(
        name="all rows share a source",
        component="generator:decode",
        file=DRAW,
        old="drawn_of(scores, self._seeds, self._drawn)",
        new="drawn_of(scores, self._seeds[:1], self._drawn)",
    ),
    Bug(
        name="padding is drawn",
        component="generator:decode",
        file=DRAW,
        old="self._never[tokenizer.pad] = True",
        new="pass",
    ),
    Bug(
        name="chances are drawn twice as sharp",
        component="generator:decode",
        file=DRAW,
        old="drawn_of(scores, ",
        new="drawn_of(scores.mul(2), ",
    ),
]
