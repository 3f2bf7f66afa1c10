"""inductor as a decode step uses it: products of few rows are kernels of their own, the rest is fused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from llm_build_plugins._thin import thinned

OPTIONS: dict[str, Any] = {"shape_padding": False, "triton.enable_pdl": True}
"""A step reads every weight once, so that padding one would cost a copy of it each time. Its kernels are short, and
those of ours between them keep the order that `launches_early` states, so that each may begin early."""


def inductor(graph: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
    """What `torch.compile` asks of a backend."""
    from torch._inductor.compile_fx import compile_fx  # slow to import, and nobody else needs it

    with torch.no_grad():
        thinned(graph)
    compiled: Callable[..., Any] = compile_fx(graph, inputs, config_patches=OPTIONS)  # type: ignore[assignment]
    return compiled
