"""Bugs of generators."""

from __future__ import annotations

from bugs.bug import Bug

DRAW = "plugins/llm_build_plugins/generate/_draw.py"
BUGS = [
    Bug(
        name="the seed is ignored",
        component="generator:decode",
        file=DRAW,
        old="manual_seed(each)",
        new="manual_seed(0)",
    ),
    Bug(
        name="the global random state",
        component="generator:decode",
        file=DRAW,
        old="row.exponential_(generator=source)",
        new="row.exponential_()",
    ),
    Bug(
        name="all rows share a source",
        component="generator:decode",
        file=DRAW,
        old="zip(waits, self._sources, strict=True)",
        new="zip(waits, self._sources[:1] * len(self._sources), strict=True)",
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
