"""Data: documents are split before anything else, without leakage, and bad data is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, DataError, Document, Share, Silence, SpecError
from llm_build_plugins import data
from llm_build_plugins.data._shared import split
from tests.laws import law

TEXTS = st.lists(st.sampled_from(["a", "b\n", "cc\ncc\n", "d" * 40, "é\n" * 9, "f\n" * 3]), min_size=1, max_size=12)
SHARES = st.integers(1, 99).map(Share.percent)


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(f"{number}.txt", text) for number, text in enumerate(texts)]


@law
@given(TEXTS, SHARES, st.integers(0, 3))
def test_split_keeps_every_document_whole_and_on_one_side(texts: list[str], held_out: Share, seed: int) -> None:
    if len(set(texts)) == 1:
        return
    training, held = split(documents(texts), held_out, seed)
    assert training
    assert held
    assert not {each.text for each in training} & {each.text for each in held}
    assert sorted([*training, *held], key=lambda each: each.name) == sorted(
        documents(texts), key=lambda each: each.name
    )


@law
@given(TEXTS, SHARES, st.integers(0, 3), st.randoms())
def test_split_does_not_depend_on_order_or_names(texts: list[str], held_out: Share, seed: int, random: object) -> None:
    if len(set(texts)) == 1:
        return
    other = [Document(f"other/{number}", text) for number, text in enumerate(reversed(texts))]
    first, second = split(documents(texts), held_out, seed)[1], split(other, held_out, seed)[1]
    assert sorted(each.text for each in first) == sorted(each.text for each in second)


def test_split_holds_out_about_the_share() -> None:
    many = documents([f"text number {number:04}" for number in range(1_000)])
    assert len(split(many, Share.percent(7), 0)[1]) == 70


def test_split_changes_with_the_seed() -> None:
    many = documents([f"text number {number:04}" for number in range(100)])
    assert split(many, Share.percent(10), 0)[1] != split(many, Share.percent(10), 1)[1]


@law
@given(st.text(min_size=2), SHARES)
def test_a_single_document_is_cut_in_two(text: str, held_out: Share) -> None:
    try:
        training, held = split([Document("only", text)], held_out, 0)
    except DataError:
        assert len(text) < 100
        return
    assert training[0].text + held[0].text == text
    assert training[0].text
    assert held[0].text


@pytest.mark.parametrize(
    "text", ["A title\n" + "word " * 200, "\n" + "x" * 1_000, f"{0:550}\n{1:450}", "".join(map(str, range(400)))]
)
@pytest.mark.parametrize("percent", [5, 50, 95])
def test_a_document_without_lines_is_cut_near_the_share(text: str, percent: int) -> None:
    training, held = split([Document("only", text)], Share.percent(percent), 0)
    assert len(held[0].text) <= 2 * percent / 100 * len(text)
    assert len(training[0].text) >= (1 - percent / 100) / 2 * len(text) - 1


def test_a_document_is_cut_at_the_end_of_a_line() -> None:
    _, held = split([Document("only", "".join(f"line {number:03}\n" for number in range(197)))], Share.percent(5), 0)
    assert held[0].text.startswith("line 187\n")


def test_files_are_read_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("eins\r\nzwei é\n".encode())
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes(b"three")
    (tmp_path / "empty.txt").touch()
    files = data.files(paths=(f"{tmp_path}/**/*.txt", f"{tmp_path}/a.txt")).build(Context())
    training, held = files.split(Silence())
    assert {each.text for each in [*training, *held]} == {"eins\r\nzwei é\n", "three"}
    assert len([*training, *held]) == 2


def message(*paths: object) -> str:
    with pytest.raises(DataError) as caught:
        data.files(paths=tuple(str(each) for each in paths)).build(Context()).split(Silence())
    return str(caught.value)


def test_files_that_do_not_exist_are_named(tmp_path: Path) -> None:
    found = message(tmp_path / "none*.txt")
    assert found == f"`paths` must name files that exist; nothing matches {tmp_path}/none*.txt"


def test_a_folder_gets_help(tmp_path: Path) -> None:
    assert f'write "{tmp_path}/**/*.txt"' in message(tmp_path)


def test_empty_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert f"training needs text; {tmp_path}/a.txt is empty" in message(tmp_path / "a.txt")


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc\xff")
    assert f"{tmp_path}/a.txt must be UTF-8 text; byte 3 is 0xff" in message(tmp_path / "a.txt")


@pytest.mark.parametrize("share", [0, 100])
def test_one_side_must_not_be_empty(share: int) -> None:
    with pytest.raises(SpecError, match="held_out must lie between 0% and 100%"):
        data.python_stdlib(held_out=Share.percent(share)).build(Context())


def test_the_standard_library_comes_without_tests_and_tables() -> None:
    training, held = data.python_stdlib().build(Context()).split(Silence())
    names = {each.name for each in [*training, *held]}
    assert {"argparse.py", "json/decoder.py", "asyncio/events.py"} <= names
    folders = {part for name in names for part in Path(name).parts[:-1]}
    assert not folders & {"test", "tests", "idle_test", "encodings", "pydoc_data", "lib2to3", "site-packages"}
    size = sum(len(each.text) for each in training)
    assert size > 5_000_000
    assert 0.03 < sum(len(each.text) for each in held) / size < 0.08


def read(*paths: Path | str) -> set[str]:
    """The names of all documents that files of these paths give."""
    made = data.files(paths=[str(each) for each in paths], held_out=Share.percent(50)).build(Context())
    training, held_out = made.split(Silence())
    return {Path(each.name).name for each in (*training, *held_out)}


def test_a_file_is_found_whatever_its_name_holds(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("three\nfour\n", encoding="utf-8")
    assert read(tmp_path / "a[1].txt", tmp_path / "b.txt") == {"a[1].txt", "b.txt"}


def test_a_link_to_a_folder_above_brings_nothing_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n", encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    made = data.files(paths=[f"{tmp_path}/**/*.txt"], held_out=Share.percent(50)).build(Context())
    training, held_out = made.split(Silence())
    assert len(training) + len(held_out) == 2
