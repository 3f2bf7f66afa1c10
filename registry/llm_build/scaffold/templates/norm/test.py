from llm_build import Context, load, write
from torch import rand

SPEC = "llm 1\nmodel = decoder { dim = 8, vocab = 9, context = 8, norm = acme.thing, layers = block { attention = mha { heads = 2 }, ffn = mlp } }"


def test_text_becomes_a_norm_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert spec.model.norm.build(Context(dim=8))(rand(2, 3, 8)).shape == (2, 3, 8)
