import torch
from llm_build import build, load, make_state, write

SPEC = """llm 1
model = decoder {
  dim = 8, vocab = 9, context = 8, norm = rms, position = rope
  layers = 2 * block { attention = acme.thing { heads = 2 }, ffn = mlp }
}"""


def test_text_becomes_an_attention_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(torch.tensor([[1, 2, 3]])).shape == (1, 3, 9)


@torch.inference_mode()
def test_token_by_token_with_a_cache_gives_what_one_pass_gives():
    model, tokens = build(load(SPEC), seed=0).eval(), torch.tensor([[1, 2, 3, 4]])
    state, pieces = make_state(model, rows=1, capacity=8), []
    for token in tokens.split(1, dim=1):
        state.reserve(1)
        pieces.append(model(token, state))
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens))
