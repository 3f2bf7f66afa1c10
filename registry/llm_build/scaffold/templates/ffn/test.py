from llm_build import Context, build, load, write
from torch import rand, tensor

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = acme.thing { hidden = 12 } }
}"""


def test_text_becomes_a_network_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(tensor([[1, 2, 3]])).shape == (1, 3, 9)


def test_its_shape_is_that_of_what_it_reads():
    made = load(SPEC).model.layers[0].ffn.build(Context(dim=8))
    assert made(rand(2, 3, 8)).shape == (2, 3, 8)
    assert made.up.weight.shape == (12, 8)
