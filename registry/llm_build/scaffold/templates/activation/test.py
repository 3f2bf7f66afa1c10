from llm_build import Context, build, load, write
from torch import linspace, tensor, testing

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp { activation = acme.thing { beta = 2 } } }
}"""


def test_text_becomes_an_activation_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(tensor([[1, 2, 3]])).shape == (1, 3, 9)


def test_it_is_what_it_says():
    x = linspace(-3, 3, 7)
    made = load(SPEC).model.layers[0].ffn.activation.build(Context())
    testing.assert_close(made(x), x / (1 + (-2 * x).exp()))
