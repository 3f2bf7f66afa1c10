"""What was measured, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llm_build.bench.clock import Spread
from llm_build.bench.kernels import Attending
from llm_build.bench.shapes import Shape
from llm_build.cost.reads import Read


@attrs.frozen(kw_only=True)
class Cell:
    """The figures of one shape.

    prefill          tokens a second of the prompts, all rows together
    decode           tokens a second behind each text's first, all rows together
    first            seconds from the prompt to the first token
    compile_seconds  what torch.compile took in all, 0 where nothing is compiled
    warm_up_seconds  what the first batch took longer than the median of the later ones
    peak             the most memory in bytes: of tensors on a GPU, of the process on a CPU; None where nobody counts
    reads            bytes that a decode step reads of each part, all rows together, at the mean length in use
    rate             bytes a second that the memory gives
    kernels          what each mixer attends by
    """

    shape: Shape
    prefill: Spread
    decode: Spread
    first: Spread
    compile_seconds: float
    warm_up_seconds: float
    peak: int | None
    reads: tuple[Read, ...]
    rate: float
    kernels: tuple[Attending, ...]

    @property
    def weights(self) -> float:
        """Bytes of weights that are read for each token that is written."""
        return sum(each.weights * each.count for each in self.reads) / self.shape.batch

    @property
    def state(self) -> float:
        """Bytes of what the layers keep that are read for each token."""
        return sum(each.state * each.count for each in self.reads) / self.shape.batch

    @property
    def limit(self) -> float:
        """Tokens a second, all rows together, if nothing but reading took time."""
        return self.rate / (self.weights + self.state)

    @property
    def fraction(self) -> float:
        """The share of the limit that was reached. Above 1 where a cache of the processor holds what is read."""
        return self.decode.median / self.limit

    def as_json(self) -> Mapping[str, Any]:
        """Plain numbers: sizes in bytes, rates in tokens a second, times in seconds."""
        batch = self.shape.batch
        return {
            **attrs.asdict(self.shape),
            "prefill": self.prefill.as_json(),
            "decode": self.decode.as_json(),
            "first_token": self.first.as_json(),
            "compile": self.compile_seconds,
            "warm_up": self.warm_up_seconds,
            "peak_memory": self.peak,
            "bytes_a_token": {
                "weights": self.weights,
                "state": self.state,
                "parts": [
                    {
                        "name": each.name,
                        "component": each.component,
                        "count": each.count,
                        "weights": each.weights / batch,
                        "state": each.state / batch,
                    }
                    for each in self.reads
                ],
            },
            "limit": self.limit,
            "fraction": self.fraction,
            "attention": [attrs.asdict(each) for each in self.kernels],
        }


@attrs.frozen(kw_only=True)
class Report:
    """All figures of a model, in the order of its shapes; `memory` is the rate of a copy in bytes a second.

    `machine` says where: the device, versions, dtype, threads and seed.
    """

    model: str
    generator: str
    quantizer: str | None
    parameters: int
    machine: Mapping[str, Any]
    memory: Spread
    cells: tuple[Cell, ...]

    def as_json(self) -> Mapping[str, Any]:
        """The same for a machine."""
        return {
            "model": self.model,
            "generator": self.generator,
            "quantizer": self.quantizer,
            "parameters": self.parameters,
            "machine": dict(self.machine),
            "memory_rate": self.memory.as_json(),
            "cells": [each.as_json() for each in self.cells],
        }
