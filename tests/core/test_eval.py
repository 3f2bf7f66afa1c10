"""`eval`: the figures are those of the model's own logits and those of training, and bad input is named."""

from __future__ import annotations

import json
import lzma
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import DataError, GenerationError, Progress, Silence, load, open_run, save_weights, train
from llm_build.cli import main
from llm_build.run import Evaluation
from llm_build_plugins import data
from tests.runs import seal
from tests.small import spec_text, write_texts

WORDS = ["one two three\nfour é 🙂 five six\n", "six five four three two one, and a few words more\n"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    write_texts(folder / "texts")
    other = folder / "other"
    other.mkdir()
    for name, text in zip("ab", WORDS, strict=True):
        (other / f"{name}.txt").write_text(text, encoding="utf-8")
    text = spec_text(folder / "texts", dropout=0.1)
    return train(load(text), out=folder / "run", device="cpu", dtype="float64")


def place(result: Any) -> Path:
    folder: Path = result.run.directory.path
    return folder


def other(result: Any) -> str:
    return f'files {{ paths = ["{place(result).parent}/other/*.txt"] }}'


def files(result: Any) -> Any:
    return data.files(paths=[f"{place(result).parent}/other/*.txt"])


def by_hand(run: Any, texts: list[str]) -> tuple[float, int]:
    """Nats in all and tokens, from one logit at a time: each token after what stands before it in its window."""
    eos = run.tokenizer.eos
    stream = [eos, *(token for text in texts for token in [*run.tokenizer.encode(text), eos])]
    nats, context = 0.0, run.model.context
    with torch.no_grad():
        for place in range(1, len(stream)):
            start = (place - 1) // context * context
            logits = run.model(torch.tensor([stream[start:place]]))[0, -1]
            nats -= float(logits.log_softmax(-1)[stream[place]])
    return nats, len(stream) - 1


def test_the_figures_are_those_of_the_models_logits(result: Any) -> None:
    found = result.run.evaluate(files(result))
    nats, tokens = by_hand(result.run, WORDS)
    size = sum(len(text.encode()) for text in WORDS)
    assert isinstance(found, Evaluation)
    assert found.nats == pytest.approx(nats / tokens, rel=1e-9)
    assert (found.tokens, found.size, found.documents) == (tokens, size, 2)
    assert found.bits == pytest.approx(nats / size / math.log(2))
    assert found.perplexity == pytest.approx(math.exp(nats / tokens))
    assert found.xz_bits == 8 * len(lzma.compress("".join(WORDS).encode(), preset=9)) / size
    assert (found.data, found.held_out) == ("files", False)


@pytest.mark.parametrize("text", ["one two three\nfour five\nsix\n", "one\none\n", "x"])
def test_a_single_file_is_measured_whole(text: str, result: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    found = result.run.evaluate(data.files(paths=[str(tmp_path / "a.txt")]))
    nats, tokens = by_hand(result.run, [text])
    assert (found.nats, found.tokens, found.documents) == (pytest.approx(nats / tokens, rel=1e-9), tokens, 1)


def test_a_mixture_is_measured_part_by_part_once(result: Any) -> None:
    part = files(result)
    found = result.run.evaluate(data.mixture(of=[part, part], weights=[1, 3]))
    assert (found.documents, found.nats) == (4, pytest.approx(by_hand(result.run, WORDS * 2)[0] / found.tokens))


def test_without_data_it_measures_what_training_held_out(result: Any) -> None:
    for run in (result.run, open_run(place(result), device="cpu", dtype="float64")):
        found = run.evaluate()
        assert (found.nats, found.bits) == (result.outcome.held_out.nats, result.outcome.held_out.bits)
        assert (found.tokens, found.held_out) == (result.outcome.held_out.tokens, True)
        assert found.xz_bits == result.xz_bits
    (kept,) = (each for each in result.run.directory.records() if "final_held_out_nats" in each)
    assert kept["final_held_out_nats"] == found.nats


def test_narrow_products_leave_the_figures_as_training_had_them(tmp_path: Path) -> None:
    config = load(spec_text(write_texts(tmp_path / "texts"), length="steps = 2, batch = 2"))
    held = train(config, out=tmp_path / "run", device="cpu", dtype="bfloat16").outcome.held_out
    wide = open_run(tmp_path / "run", device="cpu", dtype="bfloat16", narrow=False)
    assert wide.evaluate().nats == held.nats
    assert {each.dtype for each in wide.model.parameters()} == {torch.float32}
    narrow = open_run(tmp_path / "run", device="cpu", dtype="bfloat16")
    assert {each.dtype for each in narrow.model.parameters()} == {torch.bfloat16}


def test_quantised_weights_are_measured_when_asked_for(result: Any, capsys: Any) -> None:
    figures = []
    for words in ((), ("--quantizer", "int8"), ("--set", "generate.quantizer=int8")):
        assert say("eval", place(result), "--json", "-q", "--device", "cpu", "--dtype", "float64", *words) == 0
        figures.append(json.loads(capsys.readouterr().out))
    as_trained, quantised, named = (each["bits"] for each in figures)
    assert quantised != as_trained
    assert quantised == pytest.approx(as_trained, rel=0.01)
    assert named == as_trained


def test_a_run_without_a_quantiser_says_so(result: Any) -> None:
    with pytest.raises(GenerationError, match=r"quantises nothing: --set generate\.quantizer=int8"):
        result.run.quantised()


def test_the_whole_of_the_runs_own_data_can_be_measured(result: Any) -> None:
    config = load(result.run.directory.spec).data
    texts = [each.read_text(encoding="utf-8") for each in sorted((place(result).parent / "texts").iterdir())]
    found = result.run.evaluate(config)
    assert found.documents == len(texts)
    assert found.size == sum(len(each) for each in texts)
    assert found.tokens > 3 * result.outcome.held_out.tokens


def test_data_without_text_or_without_a_name_is_named(result: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing matches"):
        result.run.evaluate(data.files(paths=[str(tmp_path / "none.txt")]))
    spec = "\n".join(line for line in spec_text().splitlines() if not line.startswith("data"))
    opened = open_run(place(result), device="cpu", config=load(spec))
    with pytest.raises(DataError, match="measuring needs text, and the spec names no `data`"):
        opened.evaluate()


class Watcher(Silence):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.counts: list[tuple[int, int]] = []
        self.ended = 0

    def count(self, what: str, done: int, total: int) -> None:
        self.counts.append((done, total))

    def end(self) -> None:
        self.ended += 1


def test_it_tells_how_far_it_is(result: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("llm_build.run.held_out.TOKENS_AT_ONCE", 64)
    progress: Progress = (watcher := Watcher())
    found = result.run.evaluate(progress=progress)
    done = [each for each, _ in watcher.counts]
    assert len(done) > 2
    assert done == sorted(set(done))
    assert watcher.counts[-1] == (found.tokens, found.tokens)
    with pytest.raises(DataError):
        result.run.evaluate(data.files(paths=[str(tmp_path / "none.txt")]), progress=progress)
    assert watcher.ended == 2


def say(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return int(left.value.code or 0)


def test_the_verb_says_what_training_said(result: Any, capsys: Any) -> None:
    held = result.outcome.held_out
    assert say("eval", place(result), "--device", "cpu", "--dtype", "float64") == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first == (
        f"held out: {held.bits:.3f} bits a byte, {held.nats:.3f} nats a token, perplexity {math.exp(held.nats):.2f}; "
        f"xz on the same bytes: {result.xz_bits:.3f} bits a byte"
    )
    assert second.startswith(f"over all {held.tokens:_} tokens (")
    assert second.endswith("that the run's data, files, holds out")
    assert said.err == f"tokens measured: {held.tokens:_} of {held.tokens:_}\n"


def test_the_verb_measures_other_data(result: Any, capsys: Any) -> None:
    options = ("--device", "cpu", "--dtype", "float64", "-q")
    assert say("eval", place(result), "--data", other(result), "--json", *options) == 0
    said = capsys.readouterr()
    figures = json.loads(said.out)
    found = result.run.evaluate(files(result))
    assert figures == {
        "run": str(place(result)),
        "data": "files",
        "held_out": False,
        "nats": found.nats,
        "bits": found.bits,
        "perplexity": found.perplexity,
        "xz_bits": found.xz_bits,
        "tokens": found.tokens,
        "bytes": found.size,
        "documents": 2,
    }
    assert said.err == ""
    assert say("eval", place(result), "--data", other(result), *options) == 0
    assert f"({found.size} bytes, 2 documents) of this data, held out or not" in capsys.readouterr().out


def test_set_changes_what_is_held_out(result: Any, capsys: Any) -> None:
    options = ("--json", "-q", "--device", "cpu")
    figures = []
    for share in ("20%", "60%"):
        assert say("eval", place(result), "--set", f"data.held_out={share}", *options) == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[1]["tokens"] > 2 * figures[0]["tokens"]
    assert figures[1]["held_out"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", 'files { paths = ["none.txt"] }'], "error: `paths` must name files that exist; nothing matches "),
        (["--data", "files { path = 1 }"], "error[E305]: files has no field `path`"),
        (["--data", "greedy"], "this field takes a component of slot data; `greedy` is one of slot sampler"),
        (["--data", "files {"], "error"),
        (["--quantizer", "greedy"], "this field takes a component of slot quantizer; `greedy` is one of slot sampler"),
        (["--set", "generate=none", "--quantizer", "int8"], "error"),
        (["--data", 'pairs { paths = ["none.tsv"] }'], "pairs need a model that reads a source before it writes"),
        (["--set", "data=none"], "error: measuring needs text, and the spec names no `data`"),
        (["--set", "model.layers[0].ffn.hidden=8"], "must hold the weights of this model: other shapes or kinds"),
    ],
)
def test_what_cannot_be_measured_is_named(options: list[str], message: str, result: Any, capsys: Any) -> None:
    assert say("eval", place(result), "--device", "cpu", *options) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_a_missing_run_is_named(tmp_path: Path, capsys: Any) -> None:
    assert say("eval", tmp_path / "none") == 1
    assert f"a run directory must exist; there is none at {tmp_path}/none" in capsys.readouterr().err
    (tmp_path / "spec.llm").write_text(spec_text(), encoding="utf-8")
    assert say("eval", tmp_path) == 1
    assert "has no checkpoint: its training ended before the first was kept" in capsys.readouterr().err


def test_figures_that_are_not_finite_are_null_in_json(result: Any, tmp_path: Path, capsys: Any) -> None:
    copy = Path(shutil.copytree(place(result), tmp_path / "run"))
    opened = open_run(place(result), device="cpu", dtype="float64")
    with torch.no_grad():
        next(opened.model.parameters()).fill_(float("nan"))
    checkpoint = copy / "checkpoints" / opened.directory.checkpoints.take().path.name
    save_weights(opened.model, checkpoint / "model.safetensors")
    seal(checkpoint)
    assert say("eval", copy, "--json", "--device", "cpu", "-q") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [figures[each] for each in ("nats", "bits", "perplexity")] == [None] * 3


def test_a_perplexity_that_no_float_holds_is_infinite() -> None:
    found = Evaluation(nats=1_000.0, bits=1.0, xz_bits=1.0, tokens=1, size=1, documents=1, data="files", held_out=False)
    assert found.perplexity == math.inf
