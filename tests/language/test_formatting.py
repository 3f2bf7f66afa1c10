"""The formatter: white space alone changes, formatting twice changes nothing, and the style is the one of the specs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark.exceptions import UnexpectedCharacters

from llm_build import load, write
from llm_build.errors import FormatError
from llm_build.language import formatter
from llm_build.language.formatter import format_text
from llm_build.language.scanner import kept, lexemes
from llm_build.language.tables import parser
from tests.language.perturbing import BROKEN, FILES, ROOT, texts
from tests.language.strategies import specs
from tests.laws import law

SHIPPED = [*sorted((ROOT / "specs").glob("*.llm")), *sorted((ROOT / "tests" / "specs").glob("*.llm"))]


def solid(text: str) -> str:
    return re.sub(r"\s", "", text)


@law
@given(texts())
def test_formatting_twice_changes_nothing(text: str) -> None:
    once = format_text(text)
    assert format_text(once) == once


@law
@given(texts())
def test_no_token_and_no_comment_is_lost(text: str) -> None:
    made = format_text(text)
    assert solid(made) == solid(text)
    assert tokens(made) == tokens(text)


@law
@given(texts())
def test_a_text_is_cut_as_the_grammar_cuts_it(text: str) -> None:
    assert "".join(each.text for each in lexemes(text)) == text
    found = tokens(text)
    unseen = {"SPACE", "NEWLINE", "COMMENT"}
    assert found is None or found == [each.text for each in lexemes(text) if each.kind not in unseen]


def tokens(text: str) -> list[str] | None:
    """What the grammar sees of a text; None where it sees a character that begins no token."""
    try:
        return [str(each) for each in parser().lex(text) if each.type != "_NEWLINE"]
    except UnexpectedCharacters:
        return None


@law
@given(specs)
def test_what_write_makes_is_in_the_style(spec: object) -> None:
    text = write(spec)  # type: ignore[arg-type]
    assert format_text(text) == text


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.name)
def test_the_specs_that_are_shipped_are_in_the_style(spec: Path) -> None:
    assert format_text(spec.read_text(encoding="utf-8")) == spec.read_text(encoding="utf-8")


def test_a_formatted_spec_says_the_same() -> None:
    for spec in (ROOT / "specs").glob("*.llm"):
        squeezed = re.sub(r"(?m)^ +| +(?=[={])", "", spec.read_text(encoding="utf-8"))
        made = format_text(squeezed)
        assert load(made).model == load(spec).model


STYLE = {
    "one step for each line with an open bracket": (
        "x = [a {\nb {\nc = 1\n}\n}, (\n2)]\n",
        "x = [a {\n  b {\n    c = 1\n  }\n}, (\n  2)]\n",
    ),
    "a value goes on below": ("x = 1 +\n2\ny =\n3\nz = 4", "x = 1 +\n  2\ny =\n  3\nz = 4\n"),
    "spaces": (
        "x={a=-1,b=[ 1,2 , ],c=not(d),e=f (g)*- 3/4 ,h=i [ 0 : 3 ] . j}",
        "x = { a = -1, b = [1, 2,], c = not (d), e = f(g) * -3 / 4, h = i[0:3].j }\n",
    ),
    "a colon before a reason": ('require a>b:"c"', 'require a > b : "c"\n'),
    "empty lines": ("\n\nx {\n\n\na = 1\n\n\nb = 2\n\n}\n\n\n", "x {\n  a = 1\n\n  b = 2\n}\n"),
    "line ends": ("a = 1\r\nb = 2  \r\n# c \t\r\n", "a = 1\nb = 2\n# c\n"),
    "fields below each other": ("a = 1\n# why\nbcd = 2\n\ne = 3", "a   = 1\n# why\nbcd = 2\n\ne = 3\n"),
    "lets apart from params": ("let ab = 1\nparam c = 2\nparam de = 3", "let ab = 1\nparam c  = 2\nparam de = 3\n"),
    "a value of several lines stays out": ("a = 1\nbcd = x {\n}\nef = 2", "a = 1\nbcd = x {\n}\nef = 2\n"),
    "or in its column": ("bcd = 1\na   = x {\n}\nef = 2", "bcd = 1\na   = x {\n}\nef = 2\n"),
    "a merge stays out": ("abc { d = 1 }\ne =2", "abc { d = 1 }\ne = 2\n"),
    "or gives the column": ("abc { d = 1 }\ne   = 2", "abc { d = 1 }\ne   = 2\n"),
    "a merge that would be left behind stays out": ("abcd=1\nabc {}\nef  =", "abcd = 1\nabc { }\nef =\n"),
    "two fields on a line stay out": ("a = 1, b = 2\nbcd = 3", "a = 1, b = 2\nbcd = 3\n"),
    "a wide head stays out": (f"{'a' * 40} = 1\nb = 2\nc = 3", f"{'a' * 40} = 1\nb = 2\nc = 3\n"),
    "a comment keeps its column": ("a=1      # b\n\ncd = 2   # e", "a = 1    # b\n\ncd = 2   # e\n"),
    "two spaces off at least": ("abc = 1# b\nd = 2", "abc = 1  # b\nd   = 2\n"),
    "comments move together": ("a=[1,2] # b\nc=3     # d", "a = [1, 2]  # b\nc = 3       # d\n"),
    "by what tabs look like": ("a=[1,2]\t# b\nc=3\t# d", "a = [1, 2]  # b\nc = 3       # d\n"),
    "a string without an end": ('a="b  # c  \nd  =  2', 'a = "b  # c  \nd = 2\n'),
    "indentation where brackets do not fit": ("a={\n   b=[1\n\t}", "a = {\n   b = [1\n        }\n"),
    "nor are fields aligned that stand apart": ("{\n  b   = 1\n    cde = 2", "{\n  b = 1\n    cde = 2\n"),
    "nor with a value that is never closed": ("a = x {\nbcd = 2", "a = x {\nbcd = 2\n"),
    "names of a selector": ("a[b : c]", "a[b : c]\n"),
    "nothing": (" \n\t\n", ""),
}


@pytest.mark.parametrize("name", STYLE)
def test_the_style(name: str) -> None:
    text, styled = STYLE[name]
    assert format_text(text) == styled
    assert format_text(styled) == styled


COLUMNS = st.tuples(st.integers(1, 5), st.integers(0, 5), st.sampled_from(["= 1", "{ }", "=", "= a {", "{", "}"]))


@law
@given(st.lists(COLUMNS, max_size=8))
def test_what_is_aligned_stays_aligned(fields: list[tuple[int, int, str]]) -> None:
    text = "\n".join(f"{'a' * width}{' ' * space}{value}" for width, space, value in fields)
    styled = format_text(text)
    assert format_text(styled) == styled


def test_a_formatter_that_would_change_a_token_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatter, "_tight", lambda words, index: True)
    with pytest.raises(FormatError, match="white space alone"):
        format_text("let x = 3")


def test_kept_knows_tokens_comments_and_ends_of_lines() -> None:
    assert list(kept("a  =\t1 # b \n\n\nc")) == list(kept("\na = 1  # b\nc\n")) == ["a", "=", "1", "# b", "\n", "c"]
    assert len({tuple(kept(each)) for each in ("a b", "ab", "a\nb", "a #b", "a # b")}) == 5


@pytest.mark.parametrize(
    "text",
    [
        "{\n" * 2**14 + "}\n" * 2**14,
        "{" * 2**15,
        "[" * 2**14 + "}" * 2**14,
        '"' + "\r" * 2**15 + "x",
        "a" * 2**14 + " = 1\n" + "b = 2\n" * 2**12,
        "a = 1" + " " * 2**14 + "# c\n" + "b = 2 # d\n" * 2**12,
        "x = " + "- " * 2**14,
        "".join(FILES) + BROKEN,
    ],
    ids=["lines", "braces", "brackets that do not fit", "returns", "a wide name", "a far comment", "signs", "all"],
)
def test_hostile_text_is_formatted_in_little_time_and_space(text: str) -> None:
    start = time.process_time()
    made = format_text(text)
    assert time.process_time() - start < 10
    assert len(made) < 150 * len(text)
    assert format_text(made) == made
