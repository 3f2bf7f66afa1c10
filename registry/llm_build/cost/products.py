"""The floating-point operations of a model, counted in a forward pass on the meta device. Legend: T tokens.

Only products of matrices count, one multiplication and one addition for each pair of numbers: 2 · n · m · k. All scores
of attention count, hidden ones too, as for every query of T against every key of T. Of a bank of experts, the products
of those that a position goes to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from llm_build.cost.unmeasured import Unmeasured, first_line
from llm_build.interfaces import SourceModel

COUNTED = "products of matrices, forward, over one text as long as the context; all scores of attention"
"""What `products` counts, for a person."""


@attrs.frozen(kw_only=True)
class Products:
    """Operations a token: of the whole model, and of each module that was asked about and called, once a call.

    `tokens` is the length of the text, and of the source where there is one; all of it was given at once.
    """

    tokens: int
    a_token: Fraction
    modules: Mapping[nn.Module, Fraction]


def products(model: Any, modules: Sequence[nn.Module] = (), tokens: int | None = None) -> Products:
    """Operations of a forward pass of a model on the meta device, over so many tokens: its context unless stated.

    Raises `Unmeasured` where a part of the model looks at numbers, which are not there.
    """
    length: int = model.context if tokens is None else tokens
    counter, training = FlopCounterMode(display=False), model.training
    model.eval()
    try:
        with torch.no_grad(), watched(modules, counter) as calls, counter:
            _call(model, torch.zeros(1, length, dtype=torch.int64, device="meta"))
    except (NotImplementedError, RuntimeError) as fault:
        raise Unmeasured(
            f"FLOPs are counted in a forward pass without numbers, which fails: {first_line(fault)}"
        ) from fault
    finally:
        model.train(training)
    by_module = {module: Fraction(sum(each), len(each) * length) for module, each in calls.items()}
    return Products(tokens=length, a_token=Fraction(counter.get_total_flops(), length), modules=by_module)


@contextmanager
def watched(modules: Sequence[nn.Module], counter: FlopCounterMode) -> Iterator[Mapping[nn.Module, list[int]]]:
    """The operations of every call of some modules, as they come."""
    calls: dict[nn.Module, list[int]] = {}
    begun: dict[nn.Module, int] = {}

    def before(module: nn.Module, _inputs: Any) -> None:
        begun[module] = counter.get_total_flops()

    def after(module: nn.Module, _inputs: Any, _output: Any) -> None:
        calls.setdefault(module, []).append(counter.get_total_flops() - begun[module])

    handles = [
        handle
        for each in dict.fromkeys(modules)
        for handle in (each.register_forward_pre_hook(before), each.register_forward_hook(after))
    ]
    try:
        yield calls
    finally:
        for each in handles:
            each.remove()


def _call(model: Any, tokens: Tensor) -> None:
    model(tokens, **({"memory": model.encode(tokens)} if isinstance(model, SourceModel) else {}))
