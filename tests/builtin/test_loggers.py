"""Loggers: each of them has every figure at its step, of a run and of one that goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb

from llm_build import Config, Context, RunError, load, train, write
from llm_build_plugins import train as parts
from tests.logged import Figures, by_name, lines_of, room, scalars_of, texts_of, wandb_records, wandb_rows
from tests.processes import ROOT
from tests.small import spec_text, write_texts

THREE = 'loggers = [jsonl, tensorboard, wandb { mode = "offline", project = "small" }]'
OF_A_CLOCK = {"seconds", "speed"}


def spec_of(texts: Path, loggers: str) -> str:
    return spec_text(texts, dropout=0.1, train=f"schedule = none, samples = 0, eval_every = 2, {loggers}")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("run") / "three"
    train(load(spec_of(texts, THREE)), out=place, device="cpu")
    return place


@pytest.fixture(scope="module")
def resumed(run: Path, texts: Path) -> Path:
    """The run once more from its second checkpoint of three."""
    place = shutil.copytree(run, run.with_name("resumed"), symlinks=True)
    train(load(spec_of(texts, THREE)), out=place, device="cpu", resume=True, checkpoint="step-000004")
    return place


def assert_same(found: Figures, expected: Figures) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert [step for step, _ in found[name]] == [step for step, _ in expected[name]], name
        assert [each for _, each in found[name]] == pytest.approx([each for _, each in expected[name]], rel=1e-6), name


def test_json_lines_have_each_figure_where_there_is_one(run: Path) -> None:
    found = by_name(lines_of(run))
    assert [step for step, _ in found["loss"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in found["held_out_nats"]] == [2, 4, 6]
    assert len(found["final_held_out_nats"]) == 1


def test_tensorboard_has_the_figures_of_the_json_lines(run: Path) -> None:
    assert_same(scalars_of(run), by_name(lines_of(run)))


def test_wandb_has_the_figures_of_the_json_lines(run: Path) -> None:
    (records,) = wandb_records(run)
    rows = wandb_rows(records)
    assert_same(by_name(rows), by_name(lines_of(run)))
    assert [row["step"] for row in rows] == [line["step"] for line in lines_of(run)]


def test_tensorboard_has_the_spec_as_a_text_once(run: Path, resumed: Path) -> None:
    for place in (run, resumed):
        (text,) = texts_of(place)
        assert text == "".join(f"    {line}\n" for line in (run / "spec.llm").read_text(encoding="utf-8").splitlines())


def test_wandb_has_the_spec_and_what_it_states(run: Path) -> None:
    (records,) = wandb_records(run)
    (begun,) = [each.run for each in records if each.WhichOneof("record_type") == "run"]
    config = {each.key: each.value_json for each in begun.config.update}
    assert (begun.project, begun.display_name) == ("small", "three")
    assert json.loads(config["spec"]) == (run / "spec.llm").read_text(encoding="utf-8")
    assert json.loads(config["train"])["optimizer"] == {"component": "optimizer:adamw", "lr": 0.01}
    assert json.loads(config["data"])["held_out"] == "20%"


def test_loggers_change_no_loss(run: Path, texts: Path, tmp_path: Path) -> None:
    train(load(spec_of(texts, "loggers = jsonl")), out=tmp_path / "alone", device="cpu")
    without_clock = [
        [{name: each for name, each in line.items() if name not in OF_A_CLOCK} for line in lines_of(place)]
        for place in (run, tmp_path / "alone")
    ]
    assert without_clock[0] == without_clock[1]


def test_without_loggers_nothing_is_written_down_and_the_curve_says_what_would_bring_it(
    run: Path, texts: Path, tmp_path: Path
) -> None:
    result = train(load(spec_of(texts, "loggers = none")), out=tmp_path / "none", device="cpu")
    assert not {"metrics.jsonl", "tensorboard", "wandb", "loss.png"} & {
        each.name for each in (tmp_path / "none").iterdir()
    }
    assert result.curve == (
        "no loss curve: it is drawn from metrics.jsonl, which has no figures; write loggers = jsonl, or with others"
    )
    assert result.outcome.held_out.nats == by_name(lines_of(run))["final_held_out_nats"][0][1]


def test_a_resumed_run_shows_each_step_once_in_tensorboard(run: Path, resumed: Path) -> None:
    found, expected = scalars_of(resumed), scalars_of(run)
    for name in expected.keys() - OF_A_CLOCK - {"final_held_out_nats", "final_held_out_bits"}:
        assert found[name] == expected[name], name


def test_a_resumed_run_goes_on_as_the_same_run_in_wandb_and_keeps_all_rows(run: Path, resumed: Path) -> None:
    before, after = wandb_records(resumed)
    ids = [[each.run.run_id for each in part if each.WhichOneof("record_type") == "run"] for part in (before, after)]
    assert ids[0] == ids[1]
    assert [each.run.resume for each in after if each.WhichOneof("record_type") == "run"] == [True]
    steps = [row["step"] for row in wandb_rows(after) if "loss" in row]
    assert steps == [5, 6]
    assert len(wandb_rows(before)) == len(lines_of(run))


def test_wandb_plots_everything_over_our_step(run: Path) -> None:
    (records,) = wandb_records(run)
    defined = [each.metric for each in records if each.WhichOneof("record_type") == "metric"]
    assert [each.step_metric for each in defined if each.glob_name == "*"] == ["step"]


@pytest.mark.parametrize(("kept", "beyond", "more"), [(1, 0, 1), (3, 4, 0), (2, 5, 2), (2, 1, 4)])
def test_tensorboard_hides_what_was_logged_beyond_the_mark(kept: int, beyond: int, more: int, tmp_path: Path) -> None:
    (tmp_path / "spec.llm").write_text("llm 1\n", encoding="utf-8")
    logger: Any = parts.tensorboard().build(Context())
    logger.begin(tmp_path)
    for step in range(1, kept + beyond + 1):
        logger.log({"step": step, "loss": 1.0})
        if step == kept:
            mark = logger.mark()
    logger.end()
    again: Any = parts.tensorboard().build(Context())
    again.begin(tmp_path, mark)
    for step in range(kept + 1, kept + more + 1):
        again.log({"step": step, "loss": 2.0})
    again.end()
    expected = [(step, 1.0 if step <= kept else 2.0) for step in range(1, kept + more + 1)]
    assert scalars_of(tmp_path) == {"loss": expected}


def test_event_files_are_read_in_the_order_in_which_they_were_begun(tmp_path: Path) -> None:
    """However soon one follows another: their names hold a second and a number without leading zeros."""
    (tmp_path / "spec.llm").write_text("llm 1\n", encoding="utf-8")
    begun: list[str] = []
    for _ in range(3):
        logger: Any = parts.tensorboard().build(Context())
        logger.begin(tmp_path)
        logger.end()
        (file,) = [each.name for each in (tmp_path / "tensorboard").iterdir() if each.name not in begun]
        begun.append(file)
    seconds = [name.split(".")[3] for name in begun]
    assert seconds == sorted(set(seconds))


def test_a_run_that_begins_anew_hides_all_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "spec.llm").write_text("llm 1\n", encoding="utf-8")
    for value in (1.0, 2.0):
        logger: Any = parts.tensorboard().build(Context())
        logger.begin(tmp_path)
        logger.log({"step": 1, "loss": value})
        logger.end()
    assert scalars_of(tmp_path) == {"loss": [(1, 2.0)]}


@pytest.mark.parametrize(
    "logger",
    [
        "jsonl",
        "none",
        "[jsonl, tensorboard]",
        'wandb { project = "a b", name = "first", entity = "acme", mode = "disabled" }',
        THREE.removeprefix("loggers = "),
    ],
)
def test_a_spec_with_loggers_is_written_as_it_was_read(logger: str) -> None:
    config = load(spec_of(Path("texts"), f"loggers = {logger}"))
    assert load(write(config)) == config


@pytest.mark.parametrize(
    ("project", "message", "advice"),
    [
        ("a/b#c", "the name of a project must hold none of / \\ # ? % :; / # arrived", 'write project = "a-b-c"'),
        ("a" * 129, "the name of a project must hold at most 128 characters; 129 arrived", "shorten it"),
    ],
)
def test_a_project_that_wandb_refuses_is_a_fault_of_the_spec(project: str, message: str, advice: str) -> None:
    problems = parts.wandb(project=project).problems(Context())
    assert [(each.field, each.message, each.help) for each in problems] == [("project", message, advice)]
    with pytest.raises(wandb.errors.UsageError, match="Invalid project name"):
        wandb.Settings(project=project)


LOGGERS = [parts.jsonl(), parts.tensorboard(), parts.wandb(mode="offline")]


@pytest.mark.parametrize("config", LOGGERS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "mark",
    [
        *[-1, 7, True, 1.5, 2**70, "", "a/b", "é", [], {}, {"bytes": -1, "waiting": ""}, {"bytes": "1", "waiting": ""}],
        *[{"bytes": 1}, {"bytes": 1, "waiting": "{}"}, {"bytes": 1, "waiting": "é\n"}, {"bytes": 1, "waiting": 1}],
    ],
    ids=repr,
)
def test_a_mark_of_a_stranger_is_refused(config: Config, mark: Any, tmp_path: Path) -> None:
    if mark == 7 and isinstance(config, parts.tensorboard):
        pytest.skip("that is one of its own")
    (tmp_path / "spec.llm").write_text("llm 1\n", encoding="utf-8")
    logger: Any = config.build(Context())
    with pytest.raises(RunError, match=r"the state of training must hold .*, and it does not: .* arrived"):
        logger.begin(tmp_path, mark)
    logger.end()


@pytest.mark.parametrize("config", LOGGERS[1:], ids=lambda each: type(each).__name__)
def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(config: Config, tmp_path: Path) -> None:
    name = type(config).__name__
    (tmp_path / name).write_text("", encoding="utf-8")
    logger: Any = config.build(Context())
    with pytest.raises(RunError) as caught:
        logger.begin(tmp_path)
    logger.end()
    assert str(caught.value) == (
        f"the figures of each step must be written to {tmp_path}/{name}, which failed: File exists. Let it be written, "
        f"or leave {name} out of `loggers`"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_folder_that_stops_taking_events_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "spec.llm").write_text("llm 1\n", encoding="utf-8")
    logger: Any = parts.tensorboard().build(Context())
    logger.begin(tmp_path)
    with room(1_000):
        for step in range(1, 101):
            logger.log({"step": step, "loss": 1.0})
        assert logger.mark() >= 1
        logger.end()
    assert len(caplog.records) == 1
    assert f"{tmp_path}/tensorboard stopped taking figures: File too large. Training goes on" in caplog.text
    kept = len(scalars_of(tmp_path)["loss"])
    assert 5 < kept < 100
    again: Any = parts.tensorboard().build(Context())
    again.begin(tmp_path, kept)
    again.log({"step": kept + 1, "loss": 2.0})
    again.end()
    assert scalars_of(tmp_path)["loss"][-2:] == [(kept, 1.0), (kept + 1, 2.0)]


@pytest.fixture(scope="module")
def no_extras(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of an installation without the extras: everything else of this one, by links."""
    place = tmp_path_factory.mktemp("site-packages")
    for each in Path(wandb.__file__).parents[1].iterdir():
        if not each.name.startswith(("wandb", "tensorboard")):
            (place / each.name).symlink_to(each)
    return repr([str(each) for each in (ROOT / "registry", ROOT / "plugins", place)])


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_library_is_said_with_its_pip_line_before_the_data_is_looked_for(
    name: str, no_extras: str, tmp_path: Path
) -> None:
    (tmp_path / "small.llm").write_text(spec_of(tmp_path / "nothing", f"loggers = [jsonl, {name}]"), encoding="utf-8")
    (tmp_path / name).mkdir()  # what wandb leaves in a working directory looks like a package
    said = {}
    for verb in ("check", "train"):
        program = f"import sys; sys.path[1:1] = {no_extras}; from llm_build.cli import main; main()"
        command = [
            sys.executable,
            "-S",
            "-c",
            program,
            verb,
            "small.llm",
            *(["--out", "run"] if verb == "train" else []),
        ]
        said[verb] = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (said["check"].returncode, said["check"].stderr) == (0, "")
    assert said["train"].returncode == 1
    assert said["train"].stderr == (
        f'error: the logger {name} needs a library that is not installed: pip install "llm-build[{name}]", or leave '
        f"{name} out of `loggers`\n"
    )
    assert not (tmp_path / "run").exists()
