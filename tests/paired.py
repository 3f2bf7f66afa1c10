"""A small encoder–decoder of real parts, and pairs for it: words and the same words backwards."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from llm_build import build, load

SPEC = """llm 1
tokenizer = bpe {{ vocab = {vocab} }}
let reads = block {{
  placement = post
  norm      = layer
  attention = mha {{ heads = {heads}, mask = full }}
  ffn       = mlp {{ hidden = {hidden}, activation = relu }}
}}
let writes = reads {{
  attention {{ mask = causal }}
  cross = mha {{ heads = {heads} }}
}}
model = encoder_decoder {{
  dim       = {dim}
  context   = {context}
  dropout   = {dropout}
  position  = sinusoidal
  embedding = token {{ shared = {shared}, scale = {scale} }}
  initialiser = {initialiser}
  encoder   = stack {{ layers = {layers} * reads }}
  decoder   = stack {{ layers = {layers} * writes }}
  head      = linear {{ tie = {tie} }}
}}
data = pairs {{ paths = ["{data}/*.tsv"], held_out = 20% }}
train = pretrain {{ {length}, {train} }}
generate = decode {{ sampler = {sampler}, max_new = 8 }}
"""


def paired_text(
    data: Path | str = ".",
    *,
    vocab: int = 258,
    dim: int = 16,
    heads: int = 2,
    hidden: int = 32,
    layers: int = 2,
    context: int = 12,
    dropout: float = 0,
    shared: bool = True,
    tie: bool = True,
    scale: str = "none",
    initialiser: str = "normal",
    length: str = "steps = 6, batch = 4",
    train: str = "optimizer = adamw { lr = 1e-2 }",
    sampler: str = "greedy",
) -> str:
    """The text of the spec; `data` is a folder of .tsv files."""
    stated = {"shared": str(shared).lower(), "tie": str(tie).lower()}
    return SPEC.format(
        data=data,
        vocab=vocab,
        dim=dim,
        heads=heads,
        hidden=hidden,
        layers=layers,
        context=context,
        dropout=dropout,
        scale=scale,
        initialiser=initialiser,
        length=length,
        train=train,
        sampler=sampler,
        **stated,
    )


def paired_model(seed: int = 0, gain: float = 1.0, **options: Any) -> Any:
    """The model in float64, in evaluation, with weights so large that its choices differ from place to place."""
    model = build(load(paired_text(**options)), dtype=torch.float64)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 1 if "embedding" in name else gain / weight.shape[1] ** 0.5, generator=source)
    return model.eval()


def words(count: int, letters: str = "abcdefgh", lengths: range = range(3, 7), seed: int = 0) -> list[str]:
    """Distinct words, drawn with a seed."""
    source, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        found["".join(source.choices(letters, k=source.choice(lengths)))] = None
    return list(found)


def write_pairs(folder: Path, count: int = 40, **options: Any) -> Path:
    """A folder with one file of words and their reverses."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{word}\t{word[::-1]}\n" for word in words(count, **options)]
    (folder / "words.tsv").write_text("".join(lines), encoding="utf-8")
    return folder
