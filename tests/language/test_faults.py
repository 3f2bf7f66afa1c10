"""Every fault in one run, at its own place, and none that another one only caused."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import pytest

from llm_build import Context, load, write
from llm_build.diagnostics import render
from llm_build_plugins import attention, ffn, model, norm, position
from tests.language.reading import BLOCK, decoder, fault, faults, pointed

TRAIN = "pretrain {{ {}, optimizer = adamw {{ lr = 1 }} }}"


def places(spec: str | Path, *settings: str) -> set[tuple[str, str]]:
    return {(each.code, pointed(each)) for each in faults(spec, settings)}


def train(fields: str) -> str:
    return decoder() + f"train = {TRAIN.format(fields)}\n"


def test_a_faulty_field_silences_only_the_checks_that_read_it() -> None:
    found = [
        each.message.split()[0] for each in faults(train("steps = 0, batch = 1, batch_tokens = 80, eval_every = 0"))
    ]
    assert found == ["steps", "pretrain", "eval_every"]


def test_a_requirement_is_read_beside_other_faults() -> None:
    spec = decoder().replace("norm = rms", "norm = rmss")
    assert places(spec + "require nope > 3\n") == {("E304", "rmss"), ("E201", "nope")}
    assert places(spec + "require 1K == 3\n") == {("E304", "rmss"), ("E104", "1K")}


def test_a_slip_in_a_setting_hides_nothing_of_the_file() -> None:
    assert {"E101", "E306"} <= {each.code for each in faults(decoder() + "foo = 3\n", ["dim="])}


def test_every_setting_says_all_of_its_faults() -> None:
    layers = f"model.layers=2 * {BLOCK[:-2]}, norm = $, placement = }}"
    found = places(decoder(), layers.replace("heads = 4", "heads = 4K"), "model.dim=", "model.widht=3", "3=4")
    assert found == {("E104", "4K"), ("E102", "$"), ("E101", "}"), ("E101", ""), ("E305", "widht"), ("E101", "3")}


@pytest.mark.parametrize(
    ("setting", "at"),
    [("model { dim = 3 }", "{"), ("let a = 1", "let"), ("model.dim=64\nmodel.vocab=64", "\n"), ("model.dim=64,", ",")],
)
def test_what_is_fine_in_a_file_and_no_setting_is_a_fault(setting: str, at: str) -> None:
    assert places(decoder(), setting) == {("E101", at)}


def test_a_setting_that_is_none_says_its_other_faults_too() -> None:
    assert places(decoder(), "let a = 1 $") == {("E101", "let"), ("E102", "$")}


def test_what_a_faulty_setting_was_to_give_is_not_called_missing() -> None:
    for setting in ("model.dim=", "model.dim", "model { dim = 64 }"):
        assert [each.code for each in faults(decoder().replace("  dim = 32\n", ""), [setting])] == ["E101"]


def test_a_missing_base_hides_nothing_that_is_certain(tmp_path: Path) -> None:
    (tmp_path / "child.llm").write_text('llm 1\nextends "none.llm"\nmodl = 3\n', encoding="utf-8")
    assert {each.code for each in faults(tmp_path / "child.llm")} == {"E208", "E306"}


@pytest.mark.parametrize("tokenizer", ["bpe { vocab = 1K }", "bpee { vocab = 300 }", "bpe { vocb = 300 }"])
def test_a_faulty_tokenizer_does_not_make_vocab_missing(tokenizer: str) -> None:
    spec = decoder().replace("  vocab = 64\n", "") + f"tokenizer = {tokenizer}\n"
    assert "E303" not in [each.code for each in faults(spec)]


def test_a_misspelt_field_is_not_found_missing_as_well() -> None:
    assert places(decoder().replace("dim = 32", "dm = 32")) == {("E305", "dm")}


def test_every_element_of_a_list_is_checked_at_its_place() -> None:
    spec = decoder() + 'data = files { paths = ["a\\\\b", "", "fine", 3] }\n'
    assert places(spec) == {("E301", '"a\\\\b"'), ("E301", '""'), ("E301", "3")}


@pytest.mark.parametrize("value", ["foo", "[foo]", "2 * foo", "foo + foo", "foo.bar"])
def test_an_unused_let_names_something_that_is_installed(value: str) -> None:
    assert {each.code for each in faults(decoder(above=f"let x = {value}"))} == {"E304"}


def test_count_takes_what_is_installed() -> None:
    found = fault(decoder() + "require count(model.layers, gqq) == 0\n")
    assert (found.code, "gqa" in found.help) == ("E304", True)


@pytest.mark.parametrize(
    ("let", "change"),
    [
        ("let rms = swiglu", ("norm = rms", "norm = rms")),
        ("let gqa = mqa { heads = 4 }", ("gqa { heads = 4 }", "gqa { kv_heads = 2 }")),
    ],
)
def test_a_fault_that_a_let_caused_by_hiding_says_so(let: str, change: tuple[str, str]) -> None:
    found = fault(decoder(above=let).replace(*change))
    assert "hides the component" in found.help


def test_a_head_of_another_slot_is_a_fault_where_it_is_used() -> None:
    spec = decoder(layers="b { attention = b }", above=f"let b = {BLOCK}")
    assert places(spec) == {("E304", "b")}
    assert fault(spec).span.line == 7


@pytest.mark.parametrize(
    "text", ["model.layers == model.layers", "model == 3", "default == 3", "model.layers[0].attention"]
)
def test_no_python_shows_in_a_message(text: str) -> None:
    found = fault(decoder() + f"require {text}\n")
    assert not any(word in found.message for word in ("object at", "Mark", "Held", "<llm"))


def test_a_vocab_that_is_too_small_is_pointed_at() -> None:
    assert places(decoder() + "tokenizer = bpe { vocab = 300 }\n") == {("E301", "64")}


def test_every_message_has_help() -> None:
    specs = [
        decoder("dropout = 2"),
        decoder("head = linear { tie = 1 }"),
        decoder().replace("dim = 32", "dim = -4"),
        decoder(layers=f"1.5 * {BLOCK}"),
        decoder(layers=f"9_999 * {BLOCK}"),
        decoder("dropout = max()"),
        decoder("dropout = true + 1"),
        decoder("dropout = 0 }"),
        decoder("dropout = (3 }"),
        decoder("dropout = + 3"),
        decoder(above="let a = gqa { heads = 4 }\nlet b = a.zip"),
    ]
    for spec in specs:
        assert all(each.help for each in faults(spec)), render(faults(spec))


def test_an_argument_is_given_once() -> None:
    assert fault(decoder(layers=f"cycle({BLOCK}, to = 5, to = 6)")).code == "E205"


def test_control_characters_do_not_reach_the_terminal() -> None:
    (found,) = faults(decoder("dropout = 2 # \x1b]0;gone\x07"))
    shown = render([found])
    assert "\x1b" not in shown
    assert "\u241b]0;gone\u2407" in shown


def test_a_long_line_is_cut_around_the_fault() -> None:
    (found, *_) = faults(decoder(above="let a = " + "1 + " * 5_000 + "x"))
    assert all(len(line) < 200 for line in render([found]).splitlines())


@pytest.mark.parametrize(
    "above",
    [
        "let a0 = [1]\n" + "\n".join(f"let a{i + 1} = [a{i}]" for i in range(1_500)),
        "let a0 = 1\n" + "\n".join(f"let a{i + 1} = [a{i}, a{i}]" for i in range(60)),
        "\n".join(f"param y{i} = zz{i} + 1" for i in range(2_000)),
        "# " + "\u202e" * 20_000,
    ],
    ids=["deep lists", "doubled lists", "many unbound names", "many control characters"],
)
def test_hostile_text_ends_soon_and_in_diagnostics(above: str) -> None:
    start = time.process_time()
    assert render(faults(decoder(above=above)))
    assert time.process_time() - start < 20


def test_doubled_components_end_soon() -> None:
    mixture = "moe {{ experts = 2, router = topk_softmax {{ k = 1 }}, expert = m{0}, shared = m{0} }}"
    lets = "\n".join(f"let m{i + 1} = {mixture.format(i)}" for i in range(40))
    spec = decoder(above=f"let m0 = swiglu\n{lets}", layers=BLOCK.replace("swiglu { hidden = 64 }", "m40"))
    assert [each.code for each in faults(spec)] == ["E212"]


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": model.block(attention=attention.gqa(heads=4), ffn=ffn.swiglu())},
        {"layers": model.block(attention=attention.gqa(heads=4), ffn=ffn.swiglu()), "dropout": Fraction(1, 3)},
    ],
)
def test_python_values_survive_writing(fields: dict[str, object]) -> None:
    config = model.decoder(dim=32, vocab=64, context=16, norm=norm.rms(), position=position.rope(), **fields)
    assert load(write(config)).model == config


def test_python_meets_the_limit_of_layers() -> None:
    layers = 5_000 * model.block(attention=attention.gqa(heads=4), ffn=ffn.swiglu())
    config = model.decoder(dim=32, vocab=64, context=16, norm=norm.rms(), layers=layers)
    assert [each.field for each in config.problems(Context())] == ["layers"]


HEDAS = "block { attention = gqa { hedas = 4 }, ffn = swigl }"


@pytest.mark.parametrize(
    "layers",
    [
        f"4 $ {HEDAS}",
        f"4K * {HEDAS}",
        f"nope * {HEDAS}",
        f"{HEDAS} * 4",
        f"3 * (4K * {HEDAS})",
        f"4 + 2 * {HEDAS}",
        f"cycle({HEDAS}, to = 1K)",
        f"2 * ({HEDAS} + {BLOCK}) - 1",
    ],
)
@pytest.mark.parametrize("way", ["in its place", "through a let", "in a let that nothing uses"])
def test_a_component_inside_a_faulty_value_is_checked(layers: str, way: str) -> None:
    spec = decoder(layers=layers)
    if way == "through a let":
        spec = decoder(layers="stack", above=f"let stack = {layers}")
    elif way == "in a let that nothing uses":
        spec = decoder(above=f"let stack = {layers}")
    found = [(each.code, pointed(each)) for each in faults(spec)]
    assert {("E305", "hedas"), ("E304", "swigl")} <= set(found)
    assert len(found) == 3


def test_a_field_that_takes_no_component_says_nothing_of_one_in_a_faulty_value() -> None:
    spec = decoder("dropout = 1K * block { attention = nope }")
    assert places(spec) == {("E104", "1K")}


@pytest.mark.parametrize(
    ("statement", "instead"),
    [
        ("model.layers[1].attention.heads = 4", "model { layers[1] { attention { heads = 4 } } }"),
        ("model.layers[0:2].ffn { hidden = 3 }", "model { layers[0:2] { ffn { … } } }"),
        (f"model.norm = rms {{ eps = {'1' * 40} }}", "model { norm = … }"),
    ],
)
def test_a_path_in_a_file_is_written_with_braces(statement: str, instead: str, tmp_path: Path) -> None:
    own = fault(decoder() + statement + "\n")
    assert own.help == f"write {instead} in a file that extends this one, or change the value itself"
    assert fault(extending(tmp_path, statement)).help == f"write {instead}"


def extending(folder: Path, statement: str) -> Path:
    (folder / "base.llm").write_text(decoder(), encoding="utf-8")
    (folder / "child.llm").write_text(f'llm 1\nextends "base.llm"\n{statement}\n', encoding="utf-8")
    return folder / "child.llm"


def test_the_braces_that_are_advised_do_what_was_meant(tmp_path: Path) -> None:
    advice = fault(extending(tmp_path, "model.layers[1].attention.heads = 8")).help
    made = load(extending(tmp_path, advice.removeprefix("write "))).model
    assert [each.attention.heads for each in made.layers] == [4, 8]


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("model.dim >= 64", "change `model.dim` or the requirement"),
        ("model.layers[1].attention.head_dim > d", "change `model.layers[1].attention.head_dim` (dim / heads), `d`"),
        ("model.layers[2 - 2].attention.dropout > 0", "change `model.layers[2 - 2].attention.dropout` (inherited"),
        ("model.layers[0].attention.dropout > 0", "change `model.layers[0].attention.dropout` (inherited from model)"),
        ("model.dropout > 0", "change `model.dropout` (a default) or the requirement"),
        ("count(model.layers, gqa) == 3", "change `model.layers` or the requirement"),
        ("1 > 2", "change the spec or the requirement"),
    ],
)
def test_a_requirement_says_what_to_change(condition: str, instead: str) -> None:
    found = fault(decoder(above="param d = 9") + f"require {condition}\n")
    assert found.help.startswith(instead)
    set_here = [related.span.source.text[related.span.start : related.span.end] for related in found.related]
    expected = {"model.dim >= 64": ["32"], "count(model.layers, gqa) == 3": [f"2 * {BLOCK}"]}
    assert set_here == expected.get(condition, ["d"] if "d" in condition.split() else [])
