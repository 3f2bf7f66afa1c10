"""Every syntax fault of a text is found in one run, and none that another one only caused."""

from __future__ import annotations

import random

import pytest

from llm_build.diagnostics import Source, render
from llm_build.resolve import read
from tests.language.drawing import sound_specs
from tests.language.reading import decoder, faults, pointed
from tests.language.seeding import KINDS, Sound, extra_and_missed
from tests.processes import ROOT

SPECS = [Sound(text) for text in sound_specs(ROOT, seeded=7, drawn=15)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seeded_fault_is_reported_and_nothing_else(kind: str) -> None:
    draw = random.Random(kind)
    tried = 0
    while tried < 20:
        broken = draw.choice(SPECS).broken([kind], draw)
        if broken.seeds:
            tried += 1
            found = read(Source("seeded.llm", broken.text)).errors
            assert extra_and_missed(broken, found) == ([], []), broken.text + render(found)


def test_five_faults_of_a_file_are_five_reports() -> None:
    draw, extra, seeded = random.Random(11), 0, 0
    for _ in range(80):
        broken = draw.choice(SPECS).broken(draw.choices(KINDS, k=5), draw)
        found = read(Source("seeded.llm", broken.text)).errors
        more, missed = extra_and_missed(broken, found)
        assert not missed, broken.text + render(found)
        extra, seeded = extra + len(more), seeded + len(broken.seeds)
    assert seeded > 200
    assert extra <= 4


def codes(text: str) -> list[tuple[str, int]]:
    return [(each.code, each.span.line if each.span else 0) for each in faults(text)]


def test_faults_of_meaning_are_reported_beside_those_of_syntax() -> None:
    text = decoder("dropot = 0.1\nnorm $= rms").replace("heads = 4", "heads = 5").replace("dim = 32", "dim 32")
    assert codes(text.replace("  norm = rms\n", "")) == [
        ("E101", 4),
        ("E302", 7),
        ("E305", 8),
        ("E102", 9),
    ]


def test_a_name_whose_value_is_missing_is_known_all_the_same() -> None:
    assert codes(decoder(above="param d =\nlet n = layer { eps = }\nlet m = n").replace("dim = 32", "dim = d")) == [
        ("E101", 2),
        ("E101", 3),
    ]


def test_an_unclosed_brace_is_shown_where_it_opens() -> None:
    text = decoder(layers="2 * block {\n    attention = gqa { heads = 4\n    ffn = swiglu { hidden = 64 }\n  }")
    (found,) = faults(text)
    assert (found.span.line, pointed(found)) == (8, "{")
    assert found.related[0].span.line == 9


def test_an_unclosed_block_ends_where_the_lines_step_back() -> None:
    text = decoder(layers="2 * block {\n    attention = gqa { heads = 4 }\n    ffn = swiglu")
    assert codes(text) == [("E101", 7)]


def test_a_brace_too_many_is_reported_where_it_stands() -> None:
    text = decoder(layers="2 * block {\n    attention = gqa { heads = 4 }\n    ffn = swiglu\n  }\n  }")
    assert codes(text) == [("E101", 11)]


def test_a_text_without_indentation_shows_the_outermost_brace() -> None:
    text = decoder("dropout = = 0.1").replace("  ", "").replace("heads = 4 }", "heads = 4")
    assert codes(text) == [("E101", 3), ("E101", 9)]


def test_a_file_that_is_extended_shows_its_faults_too(tmp_path) -> None:
    (tmp_path / "base.llm").write_text(decoder().replace("dim = 32", "dim 32"), encoding="utf-8")
    child = tmp_path / "child.llm"
    child.write_text('llm 1\nextends "base.llm"\nmodel { dropout = }\n', encoding="utf-8")
    assert [(each.code, each.span.source.name[-9:]) for each in faults(child)] == [
        ("E101", "/base.llm"),
        ("E101", "child.llm"),
    ]


def test_control_characters_hide_no_other_fault() -> None:
    assert codes(decoder("dropout = \u202e0.1\nposition = rope { theta }\nfoo = 3")) == [
        ("E103", 9),
        ("E101", 10),
        ("E305", 11),
    ]


def test_a_text_that_is_no_spec_is_given_up_after_a_hundred_faults() -> None:
    assert len(faults("llm 1\n" + "a = = 3\n" * 500)) == 100
