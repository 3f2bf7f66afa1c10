"""Warnings: what is advised against, at its place, and the comments that silence it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_build import Config, Context, PluginError, Problem, SpecError, component, number
from llm_build.components import checks_of
from llm_build.diagnostics import Severity
from llm_build.resolve import resolve
from llm_build_plugins import attention, generate, train
from tests.language.reading import reading
from tests.processes import QUICKSTART, llm_build

ROOT = Path(__file__).parents[2]
BLOCK = "block { attention = gqa { heads = 4 }, ffn = swiglu }"
STACK = f"2 * {BLOCK}"


def spec(
    *, above: str = "", dim: str = "64", vocab: str = "256", layers: str = STACK, norm: str = "rms", below: str = ""
) -> str:
    sizes = f"  dim = {dim}\n  vocab = {vocab}\n  context = 32"
    return f"llm 1\n{above}\nmodel = decoder {{\n{sizes}\n  layers = {layers}\n  norm = {norm}\n}}\n{below}\n"


def warned(text: str | Path, *settings: str) -> list[tuple[str, str]]:
    """Each warning as its code and the text that it points at."""
    result = reading(text, settings)
    assert not result.errors
    assert result.filled is not None
    return [(each.code, pointed) for each in result.diagnostics if (pointed := at(each)) is not None]


def at(diagnostic: object) -> str | None:
    span = getattr(diagnostic, "span", None)
    return span.source.text[span.start : span.end] if span else None


def attending(options: str) -> str:
    return f"2 * block {{ attention = {options}, ffn = swiglu }}"


# --- names ---


@pytest.mark.parametrize("statement", ["let n = rms", "param n = 3", "let n = 3 * block"])
def test_a_name_that_nothing_uses(statement: str) -> None:
    assert warned(spec(above=statement)) == [("W202", "n")]


@pytest.mark.parametrize(
    "text",
    [
        spec(above="param n = 64", dim="n"),
        spec(above="let n = rms", norm="n"),
        spec(above="let n = rms", norm="n { eps = 1e-5 }"),
        spec(above="param n = 2\nparam m = n", layers=f"m * {BLOCK}"),
        spec(above="param n = 1", below="require model.dim > n"),
        spec(above="param n = 9", below="require params(model) > n * 2 or count(model.layers, block) == n"),
        spec(above="let n = gqa { heads = 4 }", layers="2 * block { attention = n { bias = true }, ffn = swiglu }"),
        spec(
            above="param n = 0\nlet deep = 2 * block { attention = gqa { heads = 4 }, ffn = swiglu }", layers="deep[n]"
        ),
    ],
)
def test_a_name_that_something_uses(text: str) -> None:
    assert "W202" not in [code for code, _ in warned(text)]


def test_its_own_value_is_no_use_of_a_name() -> None:
    assert warned(spec(above="let rms = rms { eps = 1e-5 }", norm="layer")) == [("W202", "rms")]


def test_the_name_of_a_field_is_no_use_of_a_param() -> None:
    assert warned(spec(above="param dim = 64", dim="64")) == [("W202", "dim")]


def test_a_name_is_not_called_unused_beside_a_misspelt_use() -> None:
    assert [each.code for each in reading(spec(above="param width = 64", dim="widht")).diagnostics] == ["E201"]


def test_a_base_and_what_extends_it_use_each_others_params(tmp_path: Path) -> None:
    (tmp_path / "base.llm").write_text(spec(above="param a = 64\nparam b = 2", dim="a"), encoding="utf-8")
    child = tmp_path / "child.llm"
    child.write_text('llm 1\nextends "base.llm"\nparam a = 128\nparam c = b\nmodel { dropout = c / 4 }\n', "utf-8")
    assert warned(child) == []
    assert warned(tmp_path / "base.llm") == [("W202", "b")]
    child.write_text('llm 1\nextends "base.llm"\nrequire model.dim > b\n', "utf-8")
    assert warned(child) == []


def test_a_let_that_hides_a_component() -> None:
    assert warned(spec(above="let rms = layer", norm="rms")) == [("W203", "rms")]
    assert warned(spec(above="let learned = 2", layers=f"learned * {BLOCK}")) == [("W203", "learned")]


@pytest.mark.parametrize("value", ["rms { eps = 1e-5 }", "rms", "norm:rms { eps = 1e-5 }"])
def test_an_amended_copy_of_the_component_hides_nothing(value: str) -> None:
    assert warned(spec(above=f"let rms = {value}", norm="rms")) == []


# --- the built-ins ---


@pytest.mark.parametrize(("window", "expected"), [(31, []), (32, [("W302", "32")]), (33, [("W302", "33")])])
def test_a_window_that_hides_nothing(window: int, expected: list[tuple[str, str]]) -> None:
    options = f"gqa {{ heads = 4, mask = sliding {{ window = {window} }} }}"
    assert warned(spec(layers=attending(options))) == expected


@pytest.mark.parametrize("schedule", ["constant", "linear", "inverse_sqrt", "warmup_cosine"])
@pytest.mark.parametrize(
    ("warmup", "length", "late"),
    [
        ("99", "steps = 100", False),
        ("100", "steps = 100", True),
        ("1%", "steps = 100", False),
        ("100%", "steps = 100", True),
        ("100%", "epochs = 1", True),
        ("1_000", "epochs = 1", False),
        ("9", "tokens = 2_048", True),
    ],
)
def test_a_warm_up_that_outlasts_the_run(schedule: str, warmup: str, length: str, late: bool) -> None:
    below = f"train = pretrain {{ {length}, batch = 8, schedule = {schedule} {{ warmup = {warmup} }} }}"
    assert warned(spec(below=below)) == ([("W303", warmup)] if late else [])


@pytest.mark.parametrize("sampler", ["top_p { p = 0.9, ", "top_k { k = 5, ", "min_p { p = 0.1, "])
def test_a_filter_at_temperature_0(sampler: str) -> None:
    below = f"generate = decode {{ sampler = {sampler}temperature = "
    assert warned(spec(below=f"{below}0 }} }}")) == [("W304", "0")]
    assert warned(spec(below=f"{below}1e-5 }} }}")) == []


def test_temperature_0_without_a_filter_is_fine() -> None:
    assert warned(spec(below="generate = decode { sampler = temperature { temperature = 0 } }")) == []


@pytest.mark.parametrize(
    ("dim", "options", "expected"),
    [
        ("320", "gqa { heads = 16 }", [("W305", "16")]),
        ("320", "gqa { heads = 8 }", []),
        ("320", "mha { heads = 4, head_dim = 20 }", [("W305", "20")]),
        ("320", "gated_delta { heads = 16 }", [("W305", "16")]),
        ("320", "gated_delta { heads = 4, head_dim = 20 }", [("W305", "20")]),
        ("60", "gqa { heads = 4 }", []),
    ],
)
def test_a_head_dim_that_is_no_multiple_of_8(dim: str, options: str, expected: list[tuple[str, str]]) -> None:
    assert warned(spec(dim=dim, layers=attending(options))) == expected


def test_the_help_lists_heads_that_give_a_good_head_dim() -> None:
    found = reading(spec(dim="320", layers=attending("gqa { heads = 16 }"))).diagnostics[0]
    assert found.help == "heads may be 1, 2, 4, 5, 8, 10, 20, 40"
    for heads in found.help.removeprefix("heads may be ").split(", "):
        assert warned(spec(dim="320", layers=attending(f"gqa {{ heads = {heads} }}"))) == []


@pytest.mark.parametrize(
    ("dim", "vocab", "expected"), [("256", "257", [("W306", "257")]), ("256", "320", []), ("64", "257", [])]
)
def test_a_vocab_that_is_no_multiple_of_64(dim: str, vocab: str, expected: list[tuple[str, str]]) -> None:
    assert warned(spec(dim=dim, vocab=vocab)) == expected


# --- comments ---


def test_a_comment_silences_its_codes_on_its_line_alone() -> None:
    assert warned(spec(above="let rms = layer  # allow: W202, W203", norm="norm:rms")) == []
    assert warned(spec(above="let rms = layer\nlet n = rms  # allow: W202")) == [("W203", "rms")]
    assert warned(spec(above="# allow: W202\nlet n = rms")) == [("W204", "W202"), ("W202", "n")]


@pytest.mark.parametrize(
    "comment", ["# allow: W202", "#allow:W202", "# d # allow: W202", '# "d" # allow: W202', "# allow: W202 (for later)"]
)
def test_the_ways_to_write_the_comment(comment: str) -> None:
    assert warned(spec(above=f"param n = 3 {comment}")) == []


def test_a_string_is_no_comment() -> None:
    assert warned(spec(above='let n = "# allow: W202"')) == [("W202", "n")]
    assert warned(spec(above='let n = "a \\" # b" # allow: W202')) == []


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("allow: W999", ("W205", "W999")),
        ("allow: w202", ("W205", "w202")),
        ("allow: unused", ("W205", "unused")),
        ("allow: E301", ("W205", "E301")),
        ("allow:", ("W205", "# allow:")),
    ],
)
def test_a_comment_that_names_no_warning_is_pointed_out(comment: str, expected: tuple[str, str]) -> None:
    assert warned(spec(above=f"param n = 64  # {comment}", dim="n")) == [expected]


def test_the_help_names_the_code_that_was_meant() -> None:
    (found,) = reading(spec(above="param n = 64  # allow: w202", dim="n")).diagnostics
    assert found.help == "write W202"


def test_an_error_is_not_silenced() -> None:
    codes = [each.code for each in reading(spec(dim='"x"  # allow: E301')).diagnostics]
    assert codes == ["E301", "W205"]


def test_a_comment_is_not_called_idle_beside_an_error_or_a_setting() -> None:
    text = spec(above="param n = 64  # allow: W202", dim="n")
    assert warned(text) == [("W204", "W202")]
    assert warned(text, "n=128") == []
    assert [each.code for each in reading(text.replace("norm = rms", "norm = rmss")).diagnostics] == ["E304"]


def test_a_comment_in_a_base_silences_what_is_said_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.llm").write_text(spec(above="param a = 64  # allow: W202"), encoding="utf-8")
    child = tmp_path / "child.llm"
    child.write_text('llm 1\nextends "base.llm"\nmodel { dropout = 0.1 }\n', "utf-8")
    assert warned(child) == []


# --- in Python ---


@component("norm:acme.warns", module="nowhere:Nowhere")
class Warns(Config):
    eps: float = number(default=1e-6, above=0)

    def check_eps(self, context: Context) -> Iterator[Problem]:
        if self.eps > 1e-3:
            yield Problem(field="eps", message="eps blurs", severity="warning")  # type: ignore[arg-type]


def test_a_component_warns_through_problem() -> None:
    assert checks_of(Warns)
    (found,) = Warns(eps=0.1).problems(Context(dim=8))
    assert (found.severity, found.code, found.field) == (Severity.WARNING, "W301", "eps")
    assert resolve(Warns(eps=0.1), Context(dim=8)).filled


def test_a_warning_stands_beside_an_error_and_does_not_hide_it() -> None:
    found = attention.gqa(heads=3, dropout=2.0).problems(Context(dim=256))
    assert {each.code for each in found} == {"E301", "E302"}
    both = attention.gqa(heads=16, dropout=2.0).problems(Context(dim=320))
    assert [each.code for each in both] == ["E301", "W305"]
    with pytest.raises(SpecError):
        resolve(attention.gqa(heads=16, dropout=2.0), Context(dim=320))


@pytest.mark.parametrize(
    "options", [{"severity": "fatal"}, {"code": "W301"}, {"severity": "warning", "code": "E301"}, {"code": "X1"}]
)
def test_a_problem_with_another_severity_or_code_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(PluginError):
        Problem(field="x", message="y", **options)  # type: ignore[arg-type]


def test_the_built_ins_warn_in_python_too() -> None:
    assert [each.code for each in generate.top_p(temperature=0).problems(Context())] == ["W304"]
    assert [each.code for each in train.linear(warmup=10).problems(Context(steps=10))] == ["W303"]


# --- the verbs ---


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.llm")), ids=lambda path: path.stem)
def test_the_examples_warn_of_nothing(spec: Path) -> None:
    assert reading(spec).diagnostics == ()


def test_a_verb_that_builds_says_warnings_on_stderr_once() -> None:
    done = llm_build("summary", QUICKSTART, "--set", "train.schedule=constant { warmup = 700 }")
    assert done.returncode == 0
    assert done.stderr.count("warning[W303]") == 1
    assert "warning" not in done.stdout
