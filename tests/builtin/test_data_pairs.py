"""Pairs: one a line, as they stand, and pairs with the same source on one side."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, DataError, Document, Share, Silence, SpecError, is_paired, load, train
from llm_build_plugins import data
from llm_build_plugins.data._shared import split
from tests.laws import law

SPEC = """llm 1
let enc = block {{ norm = layer, attention = mha {{ heads = 2, mask = full }}, ffn = mlp {{ hidden = 8 }} }}
let dec = enc {{
  attention {{ mask = causal }}
  cross = mha {{ heads = 2 }}
}}
tokenizer = wordpiece {{ vocab = 40 }}
model = encoder_decoder {{
  dim = 8
  context = 16
  embedding = token {{ shared = true }}
  position = sinusoidal
  encoder = stack {{ layers = 1 * enc }}
  decoder = stack {{ layers = 1 * dec }}
  head = linear
}}
data = pairs {{ paths = ["{file}"], held_out = 20% }}
train = pretrain {{ steps = 2, batch = 4, samples = 0 }}
"""

PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "yy", "z" * 30])), min_size=2, max_size=20)


def documents(pairs: list[tuple[str, str]]) -> list[Document]:
    return [Document(f"t.tsv:{line}", target, source=source) for line, (source, target) in enumerate(pairs, start=1)]


def config(*paths: Path, **options: Any) -> Any:
    return data.pairs(paths=[str(each) for each in paths], **options)


def read(*paths: Path) -> list[Document]:
    """All documents of the files, by their names."""
    training, held_out = config(*paths).build(Context()).split(Silence())
    assert training
    assert held_out
    return sorted([*training, *held_out], key=lambda each: each.name)


@law
@given(PAIRS, st.integers(1, 99), st.integers(0, 3))
def test_pairs_with_the_same_source_stay_on_one_side(pairs: list[tuple[str, str]], percent: int, seed: int) -> None:
    if len({source for source, _ in pairs}) == 1:
        return
    training, held_out = split(documents(pairs), Share.percent(percent), seed)
    assert training
    assert held_out
    assert not {each.source for each in training} & {each.source for each in held_out}
    assert sorted(each.name for each in [*training, *held_out]) == sorted(each.name for each in documents(pairs))


def test_pairs_of_one_source_alone_cannot_be_split() -> None:
    with pytest.raises(DataError, match=r"two different sources at least, .* that of t\.tsv:1"):
        split(documents([("a", "x"), ("a", "y")]), Share.percent(50), 0)


def test_many_pairs_are_split_in_little_time() -> None:
    """A million of them take seconds; what looks through all that is held out for each further one takes hours."""
    many = documents([(f"source {number}", "target") for number in range(50_000)])
    begin = time.perf_counter()
    _, held_out = split(many, Share.percent(50), 0)
    assert time.perf_counter() - begin < 10
    assert abs(len(held_out) - 25_000) < 100


def test_a_line_is_a_source_a_tab_and_a_target(tmp_path: Path) -> None:
    file = tmp_path / "train.tsv"
    file.write_bytes("\ufeffa b\tc d\r\n\r\nsag \"ja\"\tJa,\u2028 'so' \n\n  é\tè\n".encode())
    assert read(file) == [
        Document(f"{file}:1", "c d", source="a b"),
        Document(f"{file}:3", "Ja,\u2028 'so' ", source='sag "ja"'),
        Document(f"{file}:5", "è", source="  é"),
    ]


def test_files_are_found_by_globs_and_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n")
    (tmp_path / "b.tsv").write_text("c\td")
    found = read(tmp_path / "*.tsv", tmp_path / "a.tsv")
    assert [(each.source, each.text) for each in found] == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no tab", "must hold a source, one tab and a target; it has no tab: 'no tab'"),
        ("a\tb\tc", "must hold a source, one tab and a target; it has 2 tabs: 'a\\tb\\tc'"),
        ("\ttarget", "must hold a source and a target; its source is empty"),
        ("source\t \r", "must hold a source and a target; its target is empty"),
        (" ", "it has no tab"),
        ("x" * 500, f"it has no tab: '{'x' * 60}…'"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, expected: str) -> None:
    file = tmp_path / "train.tsv"
    file.write_bytes(f"a\tb\n\n{line}\nc\td\n".encode())
    with pytest.raises(DataError) as caught:
        config(file).build(Context()).split(Silence())
    assert str(caught.value).startswith(f"{file}:3 ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\n\n", r"training needs pairs; .*/train\.tsv is empty"),
        (b"a\t\xff\n", r"train\.tsv must be UTF-8 text; byte 2 is 0xff"),
    ],
)
def test_files_without_pairs_are_named(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "train.tsv").write_bytes(content)
    with pytest.raises(DataError, match=expected):
        config(tmp_path / "train.tsv").build(Context()).split(Silence())


def test_a_folder_gets_help(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'write ".*/\*\*/\*\.tsv"'):
        config(tmp_path).build(Context()).split(Silence())


def test_a_spec_knows_that_they_are_pairs() -> None:
    assert is_paired(data.pairs(paths=["a.tsv"]))
    assert not is_paired(data.files(paths=["a.txt"]))


def test_one_side_must_not_be_empty() -> None:
    with pytest.raises(SpecError, match="held_out must lie between 0% and 100%"):
        data.pairs(paths=["a.tsv"], held_out=Share.percent(0)).build(Context())


def test_a_spec_with_pairs_trains(tmp_path: Path) -> None:
    file = tmp_path / "train.tsv"
    words = [f"{first}{second}" for first in "abcd" for second in "efgh"]
    file.write_text("".join(f"{word} {word[0]}\t{word[::-1]}\n" for word in words), encoding="utf-8")
    result = train(load(SPEC.format(file=file)), out=tmp_path / "run", device="cpu")
    assert result.outcome.steps == 2
    assert result.outcome.held_out.whole
