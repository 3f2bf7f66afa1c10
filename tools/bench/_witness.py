"""A plugin for the bench of kills: next-token prediction that writes down which examples it was given, row by row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from llm_build import Batch, Config, Context, component, hookimpl, part

PLACE = "LLM_BUILD_BENCH_WITNESS"
"""The environment variable that says into which file."""


@component("objective:bench.witnessed", module="_witness:Witnessed")
class witnessed(Config):  # noqa: N801
    """Another objective, with a line in a file for each row of a batch."""

    inner: Any = part("objective", default="next_token", doc="what is minimised")


class Witnessed:
    """The loss is that of `inner`."""

    def __init__(self, config: witnessed, context: Context) -> None:
        self.inner = config.part("inner", context)

    def loss(self, model: Any, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        rows = torch.cat([batch.tokens, batch.targets], 1)
        lines = "".join(f"{sha256(row.numpy().tobytes()).hexdigest()[:16]}\n" for row in rows)
        file = os.open(os.environ[PLACE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(file, lines.encode())
        os.close(file)
        found: tuple[Tensor, Mapping[str, Tensor]] = self.inner.loss(model, batch)
        return found


@hookimpl
def llm_components() -> list[type[Config]]:
    return [witnessed]
