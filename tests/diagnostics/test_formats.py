"""The forms of what `check` says: SARIF and GitHub's commands say what the text says, and colour is for terminals."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from llm_build.cli import group
from llm_build.cli._say import say
from llm_build.diagnostics import Diagnostic, Related, Source, Span, render
from llm_build.diagnostics.pages import lead, page, title
from llm_build.resolve import read
from tests.laws import law

HERE = Path(__file__).parent
BAD = sorted(each.stem for each in HERE.glob("*.llm"))
LEVELS = {"E": "error", "W": "warning", "N": "note"}
WARNS = """llm 1
param unused = 3
model = decoder {
  dim = 64, vocab = 256, context = 32
  layers = 2 * block { attention = gqa { heads = 4, mask = sliding { window = 32 } }, ffn = swiglu }
  norm = rms
}
require params(model) < 1M
"""
FINE = WARNS.replace("param unused = 3\n", "").replace("window = 32", "window = 8").partition("require")[0]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def found(text: str, name: str = "spec.llm") -> tuple[Diagnostic, ...]:
    return read(Source(name, text)).diagnostics


def bad(name: str) -> tuple[Diagnostic, ...]:
    file = HERE / f"{name}.llm"
    return read(Source(file.name, file.read_text(encoding="utf-8"), str(file))).diagnostics


def sarif(diagnostics: tuple[Diagnostic, ...]) -> dict[str, Any]:
    """The one run of a log that has what SARIF requires."""
    log: dict[str, Any] = json.loads(render(diagnostics, "sarif"))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "llm-build"
    return run  # type: ignore[no-any-return]


def diagnostic(message: str = "m", help: str = "h", name: str = "spec.llm") -> Diagnostic:
    span = Span(Source(name, "llm 1\nmodel = x\n"), 6, 11)
    return Diagnostic(code="E301", message=message, help=help, span=span, related=(Related("set here", span),))


@pytest.mark.parametrize("name", [*BAD, ""])
def test_a_sarif_result_says_what_the_diagnostic_says(name: str) -> None:
    diagnostics = bad(name) if name else found(WARNS)
    run = sarif(diagnostics)
    assert len(run["results"]) == len(diagnostics) > 0
    for result, each in zip(run["results"], diagnostics, strict=True):
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"] == each.code
        assert result["level"] == rule["defaultConfiguration"]["level"] == LEVELS[each.code[0]]
        message = result["message"]["text"].replace("{{", "{").replace("}}", "}")
        assert message == f"{each.message}; help: {each.help}" if each.help else each.message
        assert each.span is not None
        physical = result["locations"][0]["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == each.span.source.name
        region = physical.get("region", {"startLine": 1, "startColumn": 1})
        assert (region["startLine"], region["startColumn"]) == (each.span.line, each.span.column)
        assert len(result.get("relatedLocations", [])) == len(each.related)


def test_sarif_rules_come_from_the_pages_and_each_stands_once() -> None:
    rules = sarif(found(WARNS))["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == ["N301", "W202", "W302"]
    for each in rules:
        code = each["id"]
        assert each["shortDescription"]["text"] == title(code)
        assert each["fullDescription"]["text"] == lead(code)
        assert each["help"]["markdown"] == page(code)


def test_a_sarif_log_without_a_fault_has_no_results() -> None:
    assert sarif(())["results"] == []


@pytest.mark.parametrize("name", ["a folder/é#1.llm", "/an/absolute/path.llm"])
def test_a_sarif_uri_leads_to_the_file(name: str) -> None:
    (result,) = sarif((diagnostic(name=name),))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert "#" not in uri
    assert unquote(uri).removeprefix("file://") == name


def test_braces_in_a_sarif_message_are_no_placeholders() -> None:
    (result,) = sarif((diagnostic(help="write rope { … }"),))["results"]
    assert result["message"]["text"] == "m; help: write rope {{ … }}"


def test_sarif_without_a_place_has_the_path_in_the_config() -> None:
    (result,) = sarif((Diagnostic(code="E310", message="m", path="model"),))["results"]
    assert result["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "model"}]}]


def unescaped(text: str) -> str:
    for escape, char in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escape, char)
    return text


@law
@given(st.text(), st.text(), st.text(min_size=1))
@example("100%0A::error::faked", "%25", "a%2Cb,c:d.llm")
def test_a_workflow_command_is_one_line_that_reads_back(message: str, help: str, name: str) -> None:
    line = render((diagnostic(message, help, name),), "github")
    # GitHub ends a command at a line feed or a carriage return
    assert "\n" not in line
    assert "\r" not in line
    head, _, data = line.removeprefix("::").partition("::")
    command, _, written = head.partition(" ")
    properties = dict(each.split("=", 1) for each in written.split(","))
    assert command == "error"
    assert unescaped(properties.pop("file")) == name
    assert properties == {"line": "2", "endLine": "2", "col": "1", "endColumn": "5", "title": "llm-build E301"}
    lines = [message, f"set here: {name}:2:1", *([f"help: {help}"] if help else [])]
    assert unescaped(data) == "\n".join(lines)


def test_workflow_commands_have_a_level_each() -> None:
    commands = [each.split(" ")[0] for each in render(found(WARNS), "github").splitlines()]
    assert commands == ["::warning", "::warning", "::notice"]
    assert render((diagnostic(),), "github").startswith("::error ")


def test_a_span_over_several_lines_has_no_columns_for_github() -> None:
    source = Source("spec.llm", "llm 1\nmodel = x\n")
    line = render((Diagnostic(code="E301", message="m", span=Span(source, 0, 9)),), "github")
    assert line.startswith("::error file=spec.llm,line=1,endLine=2,title=")


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_check_exits_with_0_on_warnings_and_gives_each_its_level(form: str, tmp_path: Path) -> None:
    (tmp_path / "spec.llm").write_text(WARNS, encoding="utf-8")
    done = CliRunner().invoke(group, ["check", "--format", form, str(tmp_path / "spec.llm")], standalone_mode=False)
    assert done.return_value == 0
    said = done.stderr if form == "text" else done.stdout
    other = done.stdout if form == "text" else done.stderr
    assert len(re.findall(r"^warning\[|\"severity\": \"warning\"|\"ruleId\": \"W|^::warning", said, re.M)) == 2
    assert other == (f"{tmp_path / 'spec.llm'}: fine\n" if form == "text" else "")


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_a_fine_spec_is_said_to_programs_too(form: str, tmp_path: Path) -> None:
    (tmp_path / "spec.llm").write_text(FINE, encoding="utf-8")
    done = CliRunner().invoke(group, ["check", "--format", form, str(tmp_path / "spec.llm")], standalone_mode=False)
    assert done.return_value == 0
    assert done.stdout == {"json": "[]\n", "github": ""}.get(form, done.stdout)
    assert form != "sarif" or json.loads(done.stdout)["runs"][0]["results"] == []


@pytest.mark.parametrize("name", BAD)
def test_colour_changes_no_text(name: str) -> None:
    painted = render(bad(name), colour=True)
    assert ESCAPE.sub("", painted) == render(bad(name))
    assert "\x1b[1;31merror[" in painted


def test_a_warning_has_another_colour_than_an_error() -> None:
    assert "\x1b[1;33mwarning[W202]\x1b[0m" in render(found(WARNS), colour=True)


def test_what_a_spec_holds_is_no_escape_sequence_in_colour_either() -> None:
    painted = render(found("llm 1\nmodel = 3 # \x1b]0;gotcha\x07\x1b[2J\n"), colour=True)
    assert "\x1b" not in ESCAPE.sub("", painted)
    assert "␛]0;gotcha␇␛[2J" in painted


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": "0"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_unless_no_color_says_otherwise(
    terminal: bool, environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    say(found(WARNS))
    assert "warning" in stream.getvalue()
    assert ("\x1b[" in stream.getvalue()) is coloured
