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
        old="wait = waits(self._seeds, self._drawn, self._tokens)",
        new="wait = torch.empty_like(scores).exponential_()",
    ),
    Bug(
        name="all rows share a source",
        component="generator:decode",
        file=DRAW,
        old="waits(self._seeds, self._drawn, self._tokens)",
        new="waits(self._seeds[:1], self._drawn, self._tokens)",
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
        old="scores.softmax(-1)",
        new="scores.mul(2).softmax(-1)",
    ),
]
