"""`bench`: a filled spec, measured on random weights or those of a run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

import torch

from llm_build import __version__
from llm_build.assemble import build, quantised
from llm_build.bench.cells import Bench, measure
from llm_build.bench.clock import Spread
from llm_build.bench.memory import memory_rate, refuse_what_does_not_fit
from llm_build.bench.report import Report
from llm_build.bench.shapes import Shape, largest
from llm_build.components import Config, id_of
from llm_build.context import Context
from llm_build.processor import processor
from llm_build.progress import Progress, Silence
from llm_build.registry import installed
from llm_build.resolve import resolve
from llm_build.run import Compute


def bench(
    spec: Any,
    shapes: Sequence[Shape],
    compute: Compute,
    *,
    load: Callable[[], Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure the model of a filled spec on a device: random weights, or those of the model that `load` gives.

    Raises `GenerationError` for a shape that does not fit into the context, or into memory with the figures, before
    anything is allocated.
    """
    spec = spec if spec.generate is not None else spec.changed(generate=_usual(spec))
    generator = spec.part("generate", Context())
    refuse_what_does_not_fit(spec, compute, largest(shapes), getattr(generator, "cache", "dense"))
    rate = memory_rate(compute.device)
    model, parameters = _model(spec, compute, load)
    made = Bench(model=model, config=spec.model, generator=generator, compute=compute, rate=rate.median)
    watcher, cells = progress or Silence(), []
    try:
        for done, shape in enumerate(shapes):
            watcher.count("shapes measured", done, len(shapes))
            cells.append(measure(made, shape))
    finally:
        watcher.end()
    return _report(spec, compute, parameters, rate, cells)


def _usual(spec: Any) -> Config:
    """What writes where a spec names no generator."""
    return resolve(installed().config("generator", "decode")(), spec.inside("generate", Context()))


def _model(spec: Any, compute: Compute, load: Callable[[], Any] | None) -> tuple[Any, int]:
    """The model that writes, and how many parameters it has before its quantiser saw it."""
    if load is not None:
        model = load()
    else:
        model = build(spec, device=compute.device, dtype=compute.dtype, seed=compute.seed).eval()
    return quantised(spec, model), sum(each.numel() for each in model.parameters())


def _report(spec: Any, compute: Compute, parameters: int, rate: Spread, cells: Sequence[Any]) -> Report:
    quantizer = getattr(spec.generate, "quantizer", None)
    return Report(
        model=id_of(spec.model),
        generator=id_of(spec.generate),
        quantizer=None if quantizer is None else id_of(quantizer),
        parameters=parameters,
        machine={
            "processor": _device_name(compute.device),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "llm_build": __version__,
            **compute.described(),
        },
        memory=rate,
        cells=tuple(cells),
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
