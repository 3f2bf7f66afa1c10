"""The parts of a decode step that run compiled: each kind of layer, whose layers share the code, and what follows them.

A step compiled as a whole would be traced and compiled layer after layer, though they are alike; that takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from torch import nn

from llm_build_plugins.generate._folder import keep_compiled
from llm_build_plugins.generate._inductor import inductor
from llm_build_plugins.generate._region import LIMIT, Backend, Region

SPAN = r"L\['args'\].*\.span$"
"""What torch calls `Step.span` where a layer is given a step."""

_OWN = "_compiled_call_impl"
"""Where a module keeps what is called in the place of its forward and hooks; `nn.Module.compile` sets it too."""


class Compiled:
    """What was compiled of a model. It keeps no module, and outside of `layers` the model is as it was."""

    _every: ClassVar[WeakKeyDictionary[nn.Module, Compiled]] = WeakKeyDictionary()

    def __init__(self, backend: Backend = inductor) -> None:
        self._backend = backend
        self._regions: dict[Hashable, Region] = {}
        self._kinds: WeakKeyDictionary[nn.Module, Hashable] = WeakKeyDictionary()

    @classmethod
    def of(cls, model: nn.Module) -> Compiled:
        """The one of a model: whoever writes with it next finds what was compiled, and it goes with the model."""
        if model not in cls._every:
            keep_compiled()
            cls._every[model] = cls()
        return cls._every[model]

    @contextmanager
    def layers(self, model: nn.Module) -> Iterator[None]:
        """Inside, the layers of a model run compiled; those that somebody compiled already stay as they are."""
        found = [(name, layer) for name, layer in layers_of(model) if getattr(layer, _OWN) is None]
        with _tracing():
            try:
                for name, layer in found:
                    vars(layer)[_OWN] = partial(_through, self._region(self._kind(layer), _layer), name, layer)
                yield
            finally:
                for _, layer in found:
                    vars(layer).pop(_OWN, None)

    def run(self, name: str, call: Callable[..., None], part: Any, *args: Any, kind: Hashable = None) -> None:
        """`call(part, *args)`, a plain function, compiled once for each `kind`; it is called `name` to people."""
        with _tracing():
            self._region((call, kind), call)(name, part, args, {})

    def _region(self, kind: Hashable, call: Callable[..., Any]) -> Region:
        if kind not in self._regions:
            self._regions[kind] = Region(call, self._backend)
        return self._regions[kind]

    def _kind(self, layer: nn.Module) -> Hashable:
        if layer not in self._kinds:
            self._kinds[layer] = _kind(layer)
        return self._kinds[layer]


def layers_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a model by their places: what keeps something between calls and stands in a list, the outermost."""
    for name, child in model.named_children():
        listed = isinstance(model, nn.ModuleList)
        if listed and hasattr(child, "state_spec"):
            yield name, child
        else:
            yield from ((f"{name}.{below}", layer) for below, layer in layers_of(child))


def constants(thing: object) -> Hashable:
    """The plain values that an object holds: torch would take one that is another the next time for one that varies."""
    held = getattr(thing, "__dict__", {})
    return type(thing), tuple((name, each) for name, each in held.items() if isinstance(each, int | float | str))


def _kind(layer: nn.Module) -> Hashable:
    """Layers of which this is equal share code; where they do different things all the same, torch compiles each."""
    modules = tuple((name, type(each)) for name, each in layer.named_modules())
    held = (*layer.named_parameters(), *layer.named_buffers())
    tensors = tuple((name, each.shape, each.dtype) for name, each in held)
    return modules, tensors, str(getattr(layer, "state_spec", None))


def _through(region: Region, name: str, layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return region(name, layer, args, kwargs)


def _layer(layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return layer._call_impl(*args, **kwargs)


@contextmanager
def _tracing() -> Iterator[None]:
    """How torch traces a region."""
    from torch._dynamo import config  # slow to import, and nobody else needs it
    from torch.compiler import config as public

    # torch's own limit counts what differs among layers, and is soon met; the length in use grows, so from the first it
    # is a number that varies, and no reason to compile again
    patched = public.patch(dynamic_sources=SPAN)  # type: ignore[attr-defined]
    # torch would not look whether hooks came or went since it compiled
    with config.patch(recompile_limit=LIMIT, skip_nnmodule_hook_guards=False), patched:
        yield
