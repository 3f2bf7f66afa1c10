from llm_build import Context, load, write

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}
train = pretrain { steps = 10, batch = 1, schedule = acme.thing { power = 2 } }
"""


def test_text_becomes_a_schedule_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec


def test_it_falls_from_1_and_never_ends_at_0():
    made = load(SPEC).train.schedule.build(Context(steps=10))
    factors = [made.factor(step, 10) for step in range(10)]
    assert factors == sorted(factors, reverse=True)
    assert (factors[0], factors[5]) == (1, 0.25)
    assert factors[-1] > 0
