"""Every bad spec in this folder says exactly what the text beside it says, and the command exits with 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_build.cli import group
from llm_build.diagnostics import Source, render
from llm_build.resolve import read

HERE = Path(__file__).parent
PROJECT = HERE.parents[1].name
BAD = sorted(each.stem for each in HERE.glob("*.llm"))


def rendered(name: str, form: str = "text") -> str:
    file = HERE / f"{name}.llm"
    source = Source(file.name, file.read_text(encoding="utf-8"), str(file))
    return render(read(source).diagnostics, form)


@pytest.mark.parametrize("name", BAD)
def test_the_message_is_the_one_beside_the_spec(name: str) -> None:
    # the checkout may have any name
    found = rendered(name).replace(f"the project {PROJECT!r}", "the project 'llm-build'")
    assert found + "\n" == (HERE / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", BAD)
def test_check_exits_with_one_and_without_a_traceback(name: str) -> None:
    result = CliRunner().invoke(group, ["check", str(HERE / f"{name}.llm")], standalone_mode=False)
    assert result.return_value == 1
    assert result.exception is None
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", BAD)
def test_the_json_says_the_same_as_the_text(name: str) -> None:
    found = json.loads(rendered(name, "json"))
    text = rendered(name)
    assert found
    for each in found:
        assert f"error[{each['code']}]: {each['message']}" in text
        place = f":{each['span']['line']}:{each['span']['column']}" if name != "empty" else ""
        assert f"--> {each['span']['file']}{place}\n" in text
        assert all(related["message"] in text for related in each["related"])
        assert each["help"] in text
