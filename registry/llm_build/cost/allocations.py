"""The live bytes of tensors on a device, followed through code that runs under torch's `FakeTensorMode`.

Such a tensor has its device, dtype and shape, and no memory: the kernels that a real run would choose are chosen, and
what each of them returns is counted. What a kernel takes and gives back inside itself is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from llm_build.cost.at_work import AtWork, Copy
from llm_build.cost.stepping import Enough, Moment, Stepping

Kind = Literal["weights", "gradients", "optimizer", "activations"]
KINDS: tuple[Kind, ...] = ("weights", "gradients", "optimizer", "activations")
CUDA_BLOCK = 512
"""The caching allocator hands out multiples of so many bytes."""
ASKS_FOR_FAULTS = (torch.ops.aten.any, torch.ops.aten.isnan, torch.ops.aten.isinf)

__all__ = ["Allocations", "Enough"]


@attrs.define(eq=False)
class Block:
    """The memory of one storage: its bytes as the device's allocator counts them, what for, and in which layer."""

    size: int
    kind: Kind
    copy: Copy | None

    @property
    def total(self) -> int:
        """Its bytes, in all the layers that its own stands for."""
        return self.size * (1 if self.copy is None else self.copy.times)


class Allocations(TorchDispatchMode):
    """While it is on, every storage on `device` counts from its birth to its end.

    `most` has the largest that each kind ever was, `peak` the largest sum of all. What is not known to be a weight, a
    gradient or an optimiser's is an activation. Every number that the host reads is 1, and none is at fault: who asks
    whether any is so, or is no number, hears no; who asks whether all are hears yes.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.peak = 0
        self.most: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self._live: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self._blocks = WeakIdKeyDictionary()
        self._false = WeakIdKeyDictionary()
        self._at_work = AtWork(self._copy_of, self._hand)
        self._stepping = Stepping(self._stepped)

    @property
    def steps(self) -> int:
        """How many optimisers have made a whole step."""
        return self._stepping.done

    @contextmanager
    def following(self, model: nn.Module, copies: Mapping[nn.Module, Copy]) -> Iterator[None]:
        """Tell a model's weights, their gradients and what optimisers keep of them from the rest; count from here on.

        `copies` says which layers stand for more than one. `Enough` is raised where an optimiser begins its second
        step: what it takes is known from the first.
        """
        of = {weight: copy for module, copy in copies.items() for weight in _tensors_of(module)}
        for weight in _tensors_of(model):
            self._assign(weight, "weights", of.get(weight))
        self.peak, self.most = sum(self._live.values()), dict(self._live)
        hooks = [weight.register_post_accumulate_grad_hook(self._gradient) for weight in model.parameters()]
        hooks += [hook for module, copy in copies.items() for hook in self._at_work.follow(module, copy)]
        hooks += self._stepping.follow()
        try:
            yield
        finally:
            for each in hooks:
                each.remove()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.prim.device.default:
            return args[0].fake_device  # asked for so often that the long way doubles the time
        if func is torch.ops.aten._local_scalar_dense.default:
            return _one(args[0].dtype, args[0].untyped_storage() in self._false)
        if func is torch.ops.aten._pin_memory.default:
            return args[0].clone()  # host memory, and FakeTensorMode knows no other
        made = func(*args, **(kwargs or {}))
        copy = self._at_work.now(args)
        if isinstance(made, Tensor):
            self._see(made, copy)
            if func.overloadpacket in ASKS_FOR_FAULTS:
                self._false[made.untyped_storage()] = True
        elif isinstance(made, (list, tuple)):
            for place, each in enumerate(made):
                if isinstance(each, Tensor):
                    self._see(each, copy or self._at_work.of_place(args, place))
        return made

    def _see(self, made: Tensor, copy: Copy | None) -> None:
        storage = made.untyped_storage()
        if storage in self._blocks or made.device.type != self.device.type:
            return
        block = Block(self._size(storage.nbytes()), "activations", copy)
        self._blocks[storage] = block
        weakref.finalize(storage, self._gone, block).atexit = False
        self._live["activations"] += block.total
        if self._stepping.now:
            self._stepping.saw(block, Moment(sum(self._live.values()), self._live["activations"]), self._looked_at)
        elif self._looked_at:
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, sum(self._live.values()))
        for kind, live in self._live.items():
            self.most[kind] = max(self.most[kind], live)

    @property
    def _looked_at(self) -> bool:
        return self._at_work.looked_at

    def _gone(self, block: Block) -> None:
        self._live[block.kind] -= block.total

    def _assign(self, tensor: Tensor, kind: Kind, copy: Copy | None = None) -> None:
        block = self._blocks.get(tensor.untyped_storage())
        if block is not None and block.kind != kind:
            self._gone(block)
            block.kind, block.copy = kind, copy or block.copy
            self._live[kind] += block.total

    def _hand(self, tensor: Tensor, copy: Copy) -> None:
        block = self._blocks.get(tensor.untyped_storage())
        if block is not None and block.copy is not None:
            self._gone(block)
            block.copy = copy
            self._live[block.kind] += block.total

    def _copy_of(self, tensor: Tensor) -> Copy | None:
        block = self._blocks.get(tensor.untyped_storage())
        return None if block is None else block.copy

    def _gradient(self, weight: Tensor) -> None:
        if weight.grad is not None:
            self._assign(weight.grad, "gradients")
            if self._looked_at:
                self._look()

    def _stepped(self, kept: Sequence[tuple[Tensor, Tensor]]) -> None:
        """An optimiser has made a step, after which it keeps these, each of a weight."""
        for weight, each in kept:
            self._assign(each, "optimizer", self._copy_of(weight))
        storages = [each.untyped_storage() for _, each in kept]
        blocks = [self._blocks[each] for each in storages if each in self._blocks]
        for moment in self._stepping.moments(blocks):
            self.peak = max(self.peak, moment.all)
            self.most["activations"] = max(self.most["activations"], moment.activations)
        self._look()

    def _size(self, count: int) -> int:
        return -(-count // CUDA_BLOCK) * CUDA_BLOCK if self.device.type == "cuda" else count


def _tensors_of(module: nn.Module) -> Sequence[Tensor]:
    return (*module.parameters(), *module.buffers())


def _one(dtype: torch.dtype, faults: bool) -> float | bool:
    if dtype == torch.bool:
        return not faults
    return 1.0 if dtype.is_floating_point else 1
