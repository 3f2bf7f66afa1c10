"""What another way of computing the same says: a compiler, and the author's own equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from llm_build.conformance.calls import CALLS, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.trial import Trial

SHAPES = ((5, 7), (7, 8))
"""Rows and positions of two calls. No other axis is as long as the first: a compiler would take them for one."""


@check("reference", slots=CALLS, when=lambda subject: subject.reference is not None, quick=30)
def reference(trial: Trial) -> None:
    """What comes out equals what the author's reference gives for the same module and the same inputs.

    It alone sees what is wrong in a way that agrees with itself: another scale, heads in another order. It is worth as
    much as the reference, which is best written from the paper, not from the module.
    """
    made = trial.made()
    call = call_of(trial, made)
    oracle = trial.subject.reference
    assert oracle is not None
    same(call(made.module), call.expected(oracle, made.module), "against the reference")


@check("compile", slots=CALLS, quick=2, full=10)
def compiled(trial: Trial) -> None:
    """`torch.compile` makes one graph of it, whatever the number of rows and positions, and it gives the same numbers.

    The graph is run as it stands, by no backend. Something that Python decides by a number in a tensor breaks the
    graph; something that it decides by a size is compiled again for every size.
    """
    graphs: list[Any] = []

    def counting(graph: Any, _inputs: Any) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward  # type: ignore[no-any-return]

    _compare(trial, counting)
    require(len(graphs) == 1, f"it is compiled {len(graphs)} times for two sizes of batch; once is right")


@check("inductor", slots=CALLS, quick=0, full=1)
def inductor(trial: Trial) -> None:
    """Compiled by inductor, torch's own backend, it gives the same numbers. One config, in a full run alone.

    It stays beside the check of one graph, since only it sees numbers that a compiled kernel has otherwise. It needs a
    C++ compiler.
    """
    _compare(trial, "inductor")


def _compare(trial: Trial, backend: Any) -> None:
    made = trial.made()
    torch._dynamo.reset()
    try:
        calls = [call_of(trial, made, rows=rows, length=length) for rows, length in SHAPES]
        run, *_ = (call.function(made.module) for call in calls)
        compiled = torch.compile(run, backend=backend, fullgraph=True, dynamic=True)
        for call in calls:
            same(call.read(compiled(call.given)), call(made.module), "compiled", rtol=1e-7, atol=1e-8)
    finally:
        torch._dynamo.reset()
