"""JSON lines: none is lost, torn or written twice, wherever the file stops taking them and wherever a run goes on."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, RunError
from llm_build_plugins import train
from tests.laws import law
from tests.logged import lines_of, room


def begun(run: Path, mark: Any = None) -> Any:
    logger = train.jsonl().build(Context())
    logger.begin(run, mark)
    return logger


def figures(step: int) -> dict[str, float]:
    return {"step": step, "loss": 1 / step}


@law
@given(before=st.integers(0, 4), during=st.integers(1, 4), after=st.integers(1, 4), size=st.integers(0, 300))
def test_lines_that_did_not_fit_are_all_there_when_there_is_room_again(
    before: int, during: int, after: int, size: int
) -> None:
    count = before + during + after
    with tempfile.TemporaryDirectory() as place:
        run = Path(place)
        logger = begun(run)
        for step in range(1, count + 1):
            if before < step <= before + during:
                with room(size):
                    logger.log(figures(step))
            else:
                logger.log(figures(step))
        logger.end()
        assert lines_of(run) == [figures(step) for step in range(1, count + 1)]


@law
@given(kept=st.integers(0, 4), beyond=st.integers(0, 3), more=st.integers(1, 3), size=st.integers(0, 200))
def test_what_was_logged_beyond_the_mark_goes_and_what_waited_there_comes(
    kept: int, beyond: int, more: int, size: int
) -> None:
    """Twice: what the second mark says rests on what the first one left."""
    with tempfile.TemporaryDirectory() as place:
        run, mark = Path(place), None
        for done in (0, kept):
            logger = begun(run, mark)
            with room(size):
                for step in range(done + 1, done + kept + 1):
                    logger.log(figures(step))
                mark = json.loads(json.dumps(logger.mark()))
            for _ in range(beyond):
                logger.log({"step": -1})
            logger.end()
        logger = begun(run, mark)
        for step in range(2 * kept + 1, 2 * kept + more + 1):
            logger.log(figures(step))
        logger.end()
        assert lines_of(run) == [figures(step) for step in range(1, 2 * kept + more + 1)]


def test_a_line_is_in_the_file_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    logger = begun(tmp_path)
    logger.log(figures(1))
    assert lines_of(tmp_path) == [figures(1)]
    logger.end()


def test_a_file_that_stops_taking_lines_is_warned_of_once_and_again_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = begun(tmp_path)
    with room(40), caplog.at_level(logging.WARNING):
        for step in range(1, 6):
            logger.log(figures(step))
        logger.mark()
        logger.end()
    assert [each.getMessage() for each in caplog.records] == [
        f"{tmp_path}/metrics.jsonl cannot be written: File too large. Training goes on, and its lines wait",
        f"{tmp_path}/metrics.jsonl lacks its last lines: 4 could not be written",
    ]


def test_a_file_that_lost_lines_is_gone_on_with_behind_those_that_are_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = begun(tmp_path)
    for step in range(1, 5):
        logger.log(figures(step))
    mark = logger.mark()
    logger.end()
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:40])
    logger = begun(tmp_path, mark)
    logger.log(figures(5))
    again = logger.mark()
    logger.end()
    assert lines_of(tmp_path) == [figures(1), figures(5)]
    assert again["bytes"] == file.stat().st_size
    assert "lacks lines that it had at the checkpoint: 40 bytes of 1" in caplog.text


def test_a_figure_that_is_not_finite_is_null(tmp_path: Path) -> None:
    logger = begun(tmp_path)
    logger.log({"step": 1, "loss": float("nan"), "norm": float("inf"), "lr": 0.1})
    logger.end()
    assert lines_of(tmp_path) == [{"step": 1, "loss": None, "norm": None, "lr": 0.1}]


def test_a_place_that_cannot_be_opened_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(RunError) as caught:
        begun(tmp_path)
    assert str(caught.value) == (
        f"the figures of each step must be written to {tmp_path}/metrics.jsonl, which failed: Is a directory. "
        "Let it be written, or leave jsonl out of `loggers`"
    )


def test_a_place_that_takes_nothing_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"metrics\.jsonl, which failed: Invalid argument"):
        begun(tmp_path)
