"""Runs of a model that reads a source: what is trained, measured, shown and written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import GenerationError, SpecError, load, open_run, source_tokens, train
from llm_build.cli import main
from tests.paired import paired_text, words, write_pairs


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    text = paired_text(write_pairs(folder / "pairs"), train="eval_every = 50%, samples = 2, sample_tokens = 4")
    return train(load(text), out=folder / "run", device="cpu", dtype="float64")


def place(result: Any) -> Path:
    folder: Path = result.run.directory.path
    return folder


def samples(result: Any) -> list[str]:
    return result.run.directory.samples.read_text(encoding="utf-8").splitlines()


def test_the_held_out_loss_is_that_of_the_targets(result: Any) -> None:
    run, nats, tokens = result.run, 0.0, 0
    for source in result.sources:
        memory = run.model.encode(torch.tensor([source_tokens(source, run.tokenizer)]))
        row = torch.tensor([run.tokenizer.eos, *run.tokenizer.encode(source[::-1]), run.tokenizer.eos])
        with torch.no_grad():
            logits = run.model(row[None, :-1], memory=memory)[0]
        nats += float(torch.nn.functional.cross_entropy(logits, row[1:], reduction="sum"))
        tokens += len(row) - 1
    held = result.outcome.held_out
    assert (held.nats, held.tokens) == (pytest.approx(nats / tokens, rel=1e-9), tokens)
    found = run.evaluate()
    assert (found.nats, found.documents) == (held.nats, len(result.sources))


def test_loss_and_held_out_loss_are_recorded(result: Any) -> None:
    lines = list(result.run.directory.records())
    assert [each["step"] for each in lines if "loss" in each] == [1, 2, 3, 4, 5, 6]
    assert [each["step"] for each in lines if "held_out_nats" in each] == [3, 6]
    assert all(math.isfinite(each["loss"]) for each in lines if "loss" in each)


def test_early_samples_read_held_out_sources(result: Any) -> None:
    shown = [line for line in samples(result) if " → " in line]
    assert len(shown) == 4
    sources = [line.split(" → ")[0] for line in shown]
    assert sources[:2] == sources[2:] == [result.sources[0], result.sources[len(result.sources) // 2]]


def test_generate_returns_what_is_written_alone(result: Any) -> None:
    texts = result.run.generate_batch(["abc", "defg"])
    assert result.run.generate("abc") == texts[0]
    assert not texts[0].startswith("abc")
    pieces = list(result.run.stream(["abc"]))
    assert "".join(each.text for each in pieces) == texts[0]
    assert result.run.shown(["abc", "defg"], texts) == [f"abc → {texts[0]}", f"defg → {texts[1]}"]
    assert open_run(place(result), device="cpu", dtype="float64").generate_batch(["abc", "defg"]) == texts


def test_a_source_longer_than_the_context_is_refused(result: Any) -> None:
    with pytest.raises(GenerationError, match="a source must fit into the model's context of 12 tokens"):
        result.run.generate("a" * 12)


def test_a_batch_of_pairs_in_parts_is_the_same_batch(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs")
    losses = []
    for parts in (1, 4):
        text = paired_text(pairs, train=f"accumulate = {parts}, samples = 0", length="epochs = 1, batch = 8")
        run = train(load(text), out=tmp_path / str(parts), device="cpu", dtype="float64").run
        losses.append([each["loss"] for each in run.directory.records() if "loss" in each])
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    assert len(losses[0]) == 4


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("tokens = 1k, batch = 4", "tokens counts tokens of windows as long as the context; pairs have lengths of"),
        ("steps = 4, batch_tokens = 64", "batch_tokens counts tokens of windows as long as the context; pairs"),
    ],
)
def test_lengths_in_tokens_are_refused_at_check(length: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(paired_text(length=length))
    assert message in str(caught.value)


def test_dropout_and_two_tables_train_too(tmp_path: Path) -> None:
    text = paired_text(write_pairs(tmp_path / "pairs"), dropout=0.1, shared=False, tie=False, train="samples = 1")
    result = train(load(text), out=tmp_path / "run", device="cpu", dtype="bfloat16")
    assert result.outcome.steps == 6


@pytest.mark.parametrize("prompt", ["", "a" * 12])
def test_a_prompt_that_is_no_source_is_refused_before_training(prompt: str, tmp_path: Path) -> None:
    text = paired_text(write_pairs(tmp_path / "pairs"))
    with pytest.raises(GenerationError, match="a prompt must hold from 1 to 11 tokens with a context of 12"):
        train(load(text), out=tmp_path / "run", device="cpu", prompts=[prompt])
    assert not (tmp_path / "run").exists()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(each) for each in arguments])
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return call


def test_run_shows_sources_with_what_is_written(tmp_path: Path, say: Any) -> None:
    spec = tmp_path / "a.llm"
    spec.write_text(paired_text(write_pairs(tmp_path / "pairs")), encoding="utf-8")
    code, out, err = say("run", spec, "--out", tmp_path / "run", "--samples", 3, "--device", "cpu")
    assert code == 0
    shown = [line for line in out.splitlines() if " → " in line]
    assert len({line.split(" → ")[0] for line in shown}) == len(shown) == 3
    assert all(line.split(" → ")[0] in words(40) for line in shown)
    kept = (tmp_path / "run" / "samples.txt").read_text(encoding="utf-8").splitlines()
    assert all(line in kept for line in shown)
    assert "step 6 writes: " in err
    assert " → " in err.split("step 6 writes: ")[1].splitlines()[0]
    code, out, _ = say("run", spec, "--out", tmp_path / "b", "--samples", 2, "--prompt", "abc", "--device", "cpu")
    assert (code, out.count("\nabc → ")) == (0, 2)


def test_generate_prints_what_is_written(result: Any, say: Any) -> None:
    run, options = result.run, ("--device", "cpu", "--dtype", "float64")
    one, two = run.generate("abc"), run.generate("defg")
    assert say("generate", place(result), "--prompt", "abc", "-q", *options) == (0, f"{one}\n", "")
    both = ("--prompt", "abc", "--prompt", "defg")
    assert say("generate", place(result), *both, "-q", *options) == (0, f"{one}\n{two}\n", "")
    code, out, _ = say("generate", place(result), *both, *options)
    assert (code, f"\nabc → {one}\n" in out, f"\ndefg → {two}\n" in out) == (0, True, True)


def test_generate_needs_a_source(result: Any, say: Any) -> None:
    code, out, err = say("generate", place(result), "--device", "cpu")
    assert (code, out) == (1, "")
    assert err.startswith("error: this model reads a source before it writes; an empty prompt arrived: give some text")
    stated = ("--set", 'generate.prompt="abc"', "-q", "--device", "cpu", "--dtype", "float64")
    assert say("generate", place(result), *stated) == (0, f"{result.run.generate('abc')}\n", "")


def test_eval_measures_pairs_and_refuses_plain_text(result: Any, say: Any, tmp_path: Path) -> None:
    (tmp_path / "more.tsv").write_text("abc\tcba\nad\tda\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("abc", encoding="utf-8")
    options = ("--device", "cpu", "--json", "-q")
    code, out, _ = say("eval", place(result), "--data", f'pairs {{ paths = ["{tmp_path}/more.tsv"] }}', *options)
    figures = json.loads(out)
    assert (code, figures["documents"], figures["tokens"], figures["bytes"]) == (0, 2, 7, 5)
    code, out, err = say("eval", place(result), "--data", f'files {{ paths = ["{tmp_path}/a.txt"] }}', *options)
    assert (code, out) == (1, "")
    assert "this model reads a source before it writes, so it learns from pairs; this data is plain text" in err


def test_init_goes_on_from_an_encoder_decoder(result: Any, tmp_path: Path) -> None:
    still = "optimizer = adamw { lr = 1e-30 }, schedule = none, samples = 0"
    text = paired_text(place(result).parent / "pairs", length="steps = 1, batch = 4", train=still)
    again = train(load(text), out=tmp_path / "run", init=place(result), device="cpu", dtype="float64")
    assert again.outcome.held_out == result.outcome.held_out
