"""OmegaConf: a YAML file merged into structured configs, then made into their objects."""

from __future__ import annotations

from pathlib import Path

import yaml
from _probe import probe
from _schema import Spec
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

GOOD = """\
width: 64
model:
  dim: ${width}
  vocab: 2048
  context: 128
  dropout: 0.1
  layers: 2
  block:
    norm: {kind: rms}
    attention: {kind: gqa, heads: 4, kv_heads: 2}
    ffn: {kind: swiglu, hidden: "${width}"}
  norm: {kind: layer}
train:
  steps: 100
  batch: 8
  optimizer: {kind: adamw, lr: 3.0e-4}
  schedule: {kind: warmup_cosine, warmup: 10, floor: 0.01}
"""
SEEDS = {
    "misspelt key": ("kv_heads: 2", "kv_head: 2"),
    "wrong type": ("steps: 100", "steps: many"),
    "missing required field": ("  context: 128\n", "", "model:"),
    "indivisible heads": ("heads: 4", "heads: 5"),
    "unknown component": ("{kind: rms}", "{kind: rsm}"),
    "undefined reference": ('hidden: "${width}"', 'hidden: "${widht}"'),
    "duplicate key": ("  vocab: 2048\n", "  vocab: 2048\n  vocab: 4096\n"),
    "out-of-range number": ("dropout: 0.1", "dropout: 1.5"),
    "wrong nesting": ("  optimizer: {kind: adamw, lr: 3.0e-4}", "  optimizer: {kind: adamw}\n  lr: 3.0e-4"),
    "stray comma": ("warmup: 10, floor", "warmup: 10,, floor"),
}


def report(text: str, folder: Path) -> str:
    try:
        (folder / "spec.yaml").write_text(text)
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Spec), OmegaConf.load(folder / "spec.yaml")))
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as fault:
        return f"{type(fault).__name__}: {fault}"
    return ""


if __name__ == "__main__":
    probe("omegaconf", GOOD, SEEDS, report)
