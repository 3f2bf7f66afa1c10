"""Mixtures as a spec states them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from llm_build import Context, Share, Silence, SpecError, is_paired, load, train
from llm_build.resolve import resolve
from llm_build_plugins import data
from tests.small import spec_text

FILES, PAIRS = data.files(paths=["a.txt"]), data.pairs(paths=["a.tsv"])


def spec(parts: str) -> str:
    return spec_text(length="steps = 2, batch = 4").replace('files { paths = ["./*.txt"], held_out = 20% }', parts)


def test_a_part_is_drawn_from_by_its_weight() -> None:
    made = data.mixture(of=[FILES, FILES], weights=[0.1, 3]).build(Context())
    assert made.weights == [Fraction(1, 10), 3]
    assert data.mixture(of=[FILES, FILES]).build(Context()).weights == [1, 1]


def test_its_own_split_gives_what_its_parts_give(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text(f"{name}\n" * 9, encoding="utf-8")
    halves = [data.files(paths=[f"{tmp_path}/{names}.txt"], held_out=Share.percent(50)) for names in ("[ab]", "[cd]")]
    training, held_out = data.mixture(of=halves).build(Context()).split(Silence())
    assert (len(training), len(held_out)) == (2, 2)
    assert {each.text[0] for each in (*training, *held_out)} == set("abcd")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [([FILES, FILES], False), ([PAIRS, PAIRS], True), ([PAIRS, data.mixture(of=[PAIRS])], True)],
)
def test_it_is_pairs_where_its_parts_are(parts: list[Any], expected: bool) -> None:
    assert is_paired(data.mixture(of=parts)) is expected
    data.mixture(of=parts).build(Context())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"of": [FILES, PAIRS]}, "a mixture is of plain text or of pairs; of[1] is pairs, of[0] is not"),
        ({"of": [PAIRS, data.mixture(of=[FILES])]}, "of[0] is pairs, of[1] is not"),
        ({"of": [FILES, FILES], "weights": [1]}, "one number for each of the 2 parts; 1 arrived"),
        ({"of": [FILES], "weights": [1, 1]}, "one number for each of the 1 parts; 2 arrived"),
        ({"of": [FILES, FILES], "weights": [1, 0]}, "has an element [1] that takes a number above 0; 0 arrived"),
        ({"of": []}, "takes from 1 to"),
    ],
)
def test_faulty_configs_are_refused(options: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        data.mixture(**options).build(Context())
    assert expected in str(caught.value)


def test_a_fault_inside_a_part_is_the_only_one() -> None:
    with pytest.raises(SpecError) as caught:
        load(spec('mixture { of = [files { paths = [] }, pairs { paths = ["a.tsv"] }] }'))
    assert len(caught.value.diagnostics) == 1
    assert "at least 1" in str(caught.value)


def test_pairs_in_a_mixture_need_a_model_that_reads_a_source() -> None:
    with pytest.raises(SpecError, match="pairs need a model that reads a source"):
        load(spec('mixture { of = [pairs { paths = ["a.tsv"] }, pairs { paths = ["b.tsv"] }] }'))


def test_a_spec_with_a_mixture_of_books_and_files_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BUILD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "gutenberg").mkdir(parents=True)
    lines = "\n".join(f"line {number} of a book" for number in range(60))
    book = f"*** START OF THE PROJECT GUTENBERG EBOOK A ***\n{lines}\n*** END OF THE PROJECT GUTENBERG EBOOK A ***\n"
    (tmp_path / "cache" / "gutenberg" / "pg84.txt").write_text(book, encoding="utf-8")
    (tmp_path / "a.txt").write_text("".join(f"another text, {number}\n" for number in range(60)), encoding="utf-8")
    text = spec(
        f'mixture {{ of = [gutenberg {{ books = [84], held_out = 20% }}, files {{ paths = ["{tmp_path}/a.txt"] }}], '
        "weights = [3, 1] }"
    )
    filled: Any = resolve(load(text), Context())
    assert filled.data.weights == (3.0, 1.0)
    result = train(load(text), out=tmp_path / "run", device="cpu")
    assert result.outcome.steps == 2
    assert load((tmp_path / "run" / "spec.llm").read_text(encoding="utf-8")).data == load(text).data
