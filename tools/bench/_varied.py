"""Six small models that differ in what a generator has to keep, and texts of numbers for them.

Their weights are wide enough that a text does not repeat itself, and narrow enough that float32 is not lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from llm_build import build, load, reads_source

VOCAB = 512
CONTEXT = 256

DECODER = """llm 1
let plain = block {{ norm = rms, attention = gqa {{ heads = 4, kv_heads = 2 }}, ffn = swiglu {{ hidden = 256 }} }}
model = decoder {{
  dim = 128
  vocab = 512
  context = 256
  position = rope
  layers = {layers}
  norm = rms
  initialiser = normal {{ std = 0.15, residual = false }}
}}
"""
LAYERS = {
    "gqa": "4 * plain",
    "mla": "4 * plain { attention = mla { heads = 4, q_rank = 64, kv_rank = 64, nope = 32, rope = 16 } }",
    "sliding 5:1 full": "5 * plain { attention { mask = sliding { window = 24 } } } + plain",
    "moe": (
        "4 * plain { ffn = moe { experts = 8, router = topk_softmax { k = 2 }, "
        "expert = swiglu { hidden = 64 }, shared = swiglu { hidden = 64 } } }"
    ),
    "parallel": (
        "4 * plain { placement = parallel, norm = layer, attention = mha { heads = 4 }, ffn = mlp { hidden = 512 } }"
    ),
}
ENCODER_DECODER = """llm 1
let enc = block { placement = post, norm = layer, attention = mha { heads = 4 }, ffn = mlp { hidden = 256 } }
model = encoder_decoder {
  dim = 128
  vocab = 512
  context = 256
  position = sinusoidal
  embedding = token { shared = true }
  encoder = stack { layers = 2 * enc }
  decoder = stack { layers = 3 * enc { cross = gqa { heads = 4, kv_heads = 2 } } }
  initialiser = normal { std = 0.15, residual = false }
}
"""
SPECS = {name: DECODER.format(layers=each) for name, each in LAYERS.items()} | {"encoder–decoder": ENCODER_DECODER}


@attrs.frozen
class Text:
    """A text is the numbers of its tokens. [eos] is 0, and may be drawn: then a text ends early."""

    vocab_size: int = VOCAB
    eos: int | None = 0
    pad: int | None = None

    def fit(self, texts: Iterable[str]) -> None:
        """There is nothing to learn."""

    def encode(self, text: str) -> list[int]:
        return [int(each) for each in text.split()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens))

    def save(self, path: Path) -> None:
        """There is nothing to keep."""

    def load(self, path: Path) -> None:
        """There is nothing to read."""

    def prompts(self, lengths: Sequence[int], seed: int) -> list[str]:
        """A random prompt of each length."""
        chance = torch.Generator().manual_seed(seed)
        return [self.decode(torch.randint(1, VOCAB, (each,), generator=chance).tolist()) for each in lengths]


def made(name: str) -> Any:
    """The model of a spec in float32 on the CPU, with weights that spread its logits."""
    return build(load(SPECS[name]), seed=1).eval()


class Reference:
    """The model in float64 on the CPU, which reads a whole text again for each of its tokens."""

    def __init__(self, model: Any, tokenizer: Text) -> None:
        self.model, self.eos = model, tokenizer.eos
        self.reads_source = reads_source(model)

    def begin(self, prompt: Sequence[int]) -> list[int]:
        """What stands before the first token that is written."""
        return [0] if self.reads_source else list(prompt)

    @torch.no_grad()
    def logits(self, prompt: Sequence[int], written: Sequence[int]) -> torch.Tensor:
        """[T + 1, V]: of the first token written behind a prompt, of each later one, and of the next."""
        begun = self.begin(prompt)
        tokens = torch.tensor([[*begun, *written]])
        memory = {"memory": self.model.encode(torch.tensor([[*prompt, 0]]))} if self.reads_source else {}
        found: torch.Tensor = self.model(tokens, **memory)
        return found[0, len(begun) - 1 :]

    def write(self, prompt: Sequence[int], most: int) -> list[int]:
        """The likeliest token, again and again, until [eos] or the context ends the text; [eos] is among them."""
        written: list[int] = []
        while len(written) < min(most, CONTEXT - len(self.begin(prompt))):
            written.append(int(self.logits(prompt, written)[-1].argmax()))
            if written[-1] == self.eos:
                break
        return written
