"""Hydra: a schema in the config store, components as config groups, composed and made into their objects."""

from __future__ import annotations

from pathlib import Path

import yaml
from _probe import probe
from _schema import Norm, NormConfig, Spec
from _yaml import YAML_SEEDS
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

GOOD = """\
defaults:
  - schema
  - norm@model.block.norm: rms
  - norm@model.norm: layer
  - _self_
width: 64
model:
  dim: ${width}
  vocab: 2048
  context: 128
  dropout: 0.1
  layers: 2
  block:
    attention: {kind: gqa, heads: 4, kv_heads: 2}
    ffn: {kind: swiglu, hidden: "${width}"}
train:
  steps: 100
  batch: 8
  optimizer: {kind: adamw, lr: 3.0e-4}
  schedule: {kind: warmup_cosine, warmup: 10, floor: 0.01}
"""
SEEDS = {**YAML_SEEDS, "unknown component": ("block.norm: rms", "block.norm: rsm")}


def report(text: str, folder: Path) -> str:
    (folder / "spec.yaml").write_text(text)
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            OmegaConf.to_object(compose("spec"))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as fault:
        return f"{type(fault).__name__}: {fault}"
    return ""


if __name__ == "__main__":
    store = ConfigStore.instance()
    store.store(name="schema", node=Spec)
    for each in Norm:
        store.store(group="norm", name=each.name, node=NormConfig(kind=each))
    probe("hydra-core", GOOD, SEEDS, report)
