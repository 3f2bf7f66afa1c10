from llm_build import IGNORED, Batch, Context, build, load, write
from torch import tensor, testing

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}
train = pretrain { steps = 1, batch = 1, objective = acme.thing { beta = 0.5 } }
"""


def test_text_becomes_an_objective_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec


def test_what_is_ignored_does_not_count():
    spec = load(SPEC)
    made, model = spec.train.objective.build(Context()), build(spec)
    whole, _ = made.loss(model, Batch(tokens=tensor([[1, 2]]), targets=tensor([[2, 3]])))
    same, parts = made.loss(model, Batch(tokens=tensor([[1, 2, 3]]), targets=tensor([[2, 3, IGNORED]])))
    testing.assert_close(same, whole)
    testing.assert_close(same, parts["nll"] - 0.5 * parts["entropy"])
    same.backward()
    assert all(each.grad is not None for each in model.parameters())
