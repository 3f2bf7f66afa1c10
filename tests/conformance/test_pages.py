"""The pages for authors of components: what is written there is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from llm_build.conformance import Subject, checks, verify
from llm_build.conformance.page import page
from tests.conformance import parts
from tests.fences import commands_of, fences_of
from tests.processes import ROOT, llm_build

HOW = (ROOT / "plugins" / "CONFORMANCE.md").read_text(encoding="utf-8")


def test_the_page_of_checks_is_the_one_that_the_code_gives() -> None:
    written = (ROOT / "plugins" / "CHECKS.md").read_text(encoding="utf-8")
    assert written == page(), "run tools/pages"


@pytest.mark.parametrize("identity", checks())
def test_each_check_says_what_it_proves_in_a_line_and_more_behind_it(identity: str) -> None:
    text = checks()[identity].text
    first, _, rest = text.partition("\n")
    assert first.endswith(".")
    assert len(rest.split()) >= 10


def test_the_failure_of_the_page_has_the_four_parts_that_the_page_names(tmp_path: Path) -> None:
    for fence in fences_of(HOW):
        if fence.file:
            (tmp_path / fence.file).write_text(fence.text, encoding="utf-8")
    (failing,) = (fence for fence in fences_of(HOW) if fence.note == "fails")
    ((line, _),) = commands_of(failing)
    result = llm_build(*shlex.split(line)[1:], cwd=tmp_path)
    assert result.returncode == 1
    for part in (r"^random: ", r"^  a second call", r"^  the smallest case found:$", r"^    config = acme\.shift$"):
        assert re.search(part, result.stdout, re.MULTILINE), part
    assert f"again: {line}" in result.stdout


def test_a_pass_says_what_it_is_worth() -> None:
    said = "\n".join(verify(Subject.of(parts.scaled), only=["random"]).lines())
    assert "A pass is evidence, not a proof" in said
