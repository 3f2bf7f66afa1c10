from llm_build import Context, ParameterGroup, build, load, write
from torch import equal, tensor

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}
train = pretrain { steps = 1, batch = 1, optimizer = acme.thing { lr = 0.01, decay = 0.1 } }
"""


def test_text_becomes_an_optimizer_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec


def test_every_parameter_moves_as_it_asks():
    spec = load(SPEC)
    model = build(spec, seed=0)
    model.norm.parameter_groups = {"weight": ParameterGroup(decay=False, matrix=False, lr=2.0)}
    made = spec.train.optimizer.build(Context()).make(model)
    before = [each.detach().clone() for each in model.parameters()]
    model(tensor([[1, 2, 3, 4]])).square().mean().backward()
    made.step()
    assert not any(equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert {(group["lr"], group["weight_decay"]) for group in made.param_groups} == {
        (0.01, 0.0),
        (0.01, 0.1),
        (0.02, 0.0),
    }
