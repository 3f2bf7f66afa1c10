from llm_build import Context, build, load, write
from torch import tensor

SPEC = """llm 1
tokenizer = acme.thing
model = decoder {
  dim = 8, context = 8, norm = rms
  layers = block { attention = mha { heads = 2 }, ffn = mlp }
}
"""


def test_text_becomes_a_tokenizer_and_text_again():
    spec = load(SPEC)
    assert load(write(spec)) == spec
    assert build(spec)(tensor([[1, 2, 3]])).shape == (1, 3, 258)


def test_what_is_encoded_comes_back(tmp_path):
    made = load(SPEC).tokenizer.build(Context())
    made.save(tmp_path / "tokenizer.json")
    made.load(tmp_path / "tokenizer.json")
    tokens = made.encode("naïve\n")
    assert max(tokens) < made.eos < made.pad < made.vocab_size
    assert made.decode([*tokens, made.eos, made.pad]) == "naïve\n"
    assert made.encode_batch(["a", "bc"]) == [[97], [98, 99]]
