import json

from llm_build import Context, Silence, load, write

SPEC = """llm 1
model = decoder {{
  dim = 8, vocab = 9, context = 8, norm = rms
  layers = block {{ attention = mha {{ heads = 2 }}, ffn = mlp }}
}}
data = acme.thing {{ file = "{file}", held_out = 20% }}
"""


def test_text_becomes_data_and_text_again():
    spec = load(SPEC.format(file="/somewhere/lines.jsonl"))
    assert load(write(spec)) == spec


def test_no_text_is_trained_on_and_held_out_too(tmp_path):
    texts = [f"text {number % 10}" for number in range(20)]
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    made = load(SPEC.format(file=file.as_posix())).data.build(Context())
    training, held = made.split(Silence())
    assert [each.text for each in made.documents(Silence())] == texts
    assert (len(training), len(held)) == (16, 4)
    assert not {each.key for each in training} & {each.key for each in held}
