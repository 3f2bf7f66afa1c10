"""`llm-build fmt`: what it writes, what it leaves alone, and with which exit code."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_build.cli import group
from llm_build.language import formatter

WILD, STYLED = "llm 1\nlet  x=[ 3 ]# why\n", "llm 1\nlet x = [3]  # why\n"
FAULTY, FAULTY_STYLED = "model={\n\n\nx=$ )\n", "model = {\nx =$ )\n"


def fmt(*arguments: str | Path, given: str | bytes = "") -> Result:
    """`llm-build fmt …` in this process."""
    return CliRunner().invoke(group, ["fmt", *map(str, arguments)], input=given, standalone_mode=False)


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    spec = tmp_path / "wild.llm"
    spec.write_text(WILD, encoding="utf-8")
    return spec


def test_files_are_formatted_in_place_faulty_ones_too(wild: Path) -> None:
    faulty = wild.with_name("faulty.llm")
    faulty.write_text(FAULTY, encoding="utf-8")
    done = fmt(wild, faulty)
    assert (done.return_value, done.stdout) == (0, f"{wild}: formatted\n{faulty}: formatted\n")
    assert wild.read_text(encoding="utf-8") == STYLED
    assert faulty.read_text(encoding="utf-8") == FAULTY_STYLED
    assert sorted(each.name for each in wild.parent.iterdir()) == ["faulty.llm", "wild.llm"]


def test_a_file_that_is_right_is_left_alone(wild: Path) -> None:
    wild.write_text(STYLED, encoding="utf-8")
    before = wild.stat()
    done = fmt(wild)
    assert (done.return_value, done.output) == (0, "")
    assert (wild.stat().st_ino, wild.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_check_names_the_files_and_writes_nothing(wild: Path) -> None:
    right = wild.with_name("right.llm")
    right.write_text(STYLED, encoding="utf-8")
    done = fmt("--check", wild, right)
    assert done.return_value == 1
    assert done.stdout == f"{wild}: not in the style; llm-build fmt writes it\n{right}: fine\n"
    assert wild.read_text(encoding="utf-8") == WILD
    assert fmt("--check", right, "-q").output == ""
    assert fmt("--check", wild, "-q").stdout.startswith(f"{wild}: ")


@pytest.mark.parametrize("given", [WILD, WILD.replace("\n", "\r\n"), "\ufeff" + WILD])
def test_stdin_goes_to_stdout(given: str) -> None:
    assert fmt("-", given=given.encode()).stdout_bytes == STYLED.encode()
    assert fmt("-", "--check", given=given.encode()).return_value == 1
    assert fmt("-", "--check", given=STYLED).return_value == 0


def test_permissions_and_links_stay(wild: Path) -> None:
    wild.chmod(0o640)
    link = wild.with_name("link.llm")
    link.symlink_to(wild)
    assert fmt(link).return_value == 0
    assert link.is_symlink()
    assert wild.read_text(encoding="utf-8") == STYLED
    assert stat.S_IMODE(wild.stat().st_mode) == 0o640


def test_a_file_that_cannot_be_read_leaves_the_others_their_turn(wild: Path) -> None:
    binary = wild.with_name("binary.llm")
    binary.write_bytes(b"llm 1\n\0")
    done = fmt(wild.with_name("none.llm"), binary, wild)
    assert done.return_value == 1
    assert done.stderr.count("error[E110]") == done.stderr.count("error[E111]") == 1
    assert wild.read_text(encoding="utf-8") == STYLED
    assert fmt("-", given=b"\xff").exception is not None


def test_nothing_is_left_of_a_file_that_cannot_be_written(wild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    done = fmt(wild)
    assert done.return_value == 1
    assert done.stderr == f"error: {wild} must be writable, and so must its folder: No space left on device\n"
    assert wild.read_text(encoding="utf-8") == WILD
    assert [each.name for each in wild.parent.iterdir()] == ["wild.llm"]


def test_a_token_that_would_change_is_never_written(wild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatter, "_tight", lambda words, index: True)
    done = fmt(wild)
    assert (done.return_value, f"error: {wild}: formatting must change white space alone" in done.stderr) == (1, True)
    assert wild.read_text(encoding="utf-8") == WILD


def test_stdin_stands_alone(wild: Path) -> None:
    assert "stands alone" in str(fmt("-", wild).exception)
    assert wild.read_text(encoding="utf-8") == WILD
