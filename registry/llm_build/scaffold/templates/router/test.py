from llm_build import Context, build, load, write
from torch import ones, rand, tensor, testing

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block {
    attention = mha { heads = 2 }
    ffn = moe { experts = 4, router = acme.thing { k = 2 }, expert = mlp { hidden = 8 } }
  }
}"""


def test_text_becomes_a_router_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(tensor([[1, 2, 3]])).shape == (1, 3, 9)


def test_each_position_goes_to_k_experts_whose_weights_sum_to_1():
    made = load(SPEC).model.layers[0].ffn.router.build(Context(dim=8, experts=4))
    weights, experts, losses = made(rand(5, 8))
    assert weights.shape == experts.shape == (5, 2)
    assert (experts[:, 0] != experts[:, 1]).all()
    testing.assert_close(weights.sum(-1), ones(5))
    assert not losses
