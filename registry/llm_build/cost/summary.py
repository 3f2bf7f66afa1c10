"""`summarise`: what a spec's model has and keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from llm_build.assemble import build, quantised
from llm_build.components import can, id_of
from llm_build.cost.layers import Row, parts, rows
from llm_build.cost.optimizer import optimizer_bytes, optimizer_of
from llm_build.cost.products import COUNTED, Products, products
from llm_build.cost.states import Kept, all_kept, kinds
from llm_build.cost.unmeasured import Unmeasured
from llm_build.spec import Spec


@attrs.frozen(kw_only=True)
class Summary:
    """What the model of a spec has and keeps, counted on the module that is built on the meta device.

    context          tokens of the longest text
    dtype            of the weights that write and of what they keep, where a field states no other
    parameters       shared ones once; `active`: those that one token makes use of
    weights          bytes of the parameters in `dtype`; `buffers` those of what is no parameter
    quantised        bytes of parameters and buffers of the model that writes, where the generator has a quantiser
    trained          bytes of the parameters in the dtype in which they are trained, float32 or wider; as many are taken
                     by their gradients
    optimizer        bytes that the optimiser keeps beside them; None where the spec does not train, and where that
                     cannot be asked, of which `unasked` says why
    flops            operations a token of a forward pass over a text as long as the context, as `products` counts
                     them; where they cannot be counted None, and `uncounted` says why
    states           how many layers keep what of a text, as the cache that writes stores it
    """

    model: str
    context: int
    dtype: torch.dtype
    rows: tuple[Row, ...]
    parameters: int
    active: int
    weights: int
    buffers: int
    quantised: int | None
    trained: int
    optimizer: int | None
    unasked: str = ""
    flops: int | None
    uncounted: str = ""
    states: tuple[tuple[int, Kept], ...]
    reads_source: bool

    @property
    def state(self) -> int:
        """Bytes that all layers keep of one text as long as the context, and of a source as long."""
        return sum(count * each.at(self.context, self.context) for count, each in self.states)

    def as_json(self) -> Mapping[str, Any]:
        """The same for a machine: plain numbers, sizes in bytes."""
        return {
            "model": self.model,
            "context": self.context,
            "dtype": str(self.dtype).removeprefix("torch."),
            "parameters": {"total": self.parameters, "active": self.active},
            "bytes": {
                "weights": self.weights,
                "buffers": self.buffers,
                "quantised": self.quantised,
                "trained_weights": self.trained,
                "gradients": self.trained,
                "optimizer": self.optimizer,
                "optimizer_why_not": self.unasked or None,
            },
            "flops": {
                "a_token": self.flops,
                "tokens": self.context,
                "counted": COUNTED,
                "why_not": self.uncounted or None,
            },
            "layers": [attrs.asdict(each) for each in self.rows],
            "state_bytes": {
                "at_context": self.state,
                "kinds": [
                    {
                        "layers": count,
                        "token": each.token,
                        "sequence": each.sequence,
                        "memory_place": each.memory,
                        "windows": [{"token": size, "window": window} for size, window in each.windows],
                    }
                    for count, each in self.states
                ],
            },
        }


def summarise(spec: Spec, dtype: torch.dtype = torch.float32, optimizer: int | None = None) -> Summary:
    """What the model of a filled spec has and keeps, with weights of `dtype`. Nothing is allocated.

    `optimizer`: the bytes that the optimiser keeps, where they are known; else it is asked.
    """
    model = build(spec, device="meta", dtype=dtype)
    wide = torch.promote_types(dtype, torch.float32)
    trained = model if wide == dtype else build(spec, device="meta", dtype=wide)
    kept, unasked = (optimizer, "") if optimizer is not None else _optimizer(trained, spec)
    counted, uncounted = _products(model, spec)
    writing = quantised(spec, model)
    table = rows(model, spec.model, counted)
    return Summary(
        model=id_of(spec.model),
        context=model.context,
        dtype=dtype,
        rows=tuple(table),
        parameters=sum(each.numel() for each in model.parameters()),
        active=sum(each.active * each.count for each in table),
        weights=_bytes(model.parameters()),
        buffers=_bytes(model.buffers()),
        quantised=None if writing is model else _bytes((*writing.parameters(), *writing.buffers())),
        trained=_bytes(trained.parameters()),
        optimizer=kept,
        unasked=unasked,
        flops=None if counted is None else round(counted.a_token),
        uncounted=uncounted,
        states=tuple(kinds(all_kept(model, dtype, spec.generate))),
        reads_source=can(spec.model, "encoder"),
    )


def _products(model: nn.Module, spec: Spec) -> tuple[Products | None, str]:
    """What the forward pass takes, or why that cannot be said."""
    try:
        return products(model, [module for _, module, _ in parts(model, spec.model)]), ""
    except Unmeasured as fault:
        return None, str(fault)


def _optimizer(model: nn.Module, spec: Spec) -> tuple[int | None, str]:
    """What the optimiser keeps, or why that cannot be said; neither without an optimiser."""
    optimizer = optimizer_of(spec)
    try:
        return (None if optimizer is None else optimizer_bytes(optimizer, model)), ""
    except Unmeasured as fault:
        return None, str(fault)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)
