"""The saved parse tables, and the grammar that they are made of."""

from __future__ import annotations

from pathlib import Path

import lark
import pytest

from llm_build.diagnostics import Source
from llm_build.language import tables
from llm_build.language.parser import parse
from tests.processes import QUICKSTART, ROOT

GRAMMAR = tables.GRAMMAR.read_text(encoding="utf-8")
PINNED = f"lark=={lark.__version__}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_the_tables_are_of_this_grammar() -> None:
    assert tables.TABLES.read_bytes().split(b"\n")[0].split()[1] == tables.stamp(GRAMMAR).split()[1], "run tools/tables"


@pytest.mark.skipif(not PINNED, reason="tables are saved with the lark of constraints.txt")
def test_the_tables_are_of_the_pinned_lark() -> None:
    assert tables.TABLES.read_bytes().startswith(tables.stamp(GRAMMAR)), "run tools/tables"


def test_the_grammar_is_free_of_conflicts() -> None:
    # strict refuses shift/reduce conflicts, and terminals that match the same text
    assert tables.make_parser(GRAMMAR, strict=True).parse("llm 1", start="spec").data == "spec"


def test_strict_sees_a_conflict() -> None:
    with pytest.raises(lark.exceptions.LexError, match="Collision"):
        tables.make_parser(GRAMMAR + "\nOTHER: /[a-z]+/\n%ignore OTHER\n", strict=True)


def test_without_tables_the_parser_is_built_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Source("quickstart.llm", QUICKSTART.read_text(encoding="utf-8"))
    expected, _ = parse(source)
    monkeypatch.setattr(tables, "TABLES", tmp_path / "none")
    tables.parser.cache_clear()
    try:
        assert parse(source) == (expected, [])
    finally:
        tables.parser.cache_clear()
