import torch
from llm_build import Context, build, load, make_state, write

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}
generate = decode { cache = acme.thing }
"""


def test_text_becomes_a_cache_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec


@torch.inference_mode()
def test_token_by_token_gives_what_one_pass_gives():
    spec, tokens = load(SPEC), torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    model, cache = build(spec, seed=0).eval(), spec.generate.cache.build(Context())
    state, pieces = make_state(model, rows=2, capacity=8, cache=cache), []
    for token in tokens.split(1, dim=1):
        state.reserve(1)
        pieces.append(model(token, state))
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens))


@torch.inference_mode()
def test_a_forked_row_goes_on_as_the_other_would():
    spec = load(SPEC)
    model, cache = build(spec, seed=0).eval(), spec.generate.cache.build(Context())
    state = make_state(model, rows=2, capacity=8, cache=cache)
    state.reserve([3, 1])
    model(torch.tensor([[1, 2, 3], [8, 0, 0]]), state, count=torch.tensor([3, 1]))
    state.fork([0], [1])
    state.reserve(1)
    one, other = model(torch.tensor([[4], [4]]), state)
    torch.testing.assert_close(one, other)
