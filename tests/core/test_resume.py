"""Training that goes on where it stopped: the same losses to the last bit, and a refusal where that cannot be."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from llm_build import LLMBuildError, RunError, Stopped, load, open_run, train
from llm_build.run import Checkpoints, Job, RunDirectory
from tests.laws import law
from tests.resuming import Killed, done, ended, refused, text_of, trained
from tests.runs import seal, trail
from tests.small import write_texts

OPTIMIZERS = ("adamw { lr = 1e-2 }", "sgd { lr = 0.1, momentum = 0.9 }", "adafactor", "lion { lr = 1e-3 }", "muon")

CONTENTS = r"\d+ documents? of [\d_]+ bytes, SHA-256 \w+…"
OTHER_TEXT = re.compile(f"the text that it began with; the (training|held out) text is {CONTENTS}, not {CONTENTS}")


pytestmark = pytest.mark.usefixtures("no_curve")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts"), 6)


def same_weights(one: Path, other: Path) -> bool:
    models = [open_run(each, device="cpu").model for each in (one, other)]
    return all(map(torch.equal, *(model.state_dict().values() for model in models)))


@pytest.mark.slow
@law
@given(
    stops=st.lists(st.tuples(st.integers(1, 10), st.sampled_from(["killed", "stopped"])), min_size=1, max_size=2),
    batch=st.integers(3, 7),
    every=st.integers(1, 6),
    optimizer=st.sampled_from(OPTIMIZERS),
    seed=st.integers(0, 3),
)
def test_it_is_as_if_it_had_never_stopped(
    texts: Path, stops: list[tuple[int, str]], batch: int, every: int, optimizer: str, seed: int
) -> None:
    """At any step: before the first checkpoint, in an epoch, at its edge, in the next one, after the last step."""
    text = text_of(texts, length=f"epochs = 2.2, batch = {batch}", train=f"eval_every = {every}", context=32)
    text = text.replace("adamw { lr = 1e-2 }", optimizer)
    with tempfile.TemporaryDirectory() as place:
        whole, run = Path(place, "whole"), Path(place, "run")
        result = trained(text, whole, seed=seed)
        again = False
        for step, how in sorted(stops):
            if step > result.outcome.steps or (again and step <= done(run)):
                continue
            ended(text, run, step, how, **({"resume": True} if again else {"seed": seed}))
            again = True
        found = trained(text, run, **({"resume": True} if again else {"seed": seed}))
        assert trail(run) == trail(whole)
        assert found.outcome.held_out == result.outcome.held_out
        assert (found.outcome.tokens, found.outcome.best_step) == (result.outcome.tokens, result.outcome.best_step)
        assert Checkpoints(run / "checkpoints").names[-1] == Checkpoints(whole / "checkpoints").names[-1]
        assert same_weights(run, whole)


def test_a_run_that_was_told_to_stop_loses_no_step(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped) as caught:
        stop_at(7, text_of(texts), tmp_path / "run")
    assert "stopped after step 7 of 12, which is kept: go on with --resume --out " in str(caught.value)
    assert Checkpoints(tmp_path / "run" / "checkpoints").names == ["step-000004", "step-000007"]
    assert Checkpoints(tmp_path / "run" / "checkpoints").take("step-000007").manifest.held_out_nats is None


def stop_at(step: int, text: str, out: Path) -> None:
    record = Job.record

    def until(job: Job, **figures: float) -> None:
        record(job, **figures)
        job.stop.asked = figures["step"] == step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "record", until)
        trained(text, out)


def test_a_finished_run_that_goes_on_ends_as_it_did(texts: Path, tmp_path: Path) -> None:
    first = trained(text_of(texts), tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = trained(text_of(texts), tmp_path / "run", resume=True)
    assert again.outcome == first.outcome
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_what_a_killed_save_left_to_do_is_done(texts: Path, tmp_path: Path) -> None:
    """Where no further save follows too: the run was killed in its last one, right behind the rename."""
    trained(text_of(texts), tmp_path / "whole")
    names = Checkpoints(tmp_path / "whole" / "checkpoints").names
    remove = Checkpoints._remove_old

    def killed(checkpoints: Checkpoints) -> None:
        if names[-1] in checkpoints.names:
            (checkpoints.path / ".step-000004.old").mkdir()
            raise Killed
        remove(checkpoints)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_remove_old", killed)
        with pytest.raises(Killed):
            trained(text_of(texts), tmp_path / "run")
    assert len(Checkpoints(tmp_path / "run" / "checkpoints").names) > len(names)
    trained(text_of(texts), tmp_path / "run", resume=True)
    assert sorted(each.name for each in (tmp_path / "run" / "checkpoints").iterdir()) == names


@pytest.fixture
def half(texts: Path, tmp_path: Path) -> Path:
    """A run that was killed after step 10; its last checkpoint is of step 8."""
    ended(text_of(texts), tmp_path / "run", 10)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("heads = 4", "heads = 2", "model.layers[0].attention.heads is 2, not 4"),
        ("hidden = 32", "hidden = 24", "model.layers[1].ffn.hidden is 24, not 32"),
        ("2 * block", "3 * block", "model.layers is 3 components, not 2 components"),
        ("position = rope", "position = learned", "model.position is learned, not rope"),
        ("lr = 1e-2", "lr = 1e-3", "train.optimizer.lr is 0.001, not 0.01"),
        ("epochs = 2", "epochs = 3", "train.epochs is 3.0, not 2.0"),
        ("dropout = 0.2", "dropout = 0.1", "model.dropout is 0.1, not 0.2"),
        ("vocab = 300", "vocab = 301", "tokenizer.vocab is 301, not 300"),
        ("held_out = 20%", "held_out = 30%", "data.held_out is 30%, not 20%"),
        ("sampler = greedy", "sampler = top_k { k = 5 }", "generate.sampler is top_k, not greedy"),
    ],
)
def test_a_changed_spec_is_refused_with_the_difference(
    half: Path, texts: Path, old: str, new: str, difference: str
) -> None:
    text = text_of(texts)
    assert old in text
    said = refused(text.replace(old, new), half)
    assert f"goes on with the spec that it began with; {difference.partition('[')[0]}" in said
    assert difference in said
    assert ": leave --resume out to start a new run, " in said


def test_what_is_only_written_differently_is_the_same_spec(half: Path, texts: Path) -> None:
    text = text_of(texts).replace("dim = 16", "dim = 4 * 4, vocab = 300").replace("heads = 4", "heads = 2 + 2")
    assert trained(text, half, resume=True).outcome.steps == 12


def test_many_differences_are_counted(half: Path, texts: Path) -> None:
    text = text_of(texts).replace("hidden = 32", "hidden = 24").replace("heads = 4, kv", "heads = 2, kv")
    assert " and 1 more: " in refused(text.replace("lr = 1e-2", "lr = 1e-3").replace("epochs = 2", "epochs = 3"), half)


def test_changed_text_is_refused_with_the_difference(half: Path, texts: Path, tmp_path: Path) -> None:
    moved = write_texts(tmp_path / "texts", 6)
    place = tmp_path / "run2"
    ended(text_of(moved), place, 10)
    (moved / "00.txt").write_text("other", encoding="utf-8")
    said = refused(text_of(moved), place)
    assert OTHER_TEXT.search(said)
    (moved / "06.txt").write_text("more text", encoding="utf-8")
    assert OTHER_TEXT.search(refused(text_of(moved), place))


def test_text_may_lie_elsewhere(texts: Path, tmp_path: Path) -> None:
    trained(text_of(texts), tmp_path / "whole")
    ended(text_of(texts), tmp_path / "run", 10)
    shutil.copytree(texts, tmp_path / "moved")
    trained(text_of(tmp_path / "moved"), tmp_path / "run", resume=True)
    last = open_run(tmp_path / "run", checkpoint="step-000012", device="cpu")
    assert last.config.data == load(text_of(tmp_path / "moved")).data
    assert trail(tmp_path / "run") == trail(tmp_path / "whole")


def test_a_changed_tokenizer_file_is_refused(half: Path, texts: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    shutil.copy(half / "tokenizer.json", file)
    text = text_of(texts).replace("bpe { vocab = 300 }", f'pretrained {{ file = "{file}" }}')
    text = text.replace("dim = 16", f"dim = 16, vocab = {Tokenizer.from_file(str(file)).get_vocab_size()}")
    place = tmp_path / "other"
    ended(text, place, 10)
    kept = file.read_text(encoding="utf-8")
    file.write_text(kept + "\n", encoding="utf-8")
    assert f"goes on with its tokenizer; {file} was changed" in refused(text, place)
    file.unlink()
    assert trained(text, place, resume=True).outcome.steps == 12  # the run has its own copy


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seed": 5}, "was trained with seed 0, not 5"), ({"dtype": "float64"}, "with dtype float32, not float64")],
)
def test_another_seed_or_dtype_is_refused(half: Path, texts: Path, options: Any, message: str) -> None:
    assert message in refused(text_of(texts), half, **options)


def test_the_seed_and_dtype_are_those_of_the_run(texts: Path, tmp_path: Path) -> None:
    trained(text_of(texts), tmp_path / "whole", seed=3, dtype="float64")
    ended(text_of(texts), tmp_path / "run", 10, seed=3, dtype="float64")
    trained(text_of(texts), tmp_path / "run", resume=True)
    assert trail(tmp_path / "run") == trail(tmp_path / "whole")


def test_other_threads_are_warned_of(
    half: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
    with caplog.at_level(logging.WARNING):
        trained(text_of(texts), half, resume=True)
    torch.set_num_threads(threads)
    (said,) = (each.message for each in caplog.records if each.name == "llm_build.resume")
    assert f"it was trained with {threads} threads, and goes on with {threads + 1}" in said


def test_another_torch_is_warned_of(half: Path, texts: Path, caplog: pytest.LogCaptureFixture) -> None:
    versions = half / "checkpoints" / "step-000008" / "versions.json"
    versions.write_text(versions.read_text(encoding="utf-8").replace(torch.__version__, "2.10.1"), encoding="utf-8")
    seal(versions.parent)
    with caplog.at_level(logging.WARNING):
        trained(text_of(texts), half, resume=True)
    assert f"it was trained with torch 2.10.1, and goes on with {torch.__version__}" in caplog.text


def test_nothing_is_said_where_all_is_as_it_was(half: Path, texts: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        trained(text_of(texts), half, resume=True)
    assert not [each for each in caplog.records if each.name == "llm_build.resume"]


def test_a_damaged_checkpoint_is_refused_and_the_one_before_goes_on(half: Path, texts: Path, tmp_path: Path) -> None:
    last = half / "checkpoints" / "step-000008"
    with (last / "training.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    said = refused(text_of(texts), half)
    assert f"{last} is damaged: training.safetensors must have the SHA-256" in said
    assert "step-000004 is whole: take it with --checkpoint" in said
    trained(text_of(texts), half, resume=True, checkpoint="step-000004")
    trained(text_of(texts), tmp_path / "whole")
    assert trail(half) == trail(tmp_path / "whole")
    assert (half / "checkpoints" / "step-000008.aside1").is_dir()  # for a person to look at


def test_damage_to_an_earlier_checkpoint_is_seen_before_training(half: Path, texts: Path) -> None:
    with (half / "checkpoints" / "step-000004" / "manifest.json").open("a", encoding="utf-8") as file:
        file.write("\n")
    said = refused(text_of(texts), half)
    assert f"{half}/checkpoints/step-000004 is damaged: manifest.json" in said
    assert "Move it elsewhere to go on without it" in said
    (half / "checkpoints" / "step-000004").rename(half / "elsewhere")
    assert trained(text_of(texts), half, resume=True).outcome.steps == 12


@pytest.mark.parametrize("name", ["", "step-000001"])
def test_a_checkpoint_is_not_sought_where_there_is_none(texts: Path, tmp_path: Path, name: str) -> None:
    ended(text_of(texts), tmp_path / "run", 2)
    assert "has no checkpoint: its training ended before the first was kept" in refused(
        text_of(texts), tmp_path / "run", checkpoint=name
    )


def test_a_checkpoint_that_is_not_there_is_named(half: Path, texts: Path) -> None:
    assert "has no checkpoint step-000005; it has step-000004, step-000008" in refused(
        text_of(texts), half, checkpoint="step-000005"
    )


def test_a_checkpoint_without_the_state_of_training_is_refused(half: Path, texts: Path) -> None:
    last = half / "checkpoints" / "step-000008"
    (last / "training.json").unlink()
    seal(last)
    assert f"{last} holds weights and no state of training to go on from" in refused(text_of(texts), half)


@pytest.mark.parametrize(
    "state",
    [
        "", "[", "[" * 100_000, "null", "7", "[1]", '{"items": 3}', '{"items": [[1]]}', '{"tensor": "900"}',
        '{"tuple": 3}', '{"other": []}', '{"items": [], "tuple": []}', '{"items": []}',
        '{"items": [["trainer", 3], ["random", 3], ["loggers", 3]]}',
        '{"items": [["trainer", 3], ["random", 3], ["loggers", [1]]]}',
        '{"items": [["trainer", 3], ["random", {"items": [["torch", "x"]]}], ["loggers", [1]]]}',
        '{"items": [["trainer", {"items": []}], ["random", {"items": []}], ["loggers", [1]]]}',
    ],
)  # fmt: skip
def test_a_state_of_a_stranger_is_refused(half: Path, texts: Path, state: str) -> None:
    last = half / "checkpoints" / "step-000008"
    (last / "training.json").write_text(state, encoding="utf-8")
    seal(last)
    with pytest.raises(LLMBuildError, match=r"state of (this )?training|state of this trainer"):
        trained(text_of(texts), half, resume=True)


@pytest.mark.parametrize(
    "made", ["{}", "[]", '{"components": {}}', '{"components": {}, "compute": 3, "data": 3, "init": 3, "torch": 3}']
)
def test_versions_of_a_stranger_are_refused(half: Path, texts: Path, made: str) -> None:
    last = half / "checkpoints" / "step-000008"
    (last / "versions.json").write_text(made, encoding="utf-8")
    seal(last)
    assert "versions.json must" in refused(text_of(texts), half)


def test_a_run_that_began_elsewhere_and_kept_nothing_is_started_again(half: Path, texts: Path, tmp_path: Path) -> None:
    ended(text_of(texts), tmp_path / "more", 2, init=half)
    said = refused(text_of(texts), tmp_path / "more")
    assert f"started from {half}/checkpoints/step-000008 and kept no checkpoint of its own: start it again" in said


def test_a_run_that_began_elsewhere_goes_on_and_says_so(half: Path, texts: Path, tmp_path: Path) -> None:
    for name in ("whole", "more"):
        if name == "more":
            ended(text_of(texts), tmp_path / name, 6, init=half)
        trained(text_of(texts), tmp_path / name, **({"init": half} if name == "whole" else {"resume": True}))
    assert trail(tmp_path / "more") == trail(tmp_path / "whole")
    for name in ("whole", "more"):
        taken = RunDirectory.existing(tmp_path / name).checkpoints.take("step-000012")
        made = json.loads(taken.versions.read_text(encoding="utf-8"))
        assert made["init"]["checkpoint"] == str(half / "checkpoints" / "step-000008")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "resume needs the run to go on with"),
        ({"resume": True, "out": "run", "init": "run"}, "leave resume or init out"),
        ({"checkpoint": "step-000004", "out": "run"}, "checkpoint says where to go on from: give resume too"),
        ({"resume": True, "out": "none"}, "a run directory must exist; there is none at none"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    texts: Path, tmp_path: Path, options: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=message):
        train(load(text_of(texts)), device="cpu", **options)
    assert list(tmp_path.iterdir()) == []


def test_one_run_is_trained_by_one_process(half: Path, texts: Path) -> None:
    with RunDirectory.existing(half).locked():
        said = refused(text_of(texts), half)
    assert "only one process may train into a run, and process " in said
    assert f" trains into {half}" in said
    trained(text_of(texts), half, resume=True)
