"""`explain`: the value of every field of a spec, and where it comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given

from llm_build import Config, SpecError, write
from llm_build.cli import group
from llm_build.components import field_specs
from llm_build.diagnostics import Source, render
from llm_build.explain import as_json, as_text, explain
from llm_build.language.numbers import read_number
from llm_build.resolve import read, source_of
from tests.language.perturbing import texts
from tests.language.strategies import specs
from tests.laws import law

SPEC = """llm 1
param d = 64
param h = d / 16
let n = rms { eps = 1e-5 }
let thick = block { attention = gqa { heads = h }, ffn = swiglu, norm = n }
let wide = thick { ffn { hidden = 3 * d } }
tokenizer = bpe { vocab = 300 }
model = decoder {
  dim = d, context = 32
  position = rope
  layers = cycle(2 * thick + wide, to = 8)
  norm = n
  head = default
}
"""
CHILD = """llm 1
extends "base.llm"
param d = 128
model { dropout = 0.1, layers[3] { attention { bias = true } } }
"""
BRIEF = {
    "model.dim": (64, "line 9, param d (line 2)"),
    "model.context": (32, "line 9"),
    "model.position": ("rope", "line 10"),
    "model.vocab": (300, "inherited from tokenizer.vocab"),
    "model.dropout": (0, "default of decoder"),
    "model.head": ("linear", "default of decoder"),
    "model.norm.eps": (1e-5, "line 4, in let n"),
    "model.norm": ("rms", "line 12, let n (line 4)"),
    "model.layers[0].attention.heads": (4, "line 5, in let thick, param h (line 3), param d (line 2)"),
    "model.layers[7].attention.head_dim": (16, "derived: dim / heads"),
    "model.layers[1].attention.position": ("rope", "inherited from model.position"),
    "model.layers[4].placement.norm": ("rms", "inherited from model.layers[4].norm"),
    "model.layers[2]": ("block", "line 11, let wide (line 6), let thick (line 5)"),
    "model.layers[2].ffn.hidden": (192, "line 6, in let wide, param d (line 2)"),
    "model.layers[3].ffn.hidden": (176, "derived: 8 * dim / 3, up to a multiple of 8"),
    "train": (None, "default of spec"),
    "h": (4, "line 3"),
    "n": ("the component rms", "line 4"),
}
SET = {
    "model.dim": (96, "line 9, param d (--set d=96)"),
    "model.context": (48, "--set model.context = 48"),
    "model.layers[1].attention.heads": (2, "--set model.layers[1].attention.heads=2"),
    "model.layers[0].attention.heads": (6, "line 5, in let thick, param h (line 3), param d (--set d=96)"),
}
EXTENDED = {
    "model.dim": (128, "base.llm:9, param d (line 3)"),
    "model.dropout": (0.1, "line 4"),
    "model.layers[3].attention.bias": (True, "line 4"),
    "model.layers[3].attention.heads": (8, "base.llm:5, in let thick, param h (base.llm:3), param d (line 3)"),
    "model.layers[3].attention.dropout": (0.1, "inherited from model.dropout"),
}
FAULTY = """llm 1
model = decoder {
  dim = 100, vocab = 2K, context = 256
  layers = block { attention = gqa { heads = 8, kv_head = 2 }, ffn = swiglu } + block { attention = gqaa, ffn = mlp }
}
"""


def explained(text: str, path: str = "", *settings: str) -> Any:
    return explain(read(Source("t.llm", text), settings), path)


def brief(explanation: Any) -> tuple[Any, str]:
    """The value that a path leads to, and its origin on one line."""
    row = explanation.rows[0]
    return as_json(explanation)["values"][0]["value"], explanation.sources.brief(row.steps)


@pytest.mark.parametrize("path", BRIEF)
def test_every_origin_in_a_few_words(path: str) -> None:
    assert brief(explained(SPEC, path)) == BRIEF[path]


@pytest.mark.parametrize("path", SET)
def test_what_set_changes(path: str) -> None:
    settings = ["d=96", "model.context = 48", "model.layers[1].attention.heads=2"]
    assert brief(explained(SPEC, path, *settings)) == SET[path]


@pytest.mark.parametrize("path", EXTENDED)
def test_what_a_file_that_extends_changes(path: str, tmp_path: Path) -> None:
    (tmp_path / "base.llm").write_text(SPEC, encoding="utf-8")
    (tmp_path / "child.llm").write_text(CHILD, encoding="utf-8")
    found = brief(explain(read(source_of(tmp_path / "child.llm")), path))
    assert found == (EXTENDED[path][0], EXTENDED[path][1].replace("base", f"{tmp_path}/base"))


def test_the_steps_name_what_a_param_was_before_and_what_a_value_is_derived_from() -> None:
    kinds = [each["kind"] for each in as_json(explained(SPEC, "model.dim", "d=96"))["values"][0]["origin"]]
    assert kinds == ["stated", "param", "displaced"]
    (step,) = as_json(explained(SPEC, "model.layers[2].attention.head_dim"))["values"][0]["origin"]
    assert step["inputs"] == [
        {"name": "dim", "value": 64, "path": "model.dim"},
        {"name": "heads", "value": 4, "path": "model.layers[2].attention.heads"},
    ]
    kinds = [
        each["kind"] for each in as_json(explained(SPEC, "model.layers.attention.position"))["values"][0]["origin"]
    ]
    assert kinds == ["inherited", "stated"]
    kinds = [each["kind"] for each in as_json(explained(SPEC, "model.head"))["values"][0]["origin"]]
    assert kinds == ["default", "reset"]


def test_neighbours_that_are_one_thing_are_one_row() -> None:
    paths = [row.path for row in explained(SPEC, "model.layers.ffn.hidden").rows]
    assert paths == [f"model.layers[{each}].ffn.hidden" for each in ("0:2", "2", "3:5", "5", "6:8")]
    rows = {row.path: row.like for row in explained(SPEC).rows}
    assert rows["model.layers[5]"] == "model.layers[2]"
    assert "model.layers[5].ffn" not in rows


def test_a_layer_without_the_part_is_left_out() -> None:
    mixture = "moe { experts = 2, router = topk_softmax { k = 1 }, expert = swiglu, shared = swiglu }"
    spec = SPEC.replace("ffn = swiglu", f"ffn = {mixture}").replace("hidden = 3 * d", "shared = none")
    paths = [row.path for row in explained(spec, "model.layers.ffn.shared").rows if row.asked]
    assert paths == ["model.layers[0:2].ffn.shared", "model.layers[3:5].ffn.shared", "model.layers[6:8].ffn.shared"]


def test_a_param_may_hold_a_component() -> None:
    spec = SPEC.replace("let n", "param n")
    assert brief(explained(spec, "model.norm.eps")) == (1e-5, "line 4, in param n")
    assert brief(explained(spec, "model.norm.eps", "n=rms { eps = 1 }")) == (1, "--set n=rms { eps = 1 }, in param n")


def test_a_row_has_type_bounds_and_meaning() -> None:
    (row,) = as_json(explained(SPEC, "model.dropout"))["values"]
    assert (row["type"], row["bounds"], row["optional"]) == ("number", {"low": 0, "below": 1}, False)
    assert row["takes"] == "a number at least 0 and below 1"
    (row, *_) = as_json(explained(SPEC, "model.position"))["values"]
    assert (row["component"], row["type"], row["bounds"]) == ("position:rope", "part", {"slot": "position"})
    assert row["optional"]


@law
@given(specs)
def test_the_rows_are_the_fields_of_the_filled_spec(spec: Config) -> None:
    reading = read(Source("t.llm", write(spec)))
    assert reading.filled is not None
    rows = {row["path"]: row for row in as_json(explain(reading))["values"]}
    for path, row in rows.items():
        again = as_json(explain(reading, path))["values"][0]
        assert {**again, "like": None} == {**row, "like": None}
    assert {each for each in rows if "[" not in each} == set(plain_paths(reading.filled))


def plain_paths(config: Config, path: str = "") -> list[str]:
    """The paths of all fields that lie in no list and in nothing inherited."""
    found = []
    for name in field_specs(config):
        inner = getattr(config, name)
        if isinstance(inner, tuple) and inner and isinstance(inner[0], Config):
            continue
        found.append(f"{path}{name}")
        if isinstance(inner, Config) and config.origin(name).kind != "inherited":
            found += plain_paths(inner, f"{path}{name}.")
    return found


@law
@given(specs)
def test_the_line_of_a_stated_value_holds_it(spec: Config) -> None:
    for row in as_json(explain(read(Source("t.llm", write(spec)))))["values"]:
        if row["origin"][0]["kind"] == "stated" and row.get("type") in {"size", "flag", "choice"}:
            text = row["origin"][0]["text"]
            value = {"true": True, "false": False}.get(text, text)
            assert row["value"] == (json.loads(text) if text.startswith('"') else _number(value))


def _number(value: Any) -> Any:
    return read_number(value) if isinstance(value, str) else value


@law
@given(texts())
def test_any_text_is_explained_with_its_faults(text: str) -> None:
    reading = read(Source("t.llm", text))
    explanation = explain(reading)
    assert as_text(explanation)
    data = as_json(explanation)
    assert len(data["faults"]) == len(reading.errors)
    assert reading.errors or all(each["known"] for each in data["values"])


def test_a_faulty_spec_is_explained_as_far_as_it_is_known() -> None:
    explanation = explained(FAULTY)
    found = {row.path: explanation.sources.brief(row.steps) for row in explanation.rows}
    assert found["model"] == "line 2; faulty: E303"
    assert found["model.dim"] == "line 3"
    assert found["model.vocab"] == "line 3; faulty: E104"
    assert found["model.norm"] == "missing: it must be stated"
    assert found["model.layers[0].attention.heads"] == "line 4; faulty: E302"
    assert found["model.layers[0].attention.head_dim"] == "not known, because of a fault"
    assert found["model.layers[1].attention"] == "line 4; faulty: E304"
    assert found["model.layers[1].ffn.hidden"] == "derived: 4 * dim"
    values = {row["path"]: (row["value"], row["known"]) for row in as_json(explanation)["values"]}
    assert values["model.layers[0].attention.heads"] == (8, True)
    assert values["model.layers[1].attention"] == (None, False)
    assert values["model.layers[1].ffn.hidden"] == (400, True)


def test_nothing_is_called_missing_where_a_part_of_the_text_could_not_be_read() -> None:
    spec = 'llm 1\nextends "none.llm"\nmodel = decoder { dim = 8, norm = rms { eps = 1e-3 } }\n'
    assert brief(explained(spec, "model.dim")) == (8, "line 3")
    assert brief(explained(spec, "model.norm.eps")) == (1e-3, "line 3")
    assert brief(explained(spec, "model.layers")) == (None, "not known, because of a fault")


NO_PATH = (
    "E101",
    "a path is names with dots between them, and numbers of layers in [ ]",
    "write model.layers[3].attention.heads",
)
WRONG = {
    "modle": ("E202", "the spec has no field, let or param `modle`", "a similar name is there: `model`"),
    "model.layer.ffn": ("E202", "decoder has no field `layer`", "a field with a similar name exists: `layers`"),
    "model.layers[8]": ("E211", "`layers` holds 8 layers; [8] selects beyond them", "select from 0 to 7"),
    "model.layers[3:3]": ("E211", "`layers` holds 8 layers; [3:3] selects beyond them", "select from 0 to 7"),
    "model.dim[0]": ("E211", "`dim` holds 0 layers; [0] selects beyond them", "give `dim` its layers first"),
    "model.dim.x": ("E202", "nothing lies inside `dim`", "stop at dim"),
    "d.x": ("E202", "the spec has no field, let or param `d`", "a similar name is there: `d`"),
    **dict.fromkeys(
        (".", "model.", "model..dim", "model.layers[a]", "model dim", "model.layers[0][1]", "[0]", "é"), NO_PATH
    ),
}


@pytest.mark.parametrize("path", WRONG)
def test_a_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(SpecError) as caught:
        explained(SPEC, path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message, found.help) == WRONG[path]
    assert render([found])


def test_control_characters_do_not_reach_the_terminal() -> None:
    spec = SPEC.replace("param h", "param x = 1 # \x1b]0;gone\x07\nparam h") + 'data = files { paths = ["\x7f\x9b"] }\n'
    shown = as_text(explained(spec)) + as_text(explained(spec, "x")) + as_text(explained(spec, "data.paths"))
    assert not set("\x1b\x07\x7f\x9b") & set(shown)


def test_nested_lets_are_explained_in_no_more_than_their_size() -> None:
    lets = "".join(
        f"let m{i + 1} = moe {{ experts = 2, router = topk_softmax {{ k = 1 }}, expert = m{i}, shared = m{i} }}\n"
        for i in range(40)
    )
    spec = SPEC.replace("let n", f"let m0 = swiglu\n{lets}let n").replace("ffn = swiglu", "ffn = m40")
    assert len(explained(spec).rows) < 2_000


# --- the verb ---


def run(*arguments: str | Path) -> Result:
    """`llm-build explain …` in this process."""
    return CliRunner().invoke(group, ["explain", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "t.llm"
    file.write_text(SPEC, encoding="utf-8")
    return file


def test_a_value_is_shown_with_the_lines_that_made_it(spec: Path) -> None:
    done = run(spec, "model.layers[2].ffn.hidden", "--set", "d=128")
    assert (done.return_value, done.stderr) == (0, "")
    assert done.stdout == (
        "model.layers[2].ffn.hidden = 384\n"
        "  takes a whole number from 1 to 16_777_216\n"
        "  the width of the gate\n"
        "stated\n"
        f" --> {spec}:6:35\n"
        "  |\n"
        "6 | let wide = thick { ffn { hidden = 3 * d } }\n"
        "  |                                   ^^^^^\n"
        "in let `wide`\n"
        f" --> {spec}:6:5\n"
        "  |\n"
        "6 | let wide = thick { ffn { hidden = 3 * d } }\n"
        "  |     ^^^^\n"
        "param `d`\n"
        " --> --set:1:1\n"
        "  |\n"
        "1 | d=128\n"
        "  | ^^^^^\n"
        "in place of param `d`\n"
        f" --> {spec}:2:7\n"
        "  |\n"
        "2 | param d = 64\n"
        "  |       ^^^^^^\n"
    )


def test_a_component_is_shown_with_its_fields(spec: Path) -> None:
    done = run(spec, "model.layers[0].norm")
    assert done.stdout.endswith("\n\n  eps    = 1e-05  line 4, in let n\n  offset = false  default of rms\n")


def test_the_whole_spec_is_a_tree(spec: Path) -> None:
    lines = [re.sub(r"  +(?=line|derived)", "  ", each) for each in run(spec).stdout.splitlines()]
    assert lines[0].split() == ["d", "=", "64", "line", "2"]
    assert "  layers[0:2] = block  line 11, let thick (line 5)" in lines
    assert "      head_dim = 16  derived: dim / heads" in lines
    assert "  layers[5]   = block  line 11, let wide (line 6), let thick (line 5); all as in model.layers[2]" in lines


def test_json_goes_to_stdout_and_faults_to_stderr(spec: Path) -> None:
    spec.write_text(FAULTY, encoding="utf-8")
    done = run(spec, "model.dim", "--json")
    assert (done.return_value, done.stderr.count("error[")) == (1, 5)
    found = json.loads(done.stdout)
    assert [(each["path"], each["value"]) for each in found["values"]] == [("model.dim", 100)]
    assert len(found["faults"]) == 5
    assert {*found["values"][0]["origin"][0]} == {"kind", "file", "line", "column", "text"}


def test_a_path_that_leads_nowhere_exits_with_1(spec: Path) -> None:
    done = run(spec, "model.layer")
    assert isinstance(done.exception, SpecError)
    assert done.stdout == ""


def test_a_code_without_a_page_is_wrong_usage() -> None:
    done = run("E000")
    assert (done.return_value, done.stdout, done.stderr) == (2, "", "error: there is no page for E000\n")
