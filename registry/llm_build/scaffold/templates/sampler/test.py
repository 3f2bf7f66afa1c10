from llm_build import Context, load, write
from torch import tensor, zeros

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}
generate = decode { sampler = acme.thing { eps = 0.3 } }
"""


def test_text_becomes_a_sampler_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec


def test_what_is_unlikely_is_never_drawn():
    made = load(SPEC).generate.sampler.build(Context())
    logits = tensor([[0.5, 0.35, 0.15], [0.25, 0.29, 0.46]]).log()
    kept = made.scores(logits, zeros(2, 3).bool()).isfinite()
    assert kept.tolist() == [[True, True, False], [False, False, True]]


def test_the_likeliest_token_stays():
    made = load(SPEC).generate.sampler.build(Context())
    logits = tensor([[0.26, 0.25, 0.25, 0.24]]).log()
    assert made.scores(logits, zeros(1, 4).bool()).isfinite().tolist() == [[True, False, False, False]]
