"""Training that starts from another run: its weights, its tokenizer, and what is refused before anything is written."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import RunError, load, open_run, train
from llm_build.cli import main
from tests.small import spec_text, write_texts

ONE_STEP = "steps = 1, batch = 4"
STILL = {"length": ONE_STEP, "lr": "1e-30", "train": "schedule = none, samples = 0"}
"""A step so small that no weight changes."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that learned something, in float64."""
    folder = tmp_path_factory.mktemp("first")
    text = spec_text(write_texts(folder / "texts"), length="steps = 20, batch = 8", train="samples = 0")
    return train(load(text), out=folder / "run", device="cpu", dtype="float64")


@pytest.fixture
def texts(first: Any) -> Path:
    place: Path = first.run.directory.path.parent / "texts"
    return place


def started(first: Any, out: Path, text: str, **options: Any) -> Any:
    return train(load(text), out=out, init=first.run.directory.path, device="cpu", dtype="float64", **options)


def test_it_starts_from_the_weights_of_the_run(first: Any, texts: Path, tmp_path: Path) -> None:
    again = started(first, tmp_path / "run", spec_text(texts, **STILL), seed=5)
    assert all(map(torch.equal, again.run.model.parameters(), first.run.model.parameters()))
    assert again.outcome.held_out == first.outcome.held_out
    fresh = train(load(spec_text(texts, **STILL)), out=tmp_path / "fresh", device="cpu", dtype="float64")
    assert fresh.outcome.held_out.nats > first.outcome.held_out.nats + 0.5


def test_it_starts_from_the_checkpoint_that_is_named(texts: Path, tmp_path: Path) -> None:
    spread = spec_text(texts, length="steps = 2, batch = 4", train="schedule = none, samples = 0, eval_every = 1")
    train(load(spread), out=tmp_path / "two", device="cpu", dtype="float64")
    for name in ("step-000001", "step-000002"):
        origin = tmp_path / "two" / "checkpoints" / name
        again = train(load(spec_text(texts, **STILL)), out=tmp_path / name, init=origin, device="cpu", dtype="float64")
        there = open_run(tmp_path / "two", checkpoint=name, device="cpu", dtype="float64")
        assert all(map(torch.equal, again.run.model.parameters(), there.model.parameters()))
        assert again.run.directory.versions.read_text(encoding="utf-8").count(str(origin)) == 1


def test_it_goes_on_learning(first: Any, texts: Path, tmp_path: Path) -> None:
    again = started(first, tmp_path / "run", spec_text(texts, length="steps = 20, batch = 8", train="samples = 0"))
    assert again.outcome.held_out.nats < first.outcome.held_out.nats
    assert not all(map(torch.equal, again.run.model.parameters(), first.run.model.parameters()))


def test_the_tokenizer_is_that_of_the_run_on_other_text_too(first: Any, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("a", "b"):
        text = f"{name}: quite different words, bewilderingly different words\n" * 20
        (tmp_path / "texts" / f"{name}.txt").write_text(text, encoding="utf-8")
    text = spec_text(tmp_path / "texts", **STILL)
    again = started(first, tmp_path / "run", text)
    before = first.run.directory.tokenizer.read_bytes()
    assert again.run.directory.tokenizer.read_bytes() == before
    fresh = train(load(text), out=tmp_path / "fresh", device="cpu")
    assert fresh.run.directory.tokenizer.read_bytes() != before


def test_the_run_records_where_it_started(first: Any, texts: Path, tmp_path: Path) -> None:
    again = started(first, tmp_path / "run", spec_text(texts, **STILL))
    found = json.loads(again.run.directory.versions.read_text(encoding="utf-8"))["init"]
    checkpoint = first.run.directory.checkpoints.take()
    weights = sha256(checkpoint.weights.read_bytes()).hexdigest()
    assert found == {"checkpoint": str(checkpoint.path), "weights": weights}
    assert json.loads(first.run.directory.versions.read_text(encoding="utf-8"))["init"] is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden = 32", "hidden = 24", "must hold the weights of this model: other shapes or kinds: layers.0.ffn"),
        ("2 * block", "3 * block", "must hold the weights of this model: it lacks layers.2."),
        ("2 * block", "1 * block", "must hold the weights of this model: the model has no layers.1."),
        (
            "bpe { vocab = 300 }",
            "bpe { vocab = 301 }",
            "the spec has another one: tokenizer.vocab is 301, not 300: write it as",
        ),
    ],
)
def test_another_model_is_refused_before_anything_is_written(
    first: Any, texts: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(RunError) as caught:
        started(first, tmp_path / "run", spec_text(texts, **STILL).replace(old, new))
    assert message in str(caught.value)
    assert str(first.run.directory.path) in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_another_model_is_refused_before_the_data_is_read(first: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must hold the weights of this model"):
        started(first, tmp_path / "run", spec_text(tmp_path / "none", **STILL).replace("hidden = 32", "hidden = 24"))


def test_a_tokenizer_of_another_kind_is_refused(first: Any, texts: Path, tmp_path: Path) -> None:
    named = f'pretrained {{ file = "{first.run.directory.tokenizer}" }}'
    text = spec_text(texts, **STILL).replace("dim = 16", "dim = 16, vocab = 300").replace("bpe { vocab = 300 }", named)
    with pytest.raises(RunError, match="the spec has another one: tokenizer is pretrained, not bpe: write it as in "):
        started(first, tmp_path / "run", text)


def test_what_is_only_written_differently_is_the_same_tokenizer(first: Any, texts: Path, tmp_path: Path) -> None:
    text = spec_text(texts, **STILL).replace("vocab = 300", "vocab = 300, prefix_space = false")
    assert started(first, tmp_path / "run", text).outcome.held_out == first.outcome.held_out


def say(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return int(left.value.code or 0)


@pytest.mark.parametrize("verb", ["train", "run"])
def test_the_verbs_take_init(verb: str, first: Any, texts: Path, tmp_path: Path, capsys: Any) -> None:
    spec = tmp_path / "a.llm"
    spec.write_text(spec_text(texts, **STILL), encoding="utf-8")
    options = ("--init", first.run.directory.path, "--out", tmp_path / "out", "-q", "--dtype", "float64")
    assert say(verb, spec, *options, "--device", "cpu") == 0
    assert f"{first.outcome.held_out.nats:.3f} nats a token" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("none", "a run directory must exist; there is none at "),
        ("texts", "is no run directory: it has no spec.llm"),
        ("a.llm", "a run directory must exist; there is none at "),
        ("bare", "has no checkpoint: its training ended before the first was kept"),
        ("bare/checkpoints/step-000001", "has no checkpoint: its training ended before the first was kept"),
    ],
)
def test_what_is_no_run_is_named(init: str, message: str, tmp_path: Path, capsys: Any) -> None:
    spec = tmp_path / "a.llm"
    spec.write_text(spec_text(write_texts(tmp_path / "texts")), encoding="utf-8")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "spec.llm").write_text(spec_text(), encoding="utf-8")
    assert say("train", spec, "--init", tmp_path / init, "--out", tmp_path / "out", "--device", "cpu") == 1
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, (tmp_path / "out").exists()) == ("", False)
