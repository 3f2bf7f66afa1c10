"""The checkpoints of a run: which are kept, which is the best, and what a save leaves behind whatever happens."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_build import RunError
from llm_build.run.checkpoints import Checkpoint, Checkpoints

FILES = ["manifest.json", "model.safetensors", "spec.llm"]


def writers(content: str = "x") -> dict[str, Callable[[Path], None]]:
    return {name: writer(f"{name} {content}") for name in FILES[1:]}


def writer(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return write


def listed(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_a_checkpoint_is_a_directory_with_a_manifest(checkpoints: Checkpoints) -> None:
    checkpoints.save(700, 3.5, writers())
    assert listed(checkpoints.path) == ["step-000700"]
    place = checkpoints.path / "step-000700"
    assert listed(place) == FILES
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["step"], manifest["held_out_nats"]) == (700, 3.5)
    assert {name: each["size"] for name, each in manifest["files"].items()} == {
        name: (place / name).stat().st_size for name in FILES[1:]
    }
    assert checkpoints.take().path == place


@given(st.lists(st.one_of(st.none(), st.floats(0, 9)), min_size=1, max_size=7))
@settings(max_examples=50, deadline=None)
def test_the_last_two_and_the_best_are_kept(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float | None]
) -> None:
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run") / "checkpoints")
    for step, loss in enumerate(losses):
        checkpoints.save(step, loss, writers())
    measured = [(loss, step) for step, loss in enumerate(losses) if loss is not None]
    best = min(measured)[1] if measured else len(losses) - 1
    kept = sorted({best, *range(len(losses))[-2:]})
    assert listed(checkpoints.path) == checkpoints.names == [f"step-{step:06}" for step in kept]
    assert checkpoints.take().manifest.step == best


def test_who_may_read_the_folder_may_read_its_files(checkpoints: Checkpoints) -> None:
    before = os.umask(0o027)
    checkpoints.save(7, 1.0, {"a": lambda path: path.touch(0o600), "b": lambda path: path.touch()})
    os.umask(before)
    modes = {each.name: each.stat().st_mode & 0o777 for each in (checkpoints.path / "step-000007").iterdir()}
    assert modes == dict.fromkeys(["a", "b", "manifest.json"], 0o640)


def test_a_named_one_is_taken(checkpoints: Checkpoints) -> None:
    for step in (1, 2):
        checkpoints.save(step, float(step), writers())
    assert checkpoints.take("step-000002").manifest.step == 2


@pytest.mark.parametrize("name", ["step-000003", "../checkpoints/step-000001", "", "."])
def test_a_name_that_is_not_there_is_refused(checkpoints: Checkpoints, name: str) -> None:
    checkpoints.save(1, 1.0, writers())
    with pytest.raises(RunError, match=r"has no checkpoint .*; it has step-000001"):
        checkpoints.take(name)


def test_a_run_without_a_checkpoint_says_so(checkpoints: Checkpoints) -> None:
    with pytest.raises(RunError, match="has no checkpoint: its training ended before the first was kept"):
        checkpoints.take()


def test_a_checkpoint_is_never_written_over(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, 1.0, writers("first"))
    with pytest.raises(RunError, match="a checkpoint is never written over"):
        checkpoints.save(1, 0.5, writers("second"))
    assert checkpoints.take().spec.read_text(encoding="utf-8") == "spec.llm first"


def test_older_ones_are_removed_after_the_new_one_is_whole(checkpoints: Checkpoints) -> None:
    for step in (1, 2, 3):
        checkpoints.save(step, -float(step), writers())
    before = checkpoints.names
    seen = []

    def look(path: Path) -> None:
        seen.append(checkpoints.names)
        path.touch()

    checkpoints.save(4, -4.0, {"a": look, "b": look})
    assert seen == [before, before]
    assert checkpoints.names == ["step-000003", "step-000004"]


def test_a_save_that_fails_leaves_what_was_there(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, 1.0, writers())

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"must be written to .*2, which failed: .*No space left.* there: step-000001$"):
        checkpoints.save(2, 0.5, {"a": writer("whole"), "b": fail})
    assert listed(checkpoints.path) == ["step-000001"]
    assert checkpoints.take().manifest.step == 1


@pytest.mark.parametrize("call", [1, 2, 3])
def test_what_is_not_on_the_disk_is_no_checkpoint(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    checkpoints.save(1, 1.0, writers())
    calls, real = count(1), os.fsync

    def fail(handle: int) -> None:
        if next(calls) == call:
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=r"which failed: .*Input/output error; checkpoints that are there: step-000001$"):
        checkpoints.save(2, 0.5, writers())
    assert listed(checkpoints.path) == ["step-000001"]


def test_an_interrupt_during_a_save_leaves_what_was_there(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, 1.0, writers())

    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(2, 0.5, {"a": interrupt})
    assert listed(checkpoints.path) == ["step-000001"]


@pytest.mark.parametrize("stale", [".step-000002.new", ".step-000000.old"])
def test_what_a_killed_save_left_is_ignored_and_swept_by_the_next_one(checkpoints: Checkpoints, stale: str) -> None:
    checkpoints.save(1, 1.0, writers())
    (checkpoints.path / stale).mkdir()
    (checkpoints.path / stale / "model.safetensors").write_text("half", encoding="utf-8")
    assert checkpoints.names == ["step-000001"]
    assert checkpoints.take().manifest.step == 1
    checkpoints.save(2, 2.0, writers())
    assert listed(checkpoints.path) == ["step-000001", "step-000002"]


def test_every_file_is_synced_then_the_manifest_then_the_names(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(1, 1.0, writers())
    log: list[str] = []
    real_open, real_rename = os.open, Path.rename

    def opened(path: Path, flags: int, *rest: Any, **options: Any) -> int:
        if isinstance(path, Path) and checkpoints.path in (path, *path.parents) and flags == os.O_RDONLY:
            log.append(path.relative_to(checkpoints.path.parent).as_posix())
        return real_open(path, flags, *rest, **options)

    def renamed(path: Path, to: Path) -> Path:
        log.append("rename")
        return real_rename(path, to)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(Path, "rename", renamed)
    checkpoints.save(2, 2.0, writers())
    inside = "checkpoints/.step-000002.new"
    synced = [f"{inside}/{name}" for name in (*FILES[1:], FILES[0])]
    assert log == [*synced, inside, "rename", "checkpoints"]


def test_of_a_damaged_one_the_one_before_it_is_offered(checkpoints: Checkpoints) -> None:
    for step, loss in {100: 3.0, 200: 2.0, 300: 9.0}.items():
        checkpoints.save(step, loss, writers())
    (checkpoints.path / "step-000200" / "spec.llm").write_text("y" * 10, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        checkpoints.take()
    said = str(caught.value)
    assert f"{checkpoints.path}/step-000200 is damaged: spec.llm must have the SHA-256 that its manifest" in said
    # 100 is gone: it was neither among the last two nor the best
    assert "step-000300 is whole: take it with --checkpoint step-000300, open_run(…, checkpoint=" in said
    (checkpoints.path / "step-000300" / "spec.llm").unlink()
    with pytest.raises(RunError, match="no other checkpoint of this run is whole"):
        checkpoints.take()


def test_the_offer_is_the_nearest_before_and_else_the_nearest_after(checkpoints: Checkpoints) -> None:
    for step, loss in {100: 1.0, 290: 2.0, 300: 3.0}.items():
        checkpoints.save(step, loss, writers())
    for damaged, offered in {300: 290, 290: 100, 100: 290}.items():
        file = checkpoints.path / f"step-{damaged:06}" / "spec.llm"
        content = file.read_bytes()
        file.write_bytes(b"")
        with pytest.raises(RunError, match=f"{damaged:06} is damaged: .*; step-{offered:06} is whole"):
            checkpoints.take(f"step-{damaged:06}")
        file.write_bytes(content)


def test_where_a_manifest_cannot_be_read_the_best_is_not_guessed(checkpoints: Checkpoints) -> None:
    for step in (1, 2):
        checkpoints.save(step, float(step), writers())
    (checkpoints.path / "step-000001" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"step-000001 is damaged: .* Whole are: step-000002: take it with --checkpoint"):
        checkpoints.take()
    assert checkpoints.take("step-000002").manifest.step == 2
    checkpoints.save(3, 3.0, writers())
    checkpoints.save(4, 4.0, writers())
    checkpoints.save(5, 5.0, writers())
    assert checkpoints.names == ["step-000001", "step-000002", "step-000004", "step-000005"]


def test_the_manifest_of_another_one_does_not_hide_the_best(checkpoints: Checkpoints) -> None:
    for step, loss in {100: 1.0, 200: 2.0, 300: 3.0}.items():
        checkpoints.save(step, loss, writers())
    best, last = (checkpoints.path / f"step-000{step}" / "manifest.json" for step in (100, 300))
    best.write_bytes(last.read_bytes())
    with pytest.raises(RunError, match=r"step-000100 is damaged: its manifest is that of step-000300; .* Whole are: "):
        checkpoints.take()
    checkpoints.save(400, 4.0, writers())
    assert "step-000100" in checkpoints.names


def test_a_checkpoint_under_another_name_is_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, 1.0, writers())
    (checkpoints.path / "step-000001").rename(checkpoints.path / "step-000009")
    with pytest.raises(RunError, match="its manifest is that of step-000001"):
        Checkpoint.verified(checkpoints.path / "step-000009")
