"""confection: registered functions with typed arguments, an INI file of sections, variables as references."""

from __future__ import annotations

from configparser import Error
from pathlib import Path
from typing import Any

import catalogue
from _probe import probe
from confection import Config, ConfigValidationError, registry

GOOD = """\
[vars]
width = 64

[model]
@models = "decoder"
dim = ${vars.width}
vocab = 2048
context = 128
dropout = 0.1
layers = 2

[model.block]
@blocks = "block"

[model.block.norm]
@norms = "rms"

[model.block.attention]
@attentions = "gqa"
dim = ${vars.width}
heads = 4
kv_heads = 2

[model.block.ffn]
@ffns = "swiglu"
hidden = ${vars.width}

[model.norm]
@norms = "layer"

[train]
@trainers = "pretrain"
steps = 100
batch = 8

[train.optimizer]
@optimizers = "adamw"
lr = 3e-4
betas = [0.9, 0.999]

[train.schedule]
@schedules = "warmup_cosine"
warmup = 10
"""
SEEDS = {
    "misspelt key": ("kv_heads = 2", "kv_head = 2"),
    "wrong type": ("steps = 100", 'steps = "many"'),
    "missing required field": ("context = 128\n", "", "[model]"),
    "indivisible heads": ("\nheads = 4", "\nheads = 5"),
    "unknown component": ('@norms = "rms"', '@norms = "rsm"'),
    "undefined reference": ("hidden = ${vars.width}", "hidden = ${vars.widht}"),
    "duplicate key": ("vocab = 2048\n", "vocab = 2048\nvocab = 4096\n"),
    "out-of-range number": ("dropout = 0.1", "dropout = 1.5"),
    "wrong nesting": (
        'batch = 8\n\n[train.optimizer]\n@optimizers = "adamw"\nlr = 3e-4\n',
        'batch = 8\nlr = 3e-4\n\n[train.optimizer]\n@optimizers = "adamw"\n',
    ),
    "stray comma": ("[0.9, 0.999]", "[0.9,, 0.999]"),
}


class spec(registry):
    models = catalogue.create("spec", "models")
    blocks = catalogue.create("spec", "blocks")
    norms = catalogue.create("spec", "norms")
    attentions = catalogue.create("spec", "attentions")
    ffns = catalogue.create("spec", "ffns")
    trainers = catalogue.create("spec", "trainers")
    optimizers = catalogue.create("spec", "optimizers")
    schedules = catalogue.create("spec", "schedules")


@spec.norms("rms")
def rms(eps: float = 1e-6) -> Any: ...


@spec.norms("layer")
def layer(eps: float = 1e-5) -> Any: ...


@spec.attentions("gqa")
def gqa(dim: int, heads: int, kv_heads: int | None = None) -> Any:
    if dim % heads:
        valid = [each for each in range(1, dim + 1) if dim % each == 0]
        raise ValueError(f"heads must divide dim = {dim}: one of {valid}; {heads} arrived")


@spec.ffns("swiglu")
def swiglu(hidden: int) -> Any: ...


@spec.blocks("block")
def block(norm: Any, attention: Any, ffn: Any) -> Any: ...


@spec.models("decoder")
def decoder(
    dim: int,
    vocab: int,
    context: int,
    layers: int,
    block: Any,
    norm: Any,
    dropout: float = 0.0,
) -> Any:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and less than 1; {dropout} arrived")


@spec.optimizers("adamw")
def adamw(lr: float = 3e-4, betas: list[float] | None = None) -> Any: ...


@spec.schedules("warmup_cosine")
def warmup_cosine(warmup: int = 0, floor: float = 0.0) -> Any: ...


@spec.trainers("pretrain")
def pretrain(steps: int, batch: int, optimizer: Any, schedule: Any) -> Any: ...


def report(text: str, folder: Path) -> str:
    (folder / "spec.cfg").write_text(text)
    try:
        spec.resolve(Config().from_disk(folder / "spec.cfg"))
    except (ConfigValidationError, catalogue.RegistryError, Error, ValueError) as fault:
        return f"{type(fault).__name__}: {fault}"
    return ""


if __name__ == "__main__":
    probe("confection", GOOD, SEEDS, report)
