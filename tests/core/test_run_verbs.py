"""The verbs that compute, as a person calls them: what they print, and what they say of bad input."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from llm_build import Stopped
from llm_build.cli import main
from tests.small import spec_text, write_texts

Said = tuple[int, str, str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    """Call a verb → exit code, stdout, stderr."""

    def call(*arguments: object) -> Said:
        with pytest.raises(SystemExit) as left:
            main([str(each) for each in arguments])
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return call


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "small.llm"
    file.write_text(spec_text(write_texts(tmp_path / "texts")), encoding="utf-8")
    return file


def test_run_trains_and_shows_what_the_model_writes(spec: Path, tmp_path: Path, say: Any) -> None:
    code, out, err = say("run", spec, "--out", tmp_path / "out", "--prompt", "one", "--samples", 3, "--device", "cpu")
    assert code == 0
    assert "held out: " in out
    assert "bits a byte" in out
    assert "xz on the same bytes: " in out
    assert f"loss curve: {tmp_path}/out/loss.png" in out
    assert [f"sample {n} of 3" in out for n in (1, 2, 3)] == [True] * 3
    assert "\none" in out
    assert "step 6/6  loss " in err
    assert "tokens/s" in err
    samples = (tmp_path / "out" / "samples.txt").read_text(encoding="utf-8")
    assert samples.count("\none") == 3


def test_runs_get_a_name_of_their_own(spec: Path, tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        code, out, err = say("train", spec, "-q", "--set", "train.steps=3")
        assert (code, err) == (0, "")
        assert out.endswith(f"run: runs/small-{number}\n")
    assert (tmp_path / "runs/small-1/source.llm").read_text(encoding="utf-8") == spec.read_text(encoding="utf-8")
    assert "steps     = 3\n" in (tmp_path / "runs/small-1/spec.llm").read_text(encoding="utf-8")


def test_generate_writes_from_a_run(spec: Path, tmp_path: Path, say: Any) -> None:
    say("train", spec, "--out", tmp_path / "out", "-q")
    code, first, _ = say("generate", tmp_path / "out", "--prompt", "one two", "--device", "cpu")
    assert code == 0
    assert first.startswith("one two")
    _, both, _ = say("generate", tmp_path / "out", "--prompt", "one two", "--prompt", "three", "-q", "--device", "cpu")
    assert both.startswith(first)
    code, _, err = say("generate", tmp_path / "out", "--prompt", "one " * 30)
    assert code == 1
    assert err.startswith("error: a prompt must fit into the model's context of 16 tokens; ")
    change = ("--set", "generate.sampler=temperature { temperature = 50 }", "--max-new", 3)
    assert say("generate", tmp_path / "out", "--prompt", "one two", *change)[0] == 0


def fault(said: Said, expected: str) -> None:
    code, out, err = said
    assert code == 1
    assert out == ""
    assert expected in err
    assert "Traceback" not in err


def test_data_that_does_not_exist(tmp_path: Path, say: Any) -> None:
    file = tmp_path / "a.llm"
    file.write_text(spec_text("nowhere"), encoding="utf-8")
    fault(say("run", file, "--out", tmp_path / "out"), "error: `paths` must name files that exist; nothing matches ")


def test_data_that_is_empty(tmp_path: Path, say: Any) -> None:
    (tmp_path / "a.txt").touch()
    file = tmp_path / "a.llm"
    file.write_text(spec_text(tmp_path), encoding="utf-8")
    fault(say("run", file, "--out", tmp_path / "out"), f"error: training needs text; {tmp_path}/a.txt is empty")


def test_data_shorter_than_one_window(tmp_path: Path, say: Any) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    file = tmp_path / "a.llm"
    file.write_text(spec_text(tmp_path, context=100), encoding="utf-8")
    fault(say("run", file, "--out", tmp_path / "out"), "must fill one window of context + 1 = 101 tokens; it has ")


def test_a_run_that_is_missing(tmp_path: Path, say: Any) -> None:
    fault(say("generate", tmp_path / "none"), f"error: a run directory must exist; there is none at {tmp_path}/none")


def test_a_run_without_weights(tmp_path: Path, say: Any) -> None:
    (tmp_path / "spec.llm").write_text(spec_text("x"), encoding="utf-8")
    fault(say("generate", tmp_path), "has no checkpoint: its training ended before the first was kept")


def test_a_spec_where_a_run_is_wanted(spec: Path, say: Any) -> None:
    fault(say("generate", spec), "error: generate needs a run directory; ")


def test_a_loss_that_is_not_finite(tmp_path: Path, say: Any) -> None:
    file = tmp_path / "a.llm"
    file.write_text(spec_text(write_texts(tmp_path / "texts"), lr="1e300"), encoding="utf-8")
    code, _, err = say("train", file, "--out", tmp_path / "out", "-q", "--set", "train.eval_every=100%")
    assert code == 1
    assert err.startswith("error: loss and gradient must be finite; at step 2 the loss is nan")


def test_wrong_usage_is_2(spec: Path, say: Any) -> None:
    assert say("train", spec, "--device", "abacus")[0] == 2


def test_being_stopped_is_130_where_nobody_reads_that(
    spec: Path, tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise BrokenPipeError if _ else Stopped

    monkeypatch.setattr("llm_build.run.train", lambda *_, **__: stopped())
    monkeypatch.setattr("llm_build.cli._training.click.echo", stopped)
    assert say("train", spec, "--out", tmp_path / "out", "--device", "cpu", "-q")[0] == 130


def test_a_terminate_signal_that_is_ignored_stays_so(spec: Path, tmp_path: Path, say: Any) -> None:
    """As under `trap '' TERM`, where a shell wants to say itself when it is over."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert say("train", spec, "--out", tmp_path / "out", "--device", "cpu", "-q")[0] == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
