from llm_build import Context, build, load, write
from torch import rand, tensor, testing

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { placement = acme.thing { norm = rms }, attention = mha { heads = 2 }, ffn = mlp }
}"""


def test_text_becomes_a_placement_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(tensor([[1, 2, 3]])).shape == (1, 3, 9)


def test_the_branches_are_joined_in_their_order():
    made = load(SPEC).model.layers[0].placement.build(Context(dim=8, branches=("attention", "ffn")))
    x = rand(2, 3, 8)
    assert len(made.before) == len(made.after) == 2
    testing.assert_close(made(x, (lambda x: 0 * x, lambda x: 0 * x)), x)
