"""Which attention kernel each mixer takes: the dispatcher's choice, and what torch's SDPA makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from llm_build.attend import Choice, listening
from llm_build.bench.passes import Passes
from llm_build.step import Field

MATH = "math"
"""SDPA's own reference, which materialises all scores."""
BACKENDS = ("flash", "efficient", "cudnn", MATH)


@attrs.frozen
class Kernel:
    """A kernel of the dispatcher, why it was taken, and the backend of SDPA where it calls that.

    `slow`: another would be faster, were it not for what `why` says; SDPA's own reference always is.
    """

    name: str
    why: str
    slow: bool
    backend: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.backend})" if self.backend else self.name


@attrs.frozen(kw_only=True)
class Attending:
    """What a mixer took in prefill and in a decode step: nothing where it attends to nothing, as a recurrence."""

    mixer: str
    prefill: tuple[Kernel, ...] = ()
    decode: tuple[Kernel, ...] = ()


def attending(model: nn.Module, passes: Passes) -> list[Attending]:
    """What each mixer of a model takes in one prefill and one decode step, which it must have room for."""
    with watching(model) as prefill:
        passes.prefill()
    with watching(model) as decode:
        passes.decode()
    return [
        Attending(mixer=name, prefill=_distinct(prefill.get(name, [])), decode=_distinct(decode.get(name, [])))
        for name, _ in mixers(model)
    ]


def mixers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The sequence mixers of a model, by their names."""
    for name, module in model.named_modules():
        spec = getattr(module, "state_spec", None)
        if isinstance(spec, Mapping) and all(isinstance(each, Field) for each in spec.values()):
            yield name, module


@contextmanager
def watching(model: nn.Module) -> Iterator[Mapping[str, list[Kernel]]]:
    """The kernels that each mixer takes inside, in the order of its calls."""
    taken: dict[str, list[Kernel]] = {}
    running: list[str] = []

    def chose(choice: Choice) -> None:
        if running:
            taken.setdefault(running[-1], []).append(Kernel(choice.kernel, choice.why, choice.slow))

    def took(backend: str) -> None:
        kernels = taken.get(running[-1]) if running else None
        if kernels and kernels[-1].backend in ("", backend):
            slow = kernels[-1].slow or backend == MATH
            kernels[-1] = attrs.evolve(kernels[-1], backend=backend, slow=slow)
        elif running:
            taken.setdefault(running[-1], []).append(Kernel("SDPA", "the mixer's own call", backend == MATH, backend))

    with ExitStack() as stack:
        for name, module in mixers(model):
            for hook in _hooks(module, name, running):
                stack.callback(hook.remove)
        stack.enter_context(listening(chose))
        stack.enter_context(_Sdpa(took))
        yield taken


def _hooks(module: nn.Module, name: str, running: list[str]) -> Sequence[Any]:
    def begin(*_: Any) -> None:
        running.append(name)

    def end(*_: Any) -> None:
        running.pop()

    return module.register_forward_pre_hook(begin), module.register_forward_hook(end, always_call=True)


def _distinct(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    return tuple(dict.fromkeys(kernels))


class _Sdpa(TorchFunctionMode):
    """Tells of every call of SDPA which backend torch took."""

    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__()
        self._told = told

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        with _Backend() as seen:
            made = func(*args, **(kwargs or {}))
        self._told(seen.backend)
        return made


class _Backend(TorchDispatchMode):
    """Each fused backend is one operation; the reference is many."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.backend = MATH

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith("_scaled_dot_product"):
            self.backend = next((each for each in BACKENDS if each in name), name)
        return func(*args, **(kwargs or {}))
