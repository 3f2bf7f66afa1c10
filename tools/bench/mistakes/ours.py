"""llm-build: the spec of a small decoder, read as `llm-build check` reads it."""

from __future__ import annotations

from pathlib import Path

from _probe import probe

from llm_build.diagnostics import Source, render
from llm_build.resolve import read

GOOD = """llm 1
param width = 64
model = decoder {
  dim     = width
  vocab   = 2_048
  context = 128
  dropout = 0.1
  layers  = 2 * block {
    norm      = rms
    attention = gqa { heads = 4, kv_heads = 2 }
    ffn       = swiglu { hidden = 4 * width }
  }
  norm = layer
}
data = python_stdlib
train = pretrain {
  steps     = 100
  batch     = 8
  optimizer = adamw { lr = 3e-4 }
  schedule  = warmup_cosine { warmup = 10, floor = 1% }
}
"""
SEEDS = {
    "misspelt key": ("kv_heads = 2", "kv_head = 2"),
    "wrong type": ("steps     = 100", 'steps     = "many"'),
    "missing required field": ("  context = 128\n", "", "model = decoder"),
    "indivisible heads": ("heads = 4", "heads = 5"),
    "unknown component": ("norm      = rms", "norm      = rsm"),
    "undefined reference": ("hidden = 4 * width", "hidden = 4 * widht"),
    "duplicate key": ("  vocab   = 2_048\n", "  vocab   = 2_048\n  vocab   = 4_096\n"),
    "out-of-range number": ("dropout = 0.1", "dropout = 1.5"),
    "wrong nesting": ("  optimizer = adamw { lr = 3e-4 }", "  optimizer = adamw\n  lr        = 3e-4"),
    "stray comma": ("warmup = 10, floor", "warmup = 10,, floor"),
}


def report(text: str, folder: Path) -> str:
    return render(read(Source("spec.llm", text, str(folder / "spec.llm"))).errors)


if __name__ == "__main__":
    probe("llm-build", GOOD, SEEDS, report)
