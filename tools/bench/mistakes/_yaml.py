"""The ten mistakes in YAML, for the tools whose configs are that; a probe replaces what its config says otherwise."""

from __future__ import annotations

from _probe import Seed

YAML_SEEDS: dict[str, Seed] = {
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
