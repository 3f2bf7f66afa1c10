"""A small model of real parts, its data and its tokenizer, for tests of training and writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from llm_build import Context, build, load
from llm_build.resolve import resolve

TEXT = "def add(self, first, second):\n    return first + second\n\n\nclass Sum:\n    total = 0\n"
WORDS = ("one", "two", "three", "four", "five", "six")

SPEC = """llm 1
tokenizer = bpe {{ vocab = 300 }}
model = decoder {{
  dim = 16
  context = {context}
  dropout = {dropout}
  position = rope
  layers = 2 * block {{ norm = rms, attention = {attention}, ffn = swiglu {{ hidden = 32 }} }}
  norm = rms
  head = linear {{ tie = {tie}, bias = {bias} }}
}}
data = files {{ paths = ["{data}/*.txt"], held_out = 20% }}
train = pretrain {{ {length}, optimizer = adamw {{ lr = {lr} }}, {train} }}
generate = decode {{ sampler = {sampler}, cache = dense, max_new = 8 }}
"""


def spec_text(
    data: Path | str = ".",
    *,
    context: int = 16,
    dropout: float = 0,
    tie: bool = True,
    bias: bool = False,
    train: str = "schedule = warmup_cosine { warmup = 2 }",
    sampler: str = "greedy",
    length: str = "steps = 6, batch = 4",
    lr: str = "1e-2",
    window: int | None = None,
) -> str:
    """The text of the spec; `data` is a folder of .txt files."""
    mask = "" if window is None else f", mask = sliding {{ window = {window} }}"
    return SPEC.format(
        data=data,
        context=context,
        dropout=dropout,
        tie=str(tie).lower(),
        bias=str(bias).lower(),
        train=train,
        sampler=sampler,
        length=length,
        lr=lr,
        attention=f"gqa {{ heads = 4, kv_heads = 2{mask} }}",
    )


def small_spec(data: Path | str = ".", **options: Any) -> Any:
    """The config of the spec."""
    return load(spec_text(data, **options))


def small_model(seed: int = 0, dtype: torch.dtype = torch.float64, scale: float = 1.0, **options: Any) -> Any:
    """The model, in evaluation. `scale` multiplies its weights, so that its choices differ from place to place."""
    model = build(small_spec(**options), dtype=dtype, seed=seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(scale)
    return model.eval()


def small_part(field: str, **options: Any) -> Any:
    """The module of a root field of the spec."""
    filled: Any = resolve(small_spec(**options), Context())
    return filled.part(field, Context())


def small_tokenizer() -> Any:
    """The tokenizer of the spec, fitted to `TEXT`."""
    tokenizer = small_part("tokenizer")
    tokenizer.fit([TEXT] * 4)
    return tokenizer


def write_texts(folder: Path, count: int = 12) -> Path:
    """A folder of different text files that hold a pattern worth learning."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        lines = [f"{WORDS[(number + line) % 6]} {WORDS[(number + line + 1) % 6]} {number}\n" for line in range(30)]
        (folder / f"{number:02}.txt").write_text("".join(lines), encoding="utf-8")
    return folder
