"""OmegaConf: a YAML file merged into structured configs, then made into their objects."""

from __future__ import annotations

from pathlib import Path

import yaml
from _probe import probe
from _schema import Spec
from _yaml import YAML_SEEDS
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


def report(text: str, folder: Path) -> str:
    try:
        (folder / "spec.yaml").write_text(text)
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Spec), OmegaConf.load(folder / "spec.yaml")))
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as fault:
        return f"{type(fault).__name__}: {fault}"
    return ""


if __name__ == "__main__":
    probe("omegaconf", GOOD, YAML_SEEDS, report)
