from llm_build import Context, build, load, write
from torch import tensor, testing, zeros

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms, position = acme.thing { theta = 100 }
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}"""


def test_text_becomes_a_position_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(tensor([[1, 2, 3]])).shape == (1, 3, 9)


def test_each_position_has_its_own_waves():
    made = load(SPEC).model.position.build(Context(dim=8))
    waves = made.embed(zeros(1, 2, 8), tensor([[0, 5]]))
    testing.assert_close(waves[0, 0], tensor([0.0] * 4 + [1.0] * 4))
    testing.assert_close(waves[0, 1, 0], tensor(5.0).sin())
