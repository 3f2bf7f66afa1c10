"""KCL: schemas with check blocks, and a spec that is written as instances of them."""

from __future__ import annotations

import re
from pathlib import Path

from _probe import probe
from kcl_lib import api

SCHEMA = """\
schema RMS:
    kind: "rms" = "rms"
    eps: float = 1e-6

schema Layer:
    kind: "layer" = "layer"
    eps: float = 1e-5

schema GQA:
    heads: int
    kv_heads?: int

    check:
        heads >= 1, "heads must be at least 1"

schema SwiGLU:
    hidden: int

schema Block:
    norm: RMS | Layer
    attention: GQA
    ffn: SwiGLU

schema Decoder:
    dim: int
    vocab: int
    context: int
    dropout: float = 0.0
    layers: int
    block: Block
    norm: RMS | Layer
    _valid = [each for each in range(1, dim + 1) if dim % each == 0]

    check:
        0 <= dropout < 1, "dropout must be at least 0 and less than 1; ${dropout} arrived"
        dim % block.attention.heads == 0, "heads must divide dim = ${dim}: one of ${_valid}"

schema AdamW:
    lr: float = 3e-4
    betas: [float] = [0.9, 0.999]

schema WarmupCosine:
    warmup: int = 0
    floor: float = 0.0

schema Pretrain:
    steps: int
    batch: int
    optimizer: AdamW
    schedule: WarmupCosine
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
GOOD = """\
width = 64
model = Decoder {
    dim: width
    vocab: 2048
    context: 128
    dropout: 0.1
    layers: 2
    block: Block {
        norm: RMS {}
        attention: GQA { heads: 4, kv_heads: 2 }
        ffn: SwiGLU { hidden: 4 * width }
    }
    norm: Layer {}
}
train = Pretrain {
    steps: 100
    batch: 8
    optimizer: AdamW { lr: 3e-4 }
    schedule: WarmupCosine { warmup: 10, floor: 0.01 }
}
"""
SEEDS = {
    "misspelt key": ("kv_heads: 2", "kv_head: 2"),
    "wrong type": ("steps: 100", 'steps: "many"'),
    "missing required field": ("    context: 128\n", "", "model = Decoder", "dim: width"),
    "indivisible heads": ("heads: 4", "heads: 5", "model = Decoder"),
    "unknown component": ("norm: RMS {}", "norm: RSM {}"),
    "undefined reference": ("hidden: 4 * width", "hidden: 4 * widht"),
    "duplicate key": ("    vocab: 2048\n", "    vocab: 2048\n    vocab: 4096\n", "model = Decoder"),
    "out-of-range number": ("dropout: 0.1", "dropout: 1.5", "model = Decoder"),
    "wrong nesting": ("    optimizer: AdamW { lr: 3e-4 }", "    optimizer: AdamW {}\n    lr: 3e-4"),
    "stray comma": ("warmup: 10, floor", "warmup: 10,, floor"),
}


def report(text: str, folder: Path) -> str:
    (folder / "schema.k").write_text(SCHEMA)
    (folder / "spec.k").write_text(text)
    files = [str(folder / "spec.k"), str(folder / "schema.k")]
    try:
        result = api.API().exec_program(api.ExecProgramArgs(k_filename_list=files))
    except Exception as fault:  # noqa: BLE001 (the binding raises a plain one with all that the compiler says)
        return COLOUR.sub("", str(fault))
    return COLOUR.sub("", str(result.err_message))


if __name__ == "__main__":
    probe("kcl_lib", GOOD, SEEDS, report)
