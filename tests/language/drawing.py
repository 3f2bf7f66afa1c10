"""Specs without faults: those of the repository, those that hypothesis draws, and texts of every statement there is."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from llm_build import Spec, write
from llm_build.diagnostics import Source
from llm_build.resolve import read
from tests.language.strategies import specs

EVERY_STATEMENT = """llm 1

param d     = 64 # the width
param depth = 6
let ratio   = 8 / 3
let local   = block {
  attention = gqa { heads = 4, kv_heads = 2, mask = sliding { window = 4 + 4 } }
  ffn       = swiglu { hidden = 4 * (d + 2) }
}
let global = local {
  attention { mask = causal, bias = not false }
  ffn = moe {
    experts = 4, router = topk_softmax { k = 2 },
    expert = swiglu { hidden = 2 * d * 4 // 3 }
  }
}
tokenizer = bpe { vocab = 1k, special = ["[pad]", "[eos]"] }
model = decoder {
  dim     = d
  context = 2 * 16
  layers  = cycle(2 * local + global, to = depth)
  norm    = rms { eps = 1e-5 }
  dropout = -(-0.1)
}
model { embedding = token { scale = sqrt(d) } }
model { layers[0] { attention { heads = 8, } } }
data = files { paths = ["texts/*.txt", "more/*.txt"], held_out = 20% }
train = pretrain {
  steps = 10, batch = 2
  optimizer = adamw { lr = 3e-3,
    betas = [0.9, 0.95], decay = 0.1 }
  schedule  = warmup_cosine {
    warmup = 1%
  }
}
generate = decode { sampler = top_p { p = 0.95, temperature = 0.8 }, prompt = "one, two" }
require count(model.layers, sliding) >= 1 and depth <= 4Ki : "some layers look near"
require model.layers[0].attention.heads == 8 or d > 3
"""


def sound_specs(root: Path, seeded: int, drawn: int = 60) -> list[str]:
    """The texts of specs without faults; `drawn` of them come from hypothesis, drawn with a seed."""
    files = sorted([*root.glob("specs/*.llm"), *root.glob("tests/specs/*.llm")])
    texts = [EVERY_STATEMENT, *(each.read_text(encoding="utf-8") for each in files)]

    @seed(seeded)
    @settings(
        max_examples=drawn, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=HealthCheck
    )
    @given(specs)
    def draw(spec: Spec) -> None:
        texts.append(write(spec))

    draw()
    return [each for each in texts if not read(Source("sound.llm", each)).errors]
