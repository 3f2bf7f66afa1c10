"""What an optimiser keeps between steps, asked of the optimiser itself on the meta device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from llm_build.components import Config, field_specs
from llm_build.context import Context
from llm_build.cost.unmeasured import Unmeasured, first_line
from llm_build.groups import ParameterGroup, parameter_groups


def optimizer_of(spec: Config) -> Any:
    """The optimiser that the trainer of a filled spec holds, or None where it has none."""
    trainer = getattr(spec, "train", None)
    if trainer is None:
        return None
    context = spec.inside("train", Context()).with_(path="train")
    for name in field_specs(trainer):
        value = getattr(trainer, name)
        if isinstance(value, Config) and value.__component__.slot == "optimizer":
            return trainer.part(name, context)
    return None


def optimizer_bytes(optimizer: Any, model: nn.Module) -> int:
    """Bytes that the optimiser of a model on the meta device keeps after a step in which all weights had a gradient.

    It is asked about one parameter of each group, shape and dtype: as much is kept of those that are alike. Raises
    `Unmeasured` where it cannot step there.
    """
    counts: Counter[tuple[ParameterGroup, torch.Size, torch.dtype]] = Counter()
    for group, weights in parameter_groups(model).items():
        counts.update((group, each.shape, each.dtype) for each in weights)
    return sum(count * _bytes_of_one(optimizer, *kind) for kind, count in counts.items())


class One(nn.Module):
    """A model of one parameter, which has a gradient."""

    def __init__(self, group: ParameterGroup, shape: torch.Size, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape, dtype=dtype, device="meta"))
        self.weight.grad = torch.zeros_like(self.weight)
        self.parameter_groups = {"weight": group}


def _bytes_of_one(optimizer: Any, group: ParameterGroup, shape: torch.Size, dtype: torch.dtype) -> int:
    made = optimizer.make(One(group, shape, dtype))
    try:
        with Ones():  # type: ignore[no-untyped-call]
            made.step()
    except (NotImplementedError, RuntimeError) as fault:
        raise Unmeasured(f"its step without numbers fails: {first_line(fault)}") from fault
    # an optimiser that is made of others keeps its state in theirs; its state_dict has all of it
    return sum(each.numel() * each.element_size() for each in _tensors(made.state_dict()))


class Ones(TorchDispatchMode):
    """Every number that the host reads from the meta device is 1: which weights there are decides what is kept of them,
    and not what they hold."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "meta":
            return torch.ones((), dtype=args[0].dtype).item()
        return func(*args, **(kwargs or {}))


def _tensors(held: Any) -> Iterator[Tensor]:
    if isinstance(held, Tensor):
        yield held
    elif isinstance(held, Mapping):
        for each in held.values():
            yield from _tensors(each)
    elif isinstance(held, list | tuple):
        for each in held:
            yield from _tensors(each)
