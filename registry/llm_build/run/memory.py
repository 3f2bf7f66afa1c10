"""What the training of a spec takes of a device's memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch

from llm_build.components import Config, can
from llm_build.context import Context
from llm_build.cost import Unmeasured
from llm_build.cost import decide as decide_cost
from llm_build.language.values import Wrong
from llm_build.run.compute import Compute
from llm_build.run.rehearsal import rehearse
from llm_build.spec import Spec

KINDS = ("weights", "gradients", "optimizer", "activations", "workspaces")


@attrs.frozen(kw_only=True)
class TrainingMemory:
    """Bytes of tensors that training takes on a device, with products in `dtype`.

    peak         the most that there is at one time, in a step or while the held-out loss is taken; on a CPU that of
                 its allocator, on a GPU what torch.cuda.max_memory_allocated gives
    weights      and buffers
    gradients    of all weights
    optimizer    what it keeps beside them between steps
    activations  the most of all else: what is kept for the way back, and what is made in between
    workspaces   what a GPU's products keep for themselves; 0 on a CPU
    paired       it is for pairs whose sides are as long as the context, and shorter ones take less
    """

    device: str
    dtype: str
    peak: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    workspaces: int
    paired: bool

    def as_json(self) -> Mapping[str, Any]:
        """The same for a machine: sizes in bytes."""
        kinds = {name: getattr(self, name) for name in KINDS}
        assumed = "pairs whose source and target are as long as the context" if self.paired else None
        return {"device": self.device, "dtype": self.dtype, "peak_bytes": self.peak, "bytes": kinds, "assumed": assumed}


def training_memory(spec: Spec, compute: Compute) -> TrainingMemory:
    """What the training of a filled spec takes, found by a rehearsal. Nothing is allocated, and no data is read.

    Raises `Unmeasured` without a trainer, and where something in it cannot go without numbers.
    """
    if spec.train is None:
        raise Unmeasured("memory is that of training, and this spec has no `train`")
    seen, more = rehearse(spec, compute), workspaces(compute)
    return TrainingMemory(
        device=compute.device.type,
        dtype=str(compute.dtype).removeprefix("torch."),
        peak=seen.peak + more,
        weights=seen.most["weights"],
        gradients=seen.most["gradients"],
        optimizer=seen.most["optimizer"],
        activations=seen.most["activations"],
        workspaces=more,
        paired=can(spec.model, "encoder"),
    )


def workspaces(compute: Compute) -> int:
    """Bytes that a GPU's products take for themselves, one piece in each thread, as long as the process lives."""
    if compute.device.type != "cuda":
        return 0
    torch._C._cuda_clearCublasWorkspaces()
    before = torch.cuda.memory_allocated(compute.device)
    layer = torch.nn.Linear(16, 16, device=compute.device, dtype=compute.weights)
    x = torch.zeros(16, 16, device=compute.device, dtype=compute.weights, requires_grad=True)
    with compute.autocast():
        layer(x).sum().backward()
    del x, layer
    return torch.cuda.memory_allocated(compute.device) - before


def measuring(device: str = "auto", dtype: str = "auto") -> Callable[[str, Config, Context, Spec], int]:
    """What decides `params(…)`, `flops(…)` and `memory(…)` in a `require`; memory on a device, in a dtype.

    `memory(model)` is the peak of the spec's training there. Raises `Wrong` for that of a part, where nothing trains,
    and where it cannot be measured; `LLMBuildError` for a device that is not there.
    """

    def decide(what: str, config: Config, context: Context, spec: Spec) -> int:
        if what != "memory":
            return decide_cost(what, config, context)
        if config is not spec.model:
            raise Wrong(
                "memory takes the whole model: a part has no training of its own", "write memory(model)", "E312"
            )
        if spec.train is None:
            raise Wrong(
                "memory(model) is what training takes, and this spec has no `train`",
                "write train = pretrain { … }, or leave this requirement out",
                "E312",
            )
        try:
            return training_memory(spec, Compute.choose(device, dtype)).peak
        except Unmeasured as fault:
            raise Wrong(str(fault), "leave this requirement out, or require params(…)", "E312") from fault

    return decide
