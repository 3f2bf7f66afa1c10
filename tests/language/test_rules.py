"""The rules of the language, each test named after the number of its rule."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from llm_build import Share, build, load, write
from llm_build.cost import summarise
from llm_build.diagnostics import Severity, Source
from llm_build.resolve import read
from llm_build.run import measuring
from llm_build_plugins import attention, ffn, model, norm
from tests.language.reading import BLOCK, decoder, fault, faults, filled, pointed, reading
from tests.language.table import table


def model_of(spec: str | Path, *settings: str):
    return filled(spec, settings).model


# --- shape ---


def test_rule_01_the_edition_stands_first() -> None:
    text = decoder()
    assert fault(text.replace("llm 1", "")).code == "E106"
    assert fault("let a = 1\n" + text).code == "E106"
    assert fault(text + "llm 1\n").code == "E106"
    assert fault(text.replace("llm 1", "llm 2")).code == "E107"


def test_rule_01_an_extended_file_has_the_same_edition(tmp_path: Path) -> None:
    (tmp_path / "base.llm").write_text(decoder().replace("llm 1", "llm 7"))
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\n')
    found = fault(tmp_path / "child.llm")
    assert (found.code, found.span.source.name) == ("E107", str(tmp_path / "base.llm"))


def test_rule_02_equals_replaces_and_braces_merge() -> None:
    base = (
        f"let a = {BLOCK}\nlet b = a {{ attention {{ bias = true }} }}\nlet c = a {{ attention = mha {{ heads = 2 }} }}"
    )
    layers = model_of(decoder(layers="a + b + c", above=base)).layers
    assert [each.attention.heads for each in layers] == [4, 4, 2]
    assert [each.attention.bias for each in layers] == [False, True, False]
    assert type(layers[2].attention) is attention.mha


def test_rule_03_layers_are_an_algebra() -> None:
    lets = "\n".join(
        f"let {name} = block {{ attention = gqa {{ heads = {heads} }}, ffn = swiglu }}"
        for name, heads in {"a": 1, "b": 2}.items()
    )

    def heads(layers: str) -> list[int]:
        return [each.attention.heads for each in model_of(decoder(layers=layers, above=lets)).layers]

    assert heads("3 * a + 2 * b") == [1, 1, 1, 2, 2]
    assert heads("2 * (a + b)") == [1, 2, 1, 2]
    assert heads("cycle(2 * a + b, to = 7)") == [1, 1, 2, 1, 1, 2, 1]
    assert heads("2 * a { attention { heads = 4 } }") == [4, 4]
    assert heads("a") == [1]
    assert heads("0 * a + b") == [2]
    assert heads("[a, b, a]") == [1, 2, 1]
    for wrong, code in {
        "0 * a": "E301",
        "1.5 * a": "E211",
        "-1 * a": "E211",
        "a * 3": "E206",
        "9_999 * a": "E212",
    }.items():
        assert fault(decoder(layers=wrong, above=lets)).code == code, wrong


def test_rule_04_let_is_private_and_param_is_not(tmp_path: Path) -> None:
    above = "param d = 32\nlet w = 64"
    (tmp_path / "base.llm").write_text(
        decoder("embedding = token { scale = d }", above=above).replace("dim = 32", "dim = d")
    )
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\nparam d = 16\nmodel { vocab = 2 * d }\n')
    assert model_of(tmp_path / "child.llm").vocab == 32
    (tmp_path / "nosy.llm").write_text('llm 1\nextends "base.llm"\nmodel { vocab = 2 * w }\n')
    assert fault(tmp_path / "nosy.llm").code == "E201"


def test_rule_04_require_asserts_on_the_resolved_spec() -> None:
    assert filled(decoder() + 'require model.layers[0].attention.head_dim == 8 : "small heads"\n')
    found = fault(decoder() + 'require model.layers[0].attention.head_dim == 64 : "large heads"\n')
    assert found.code == "E309"
    assert found.message == "this requirement must hold: large heads; 8 == 64 arrived"


def test_rule_04_extends_stays_inside_the_project(tmp_path: Path) -> None:
    project = tmp_path / "project" / "specs"
    project.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text("")
    (tmp_path / "outside.llm").write_text(decoder())
    (tmp_path / "project" / "base.llm").write_text(decoder())
    (project / "fine.llm").write_text('llm 1\nextends "../base.llm"\n')
    assert filled(project / "fine.llm")
    (project / "thief.llm").write_text('llm 1\nextends "../../outside.llm"\n')
    assert fault(project / "thief.llm").code == "E208"


def test_rule_04_extends_has_no_cycles(tmp_path: Path) -> None:
    (tmp_path / "a.llm").write_text('llm 1\nextends "b.llm"\n')
    (tmp_path / "b.llm").write_text('llm 1\nextends "a.llm"\n')
    found = faults(tmp_path / "a.llm")
    assert [(each.code, "cycle" in each.message) for each in found if each.code == "E208"] == [("E208", True)]


def test_rule_05_an_unknown_field_is_a_fault_at_every_depth() -> None:
    spec = decoder(
        layers="block { attention = gqa { heads = 4, mask = causal { z = 1 } }, ffn = swiglu, y = 2 }", fields="x = 3"
    )
    found = faults(spec + "w = 4\n")
    assert {pointed(each): each.code for each in found} == {"z": "E305", "y": "E305", "x": "E305", "w": "E306"}


def test_rule_06_a_spec_lowers_to_the_configs_of_python() -> None:
    made = model.decoder(
        dim=32,
        vocab=64,
        context=16,
        norm=norm.rms(),
        layers=2 * model.block(attention=attention.gqa(heads=4), ffn=ffn.swiglu(hidden=64)),
    )
    assert load(decoder()).model == made


# --- names ---


def test_rule_07_a_let_sees_only_those_above_it() -> None:
    found = fault(decoder(above="let a = b\nlet b = 3"))
    assert (found.code, found.span.line, pointed(found)) == ("E201", 2, "b")
    assert "move line 3" in found.help


def test_rule_07_its_own_name_on_the_right_is_the_outer_thing() -> None:
    spec = decoder(above="let rms = rms { eps = 1e-3 }\nparam heads = 2")
    assert model_of(spec).norm.eps == 1e-3


def test_rule_08_a_bare_name_is_a_let_or_the_component_of_the_slot() -> None:
    assert type(model_of(decoder()).norm) is norm.rms
    assert type(model_of(decoder(above="let n = layer").replace("norm = rms", "norm = n")).norm) is norm.layer


def test_rule_08_a_sibling_field_is_never_meant() -> None:
    found = fault(decoder("embedding = token { scale = dim }"))
    assert (found.code, found.help) == ("E201", "`dim` is a field, not in scope: add `param dim = 32`")
    assert fault(decoder("dropout = 1 / dim")).help == found.help
    assert model_of(decoder("dropout = dropout", above="param dropout = 0.5")).dropout == 0.5


def test_rule_09_a_let_wins_and_slot_colon_name_names_the_component() -> None:
    spec = decoder(above="let rms = layer { eps = 0.5 }")
    assert type(model_of(spec).norm) is norm.layer
    assert type(model_of(spec.replace("norm = rms", "norm = norm:rms")).norm) is norm.rms


def test_rule_09_a_fault_caused_by_shadowing_says_so() -> None:
    found = fault(decoder(above="let rms = 5"))
    assert (found.code, pointed(found)) == ("E307", "rms")
    assert "hides the component" in found.help
    assert "norm:rms" in found.help


def test_rule_10_a_head_resolves_in_the_slot_of_each_use() -> None:
    spec = decoder("position = none\nhead = linear", above="let n = layer { eps = 0.25 }").replace(
        "norm = rms", "norm = n"
    )
    assert model_of(spec.replace("ffn = swiglu", "norm = n, ffn = swiglu")).layers[0].norm.eps == 0.25


def test_rule_10_a_fault_inside_a_let_is_reported_once_with_its_uses() -> None:
    found = fault(decoder(layers="2 * a + a", above="let a = block { attention = gqa { heads = 5 }, ffn = swiglu }"))
    assert (found.code, pointed(found)) == ("E302", "5")
    uses = [each for each in found.related if each.message == "used here"]
    assert [each.span.line for each in uses] == [7, 7]


def test_rule_10_an_unused_let_is_checked_too() -> None:
    assert fault(decoder(above="let a = nothing { x = 1 }")).code == "E304"
    found = fault(decoder(above="let a = gqa { heds = 4 }"))
    assert (found.code, found.help) == ("E305", "a field with a similar name exists: `heads`")


def test_rule_11_a_dot_after_a_let_is_attribute_access() -> None:
    above = "let a = gqa { heads = 4, position = rope { theta = 500 } }\nlet b = a { kv_heads = a.heads / 2 }"
    layers = "block { attention = b, ffn = swiglu { hidden = a.position.theta } }"
    made = model_of(decoder(layers=layers, above=above)).layers[0]
    assert (made.attention.kv_heads, made.ffn.hidden) == (2, 500)
    assert fault(decoder("dropout = a.bias", above=above)).code == "E202"


def test_rule_11_a_dot_otherwise_is_a_namespace() -> None:
    found = fault(decoder().replace("norm = rms", "norm = acme.ring"))
    assert (found.code, pointed(found)) == ("E304", "acme.ring")
    assert "`acme`" in found.help


@pytest.mark.parametrize("name", ["model", "train", "count", "sqrt"])
def test_rule_11_root_fields_and_functions_are_reserved(name: str) -> None:
    assert fault(decoder(above=f"let {name} = 1")).code == "E203"


def test_rule_12_only_built_in_functions_are_called() -> None:
    found = fault(decoder("position = rope(10_000)"))
    assert (found.code, found.help) == ("E204", "write `rope { … }` with named fields")


# --- values ---


def test_rule_13_a_config_holds_only_what_was_stated() -> None:
    stated = load(decoder()).model.layers[0].attention
    view = model_of(decoder()).layers[0].attention
    assert str(stated) == "gqa(heads=4)"
    assert (view.kv_heads, view.head_dim) == (4, 8)
    assert view.origin("heads").kind == "stated"
    assert (view.origin("head_dim").kind, view.origin("head_dim").detail) == ("derived", "dim / heads")
    assert view.origin("dropout").kind == "inherited"
    assert view.origin("bias").kind == "default"


def test_rule_13_nothing_is_derived_from_a_faulty_config() -> None:
    assert [each.code for each in faults(decoder().replace("dim = 32", "dim = 0"))] == ["E301"]
    assert [each.code for each in faults(decoder().replace("heads = 4", "heads = many"))] == ["E201"]


def test_rule_14_defaults_derive_and_inherit() -> None:
    spec = decoder("position = rope { theta = 123 }")
    made = model_of(spec).layers[0].attention
    assert made.position.theta == 123
    assert made.origin("position").kind == "inherited"
    assert made.origin("position").detail == "model"


def test_rule_14_the_final_norm_is_required() -> None:
    found = fault(decoder().replace("norm = rms", ""))
    assert (found.code, pointed(found)) == ("E303", "decoder")


def test_rule_14_vocab_comes_from_the_tokenizer() -> None:
    spec = decoder().replace("  vocab = 64\n", "")
    assert fault(spec).code == "E303"
    with_bpe = spec + "tokenizer = bpe { vocab = 300 }\n"
    assert model_of(with_bpe).vocab == 300
    assert model_of(with_bpe, "model.vocab=512").vocab == 512
    assert "300 entries" in fault(with_bpe, ["model.vocab=200"]).message


def test_rule_14_vocab_is_required_where_the_tokenizer_file_is_absent() -> None:
    spec = decoder().replace("  vocab = 64\n", "") + 'tokenizer = pretrained { file = "missing/tokenizer.json" }\n'
    assert fault(spec).code == "E303"
    assert model_of(spec, "model.vocab=512").vocab == 512


def test_rule_15_arithmetic_is_exact_until_the_field() -> None:
    assert model_of(decoder("dropout = 0.1 + 0.2")).dropout == 0.3
    assert model_of(decoder("dropout = 1 / 3 * 3 - 0.5")).dropout == 0.5
    assert model_of(decoder("embedding = token { scale = sqrt(49 / 4) }")).embedding.scale == 3.5
    assert model_of(decoder("embedding = token { scale = sqrt(768) }")).embedding.scale == 768**0.5


def test_rule_15_a_size_comes_out_whole_and_below_the_limit() -> None:
    def dim(text: str) -> str:
        return decoder().replace("dim = 32", f"dim = {text}")

    assert "not whole" in fault(dim("100 / 3")).message
    assert model_of(dim("100 // 3 - 1")).dim == 32
    assert fault(dim("1e30")).code == "E301"
    assert model_of(dim("3.2e1")).dim == 32


def test_rule_15_units() -> None:
    def vocab(text: str) -> int:
        return model_of(decoder().replace("vocab = 64", f"vocab = {text}")).vocab

    assert [vocab(each) for each in ("2Ki", "1Mi", "3k", "1.5M", "1_000")] == [2048, 2**20, 3000, 1_500_000, 1000]


@pytest.mark.parametrize(
    ("text", "help"),
    {
        "1K": "write 1k or 1Ki",
        "1b": "write 1B",
        ".5": "write 0.5",
        "0x10": "write 16",
        "1__0": "",
        "5.": "",
        "1e": "",
    }.items(),
)
def test_rule_15_a_number_like_word_gets_help(text: str, help: str) -> None:
    found = fault(decoder().replace("vocab = 64", f"vocab = {text}"))
    assert (found.code, pointed(found)) == ("E104", text)
    assert help in found.help


@pytest.mark.parametrize("value", ["true", '"32"', "none", "10%", "[32]", "inf", "nan"])
def test_rule_15_nothing_is_converted_to_a_number(value: str) -> None:
    (found, *_) = faults(decoder().replace("dim = 32", f"dim = {value}"))
    assert found.code in {"E301", "E201"}
    assert pointed(found) == value


def test_rule_15_there_is_no_modulo() -> None:
    assert fault(decoder().replace("dim = 32", "dim = 37 % 5")).code == "E102"


def schedule(warmup: str) -> str:
    shape = f"warmup_cosine {{ warmup = {warmup} }}"
    return (
        decoder()
        + f"train = pretrain {{ steps = 10, batch = 2, optimizer = adamw {{ lr = 1 }}, schedule = {shape} }}\n"
    )


def test_rule_16_a_percentage_is_a_share() -> None:
    assert filled(schedule("1%")).train.schedule.warmup == Share(Fraction(1, 100))
    assert filled(schedule("100")).train.schedule.warmup == 100
    found = fault(schedule("0.01"))
    assert (found.code, found.help) == ("E301", "write 1%")
    assert fault(decoder("dropout = 10%")).code == "E301"


def test_rule_17_exactly_one_length_of_training() -> None:
    spec = schedule("1%")
    both = fault(spec.replace("steps = 10", "steps = 10, epochs = 2"))
    neither = fault(spec.replace("steps = 10,", ""))
    assert all(word in both.message + neither.message for word in ("steps", "epochs", "tokens"))


def test_rule_18_none_is_a_value_and_default_unsets() -> None:
    spec = decoder("position = rope")
    assert model_of(spec, "model.layers[0].attention.position=none").layers[0].attention.position is None
    assert model_of(spec.replace("heads = 4", "heads = 4, position = none")).layers[0].attention.position is None
    assert load(spec.replace("heads = 4", "heads = 4, bias = default")) == load(spec)
    assert fault(decoder("dropout = none")).code == "E301"


def test_rule_18_choices_are_strings() -> None:
    spec = decoder(
        layers='block { attention = gqa { heads = 4 }, ffn = mlp { activation = gelu { approximate = "tanh" } } }'
    )
    assert model_of(spec).layers[0].ffn.activation.approximate == "tanh"
    assert fault(spec.replace('"tanh"', '"tan"')).code == "E301"


def test_rule_19_json_escapes_only() -> None:
    spec = decoder() + 'tokenizer = bpe { vocab = 300, special = ["a\\u0041", "\\t"] }\n'
    assert fault(spec.replace('\\t"', '\\q"')).code == "E105"


def test_rule_19_bidirectional_characters_are_faults_everywhere() -> None:
    assert fault(decoder() + "# a comment\u202e\n").code == "E103"
    assert fault(decoder("dropout = 0\u2066")).code == "E103"


def test_rule_19_a_path_is_relative_to_the_file_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "base.llm").write_text(decoder() + 'data = files { paths = ["text/*.txt"] }\n')
    (tmp_path / "child.llm").write_text('llm 1\nextends "bases/base.llm"\n')
    base = tmp_path / "bases" / "text" / "*.txt"
    assert filled(tmp_path / "child.llm").data.paths == (base.as_posix(),)
    assert filled(tmp_path / "child.llm", ['data.paths=["x.txt"]']).data.paths == ("x.txt",)


# --- changing ---


def test_rule_20_a_body_sets_each_path_once() -> None:
    found = fault(decoder("dropout = 0\ndropout = 0.1"))
    assert (found.code, found.related[0].message) == ("E209", "set here first")
    assert fault(decoder("layers { attention { heads = 2 } }")).code == "E209"
    twice = f"{BLOCK} {{ attention {{ bias = true, heads = 2 }}, attention {{ bias = false }} }}"
    assert fault(decoder(layers=twice)).code == "E209"


def test_rule_20_bodies_are_free_of_order() -> None:
    one = f"{BLOCK} {{ attention {{ bias = true }}, attention {{ heads = 2 }} }}"
    two = f"{BLOCK} {{ attention {{ heads = 2 }}, attention {{ bias = true }} }}"
    assert load(decoder(layers=one)) == load(decoder(layers=two))


def test_rule_20_merging_needs_a_stated_value_or_a_declared_default() -> None:
    assert model_of(decoder("head { tie = true }")).head.tie is True
    found = fault(decoder(layers="block { attention { heads = 4 }, ffn = swiglu }"))
    assert (found.code, "write `attention = gqa { … }`" in found.help) == ("E210", True)


def test_rule_20_layers_are_merged_and_selected(tmp_path: Path) -> None:
    (tmp_path / "base.llm").write_text(decoder(layers=f"4 * {BLOCK}"))

    def biases(change: str) -> list[bool]:
        (tmp_path / "child.llm").write_text(f'llm 1\nextends "base.llm"\nmodel {{ {change} }}\n')
        return [each.attention.bias for each in model_of(tmp_path / "child.llm").layers]

    assert biases("layers { attention { bias = true } }") == [True] * 4
    assert biases("layers[1] { attention { bias = true } }") == [False, True, False, False]
    assert biases("layers[1:3] { attention { bias = true } }") == [False, True, True, False]
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\nmodel { layers[4] { share = "a" } }\n')
    assert fault(tmp_path / "child.llm").code == "E211"


def test_rule_20_a_field_that_one_layer_lacks_names_that_layer(tmp_path: Path) -> None:
    mixed = f"{BLOCK} + block {{ attention = mha {{ heads = 4 }}, ffn = swiglu }}"
    (tmp_path / "base.llm").write_text(decoder(layers=mixed))
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\nmodel { layers { attention { kv_heads = 2 } } }\n')
    assert "layers[1]" in fault(tmp_path / "child.llm").message


def test_rule_21_order_is_base_then_file_then_settings(tmp_path: Path) -> None:
    (tmp_path / "base.llm").write_text(decoder("dropout = 0.1"))
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\nmodel { dropout = 0.2 }\n')
    child = tmp_path / "child.llm"
    assert model_of(child).dropout == 0.2
    assert model_of(child, "model.dropout=0.3", "model.dropout=0.4").dropout == 0.4


def test_rule_21_a_childs_param_changes_what_depends_on_it(tmp_path: Path) -> None:
    base = (
        decoder(above="param d = 32\nparam v = 2 * d").replace("dim = 32", "dim = d").replace("vocab = 64", "vocab = v")
    )
    (tmp_path / "base.llm").write_text(base)
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\nparam d = 2 * d\n')
    assert (model_of(tmp_path / "child.llm").dim, model_of(tmp_path / "child.llm").vocab) == (64, 128)
    assert model_of(tmp_path / "base.llm", "d=16").vocab == 32
    (tmp_path / "loop.llm").write_text('llm 1\nextends "base.llm"\nparam d = v\n')
    assert "E213" in [each.code for each in faults(tmp_path / "loop.llm")]


def test_rule_21_a_setting_changes_one_place() -> None:
    made = model_of(decoder(), "model.layers[1].attention.heads=8")
    assert [each.attention.heads for each in made.layers] == [4, 8]


def test_rule_21_a_setting_that_displaces_a_shared_param_warns() -> None:
    spec = decoder("embedding = token { scale = d }", above="param d = 32").replace("dim = 32", "dim = d")
    found = [each for each in reading(spec, ["model.dim=64"]).diagnostics if each.severity is Severity.WARNING]
    assert [each.code for each in found] == ["W201"]
    assert "--set d=" in found[0].help
    assert not reading(spec, ["d=64"]).diagnostics


def test_rule_22_count_counts_layers_that_hold_a_component() -> None:
    layers = f"2 * {BLOCK} + block {{ attention = gqa {{ heads = 4 }}, ffn = mlp }}"
    assert filled(decoder(layers=layers) + "require count(model.layers, swiglu) == 2\n")
    assert filled(decoder(layers=layers) + "require count(model.layers, ffn:mlp) + 2 == count(model.layers, gqa)\n")
    assert fault(decoder(layers=layers) + "require count(model.layers, swiglu) == 3\n").code == "E309"


def test_rule_22_what_needs_the_meta_device_is_decided_at_build() -> None:
    spec = decoder() + "require params(model) < 1k\n"
    assert [each.code for each in reading(spec).diagnostics] == ["N301"]
    assert fault(decoder("dropout = params(model)")).code == "E204"


def test_rule_23_equal_values_never_share_weights() -> None:
    layers = build(load(decoder())).layers
    assert layers[0].attention is not layers[1].attention
    assert len(list(build(load(decoder())).parameters())) == len(
        {id(each) for each in build(load(decoder())).parameters()}
    )


def test_rule_23_blocks_with_the_same_share_are_one_module() -> None:
    layers = f'2 * {BLOCK} {{ share = "a" }} + {BLOCK}'
    made = build(load(decoder(layers=layers)))
    assert made.layers[0] is made.layers[1]
    assert made.layers[2] is not made.layers[0]
    names = {name.split(".")[1] for name, _ in made.named_parameters() if name.startswith("layers.")}
    assert names == {"0", "2"}


def test_rule_23_blocks_that_share_must_be_equal() -> None:
    layers = f'{BLOCK} {{ share = "a" }} + {BLOCK} {{ share = "a", attention {{ bias = true }} }}'
    assert fault(decoder(layers=layers)).code == "E311"


def test_rule_23_a_component_is_built_once_where_it_is_stated() -> None:
    def blocks(**fields: Any) -> Any:
        return 2 * model.block(attention=attention.gqa(heads=4, **fields), ffn=ffn.swiglu())

    sizes = {"dim": 32, "vocab": 64, "context": 16, "norm": norm.rms()}
    inherited = build(model.decoder(position=table(), layers=blocks(), **sizes)).layers
    assert inherited[0].attention.position is inherited[1].attention.position
    stated = build(model.decoder(layers=blocks(position=table()), **sizes)).layers
    assert stated[0].attention.position is not stated[1].attention.position


def test_rule_24_write_finds_runs_and_cycles() -> None:
    lets = f"let a = {BLOCK}\nlet b = a {{ attention {{ bias = true }} }}"

    def written(layers: str) -> str:
        found = re.search(r"layers += ([^\n]*?)(?:, norm|\n)", write(load(decoder(layers=layers, above=lets))))
        assert found
        return found[1]

    assert written("3 * a + 5 * b") == "3 * layer_1 + 5 * layer_2"
    assert written("cycle(5 * a + b, to = 34)") == "cycle(5 * layer_1 + layer_2, to = 34)"
    assert written("12 * (a + b)") == "12 * (layer_1 + layer_2)"
    assert written("a + b") == "layer_1 + layer_2"


def test_rule_25_where_a_newline_may_stand() -> None:
    assert model_of(decoder("dropout =\n 0.1 +\n 0.2")).dropout == 0.3
    assert model_of(decoder("dropout = (\n0.1\n)")).dropout == 0.1
    assert model_of(decoder(layers=f"[\n{BLOCK},\n{BLOCK}\n]")).layers[1]
    assert fault(decoder("dropout = 0.1\n + 0.2")).code == "E101"
    assert fault(decoder("dropout\n = 0.1")).code == "E101"
    assert fault(decoder("dropout = 0.1 position = none")).code == "E101"
    assert fault(decoder(layers=f"[{BLOCK} {BLOCK}]")).code == "E101"


def test_rule_26_limits_are_faults() -> None:
    deep = "(" * 70 + "1" + ")" * 70
    assert fault(decoder(f"dropout = {deep}")).code == "E108"
    nested = "let a0 = mlp\n" + "\n".join(f"let a{i + 1} = gqa {{ mask = a{i} {{ }} }}" for i in range(80))
    assert any(each.code == "E108" for each in faults(decoder(above=nested)))
    assert fault(decoder(layers=f"4_097 * {BLOCK}")).code == "E212"
    assert fault(decoder("dropout = 1e401")).code == "E104"
    wide = " * ".join(["1e400"] * 30)
    assert fault(decoder(f"dropout = {wide}")).code == "E212"


def test_rule_26_a_minus_may_stand_often() -> None:
    assert model_of(decoder("dropout = " + "-" * 5_000 + "0.5")).dropout == 0.5


def test_rule_26_nested_lets_cost_no_more_than_their_size() -> None:
    nest = "let a{1} = gqa {{ heads = 1, position = a{0}, mask = a{0} }}"
    lets = "let a0 = rope\n" + "\n".join(nest.format(i, i + 1) for i in range(50))
    assert faults(decoder(above=lets))
    assert {each.code for each in faults(decoder(above="let a = [1]\nlet b = [a, a]"))} == {"E206"}
    doubled = "let a0 = block + block\n" + "\n".join(f"let a{i + 1} = a{i} + a{i}" for i in range(60))
    assert "E212" in [each.code for each in faults(decoder(above=doubled))]


def test_rule_27_an_unknown_component_is_reported_once() -> None:
    spec = decoder(layers="2 * block { attention = gqq { heads = nothing / 2, x = 1, y { z = 2 } }, ffn = swiglu }")
    assert [(each.code, pointed(each)) for each in faults(spec)] == [("E304", "gqq"), ("E201", "nothing")]


def test_rule_22_params_is_decided_where_the_model_is_built() -> None:
    spec = decoder(fields="embedding = token")
    exact = sum(each.numel() for each in build(load(spec)).parameters())
    block = sum(each.numel() for each in build(load(spec)).layers[0].parameters())
    fine = f"require params(model) == {exact}\nrequire params(model.layers[0]) == {block}\n"
    assert not read(Source("t.llm", spec + fine), measure=measuring("cpu")).errors
    (found,) = read(Source("t.llm", spec + f"require params(model) < {exact}\n"), measure=measuring("cpu")).errors
    assert (found.code, f"{exact:_} < {exact:_} arrived" in found.message) == ("E309", True)


def test_rule_22_flops_is_decided_where_the_model_is_built() -> None:
    exact = summarise(filled(decoder(fields="embedding = token"))).flops
    spec = decoder(fields="embedding = token") + f"require flops(model) {{}} {exact}\n"
    assert not read(Source("t.llm", spec.replace("{}", "==")), measure=measuring("cpu")).errors
    (found,) = read(Source("t.llm", spec.replace("{}", "<")), measure=measuring("cpu")).errors
    assert (found.code, f"{exact:_} < {exact:_} arrived" in found.message) == ("E309", True)


@pytest.mark.parametrize("what", ["flops(model.layers[0])", "memory(model)"])
def test_rule_22_what_cannot_be_measured_is_refused(what: str) -> None:
    (found,) = read(Source("t.llm", decoder() + f"require {what} < 1T\n"), measure=measuring("cpu")).errors
    assert (found.code, what.partition("(")[0] in found.message, pointed(found)) == ("E312", True, what)
