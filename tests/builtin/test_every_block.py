"""Every built-in has a place in a spec that is trained and that writes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from llm_build import Context, cache_folder, id_of, load, open_run, train
from llm_build.components import walk
from llm_build.registry import installed
from llm_build.resolve import resolve
from tests.processes import ROOT
from tests.small import TEXT, WORDS, small_tokenizer, write_texts

SPECS = sorted((ROOT / "tests" / "specs").glob("*.llm"))
RUN_BY_THE_README = ROOT / "specs" / "quickstart.llm"
BOOK = "*** START OF THE PROJECT GUTENBERG EBOOK {0} ***\n{1}\n*** END OF THE PROJECT GUTENBERG EBOOK {0} ***\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The specs beside what they name: texts, pairs, a tokenizer and a book that was downloaded before."""
    for spec in SPECS:
        shutil.copy(spec, tmp_path)
    write_texts(tmp_path / "texts")
    pairs = [f"{one} {other}\t{other} {one}\n" for one in WORDS for other in WORDS]
    (tmp_path / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")
    small_tokenizer().save(tmp_path / "tokenizer.json")
    book = cache_folder() / "gutenberg" / "pg84.txt"
    book.parent.mkdir(parents=True, exist_ok=True)
    book.write_text(BOOK.format("A TITLE", TEXT * 9), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_a_spec_is_trained_and_its_model_writes(spec: Path, folder: Path) -> None:
    trained = train(load(folder / spec.name), out=folder / "run", device="cpu")
    assert trained.outcome.steps == 3
    run = open_run(folder / "run", device="cpu")
    assert isinstance(run.generate("one two", seed=1), str)


def test_there_is_one_for_every_built_in(folder: Path) -> None:
    named: set[str] = set()
    for spec in [folder / each.name for each in SPECS] + [RUN_BY_THE_README]:
        filled: Any = resolve(load(spec), Context())
        named |= {id_of(each) for each in walk(filled)}
    registry = installed()
    there = {entry.id for entry in registry.entries() if entry.owner.distribution == "llm-build"}
    assert there - named == set()
