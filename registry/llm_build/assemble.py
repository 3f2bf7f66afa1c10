"""Configs → modules: the same call for a spec, for Python and for the conformance kit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from llm_build.components import Config, id_of, instantiate
from llm_build.context import Context
from llm_build.devices import GIB, memory_of
from llm_build.diagnostics import Diagnostic
from llm_build.errors import SpecError
from llm_build.resolve import resolve
from llm_build.spec import Spec


def assemble(config: Config, context: Context) -> Any:
    """The module of a config in a context. Raises `SpecError` with every fault, before anything is allocated."""
    filled = config if config.filled else resolve(config, context)
    return instantiate(filled, context if context.shelf is not None else context.with_(shelf={}))


def build(
    config: Config,
    *,
    context: Context | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Any:
    """The module of a config, or the model of a whole `Spec`, on a device ("meta" included) with weights of `dtype`.

    Equal seeds give equal weights on one kind of device. Raises `SpecError` with every fault of the config, and where
    the weights alone would not fit into the device's memory; in both cases nothing was allocated.
    """
    if not isinstance(config, Config):
        raise TypeError(f"build takes a config, such as load(…) gives; {type(config).__name__} arrived")
    place = torch.device(device)
    model, surroundings = _model_of(config, context or Context())
    if place.type != "meta":
        _refuse_what_does_not_fit(_make(model, surroundings, torch.device("meta"), dtype, seed), place, model)
    module = _make(model, surroundings, place, dtype, seed)
    initialiser = getattr(module, "initialiser", None)
    if initialiser is not None and place.type != "meta":
        initialiser.initialise(module, torch.Generator(place).manual_seed(seed))
    return module


def outline(config: Config, device: torch.device, dtype: torch.dtype) -> Any:
    """The module that `build` would make, for a mode in which nothing is allocated: no weight is drawn."""
    model, surroundings = _model_of(config, Context())
    with device, _default_dtype(dtype):
        return assemble(model, surroundings)


def quantised(spec: Any, model: Any) -> Any:
    """The model that writes: what the quantiser of a filled spec's generator makes of its model, or that itself."""
    generator = spec.generate
    if getattr(generator, "quantizer", None) is None:
        return model
    context = spec.inside("generate", Context()).with_(path="generate")
    return generator.part("quantizer", context).quantize(model)


def _model_of(config: Config, context: Context) -> tuple[Config, Context]:
    """What is to be built, filled, and its surroundings: of a whole spec, its model."""
    filled = config if config.filled else resolve(config, context)
    if not isinstance(filled, Spec):
        return filled, context
    rows = getattr(filled.model, "vocab", None)
    # a model that has its vocab need not ask the tokenizer, whose file may be none to read yet
    inner = filled.inside("model", context) if rows is None else context.with_(vocab=rows)
    return filled.model, inner.with_(path="model")


def _make(config: Config, context: Context, place: torch.device, dtype: torch.dtype, seed: int) -> Any:
    devices = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), place, _default_dtype(dtype):
        _seed(place, seed)
        return assemble(config, context)


def _seed(place: torch.device, seed: int) -> None:
    """Seed what the weights are drawn from."""
    if place.type in ("cpu", "meta"):
        # torch.manual_seed seeds every GPU too; where there is none it keeps the whole stack of each call, for good
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _refuse_what_does_not_fit(module: Any, place: torch.device, config: Config) -> None:
    if not isinstance(module, nn.Module):
        return
    parameters = sum(each.numel() for each in module.parameters())
    needed = sum(each.numel() * each.element_size() for each in (*module.parameters(), *module.buffers()))
    there = memory_of(place)
    if needed <= there:
        return
    message = (
        f"the weights must fit into the memory of {place.type}: {id_of(config)} has {parameters:_} parameters, "
        f"which take {needed / GIB:_.1f} GiB, and there are {there / GIB:_.1f} GiB"
    )
    raise SpecError(
        [Diagnostic(code="E310", message=message, path="model", help="make it smaller, or use another device")]
    )
