"""`llm-build check`: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_build.language.files import SIZE_LIMIT
from tests.processes import QUICKSTART, Done, finished, llm_build

FAULTY = "llm 1\nmodel = decoder { dim = 30, vocab = 64, context = 8, norm = rms, colour = 3, layers = 2 * block }\n"
UNREADABLE = {
    "missing.llm": (None, "there is no readable file here: No such file or directory"),
    "empty.llm": (b"", "a spec must say something; this one is empty"),
    "binary.llm": (b"llm 1\n\0\1\2", "a spec is UTF-8 text; this file is binary"),
    "latin.llm": ('llm 1\nlet naïve = "é"\n'.encode("latin-1"), "a spec is UTF-8 text; the byte 0xef at 12 is not"),
    "folder.llm": ((), "a spec is a file; this is a folder"),
    "huge.llm": (b"#" * (SIZE_LIMIT + 1), "this file is larger"),
}


def refused(done: Done) -> str:
    """What a verb says on stderr of a fault that is the person's."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def faulty(folder: Path) -> Path:
    spec = folder / "faulty.llm"
    spec.write_text(FAULTY, encoding="utf-8")
    return spec


def test_a_spec_without_a_fault() -> None:
    done = llm_build("check", QUICKSTART)
    assert finished(done) == f"{QUICKSTART}: fine\n"
    assert done.stderr == ""


def test_quiet_says_nothing_of_a_fine_spec() -> None:
    assert finished(llm_build("check", "-q", QUICKSTART)) == ""


def test_every_fault_is_shown_with_its_place(tmp_path: Path) -> None:
    said = refused(llm_build("check", faulty(tmp_path)))
    assert said.count("error[") == 3
    assert f"--> {tmp_path / 'faulty.llm'}:2:" in said
    assert "colour = 3" in said


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("verb", ["check", "train"])
def test_a_spec_that_cannot_be_read(verb: str, name: str, tmp_path: Path) -> None:
    content, message = UNREADABLE[name]
    place = tmp_path / name
    if isinstance(content, bytes):
        place.write_bytes(content)
    elif content is not None:
        place.mkdir()
    said = refused(llm_build(verb, place, cwd=tmp_path))
    assert message in said
    assert str(place) in said


def test_several_specs_in_one_call(tmp_path: Path) -> None:
    spec = faulty(tmp_path)
    done = llm_build("check", QUICKSTART, spec, tmp_path / "missing.llm")
    assert done.returncode == 1
    assert done.stdout == f"{QUICKSTART}: fine\n"
    assert done.stderr.count("error[") == 4
    assert f"{tmp_path / 'missing.llm'}" in done.stderr


def test_json_goes_to_stdout(tmp_path: Path) -> None:
    done = llm_build("check", "--format", "json", QUICKSTART, faulty(tmp_path))
    assert done.returncode == 1
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert len(found) == 3
    for each in found:
        assert set(each) == {"code", "severity", "message", "path", "help", "span", "related"}
        assert each["severity"] == "error"
        assert each["span"]["file"] == str(tmp_path / "faulty.llm")
        assert {*each["span"]} == {"file", "line", "column", "end_line", "end_column"}


def test_json_without_a_fault_is_an_empty_list() -> None:
    assert json.loads(finished(llm_build("check", "--format", "json", QUICKSTART))) == []


def test_a_setting_is_checked_like_the_text() -> None:
    said = refused(llm_build("check", QUICKSTART, "--set", "model.layers.attention.heads = 7"))
    assert "heads" in said
    assert "--set" in said


@pytest.mark.parametrize(
    "arguments", [["check"], ["check", "--nothing", "a.llm"], ["nothing"], ["check", "a.llm", "--format", "xml"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = llm_build(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_help_and_version_exit_with_0() -> None:
    assert "Verbs" in finished(llm_build("--help"))
    assert finished(llm_build("--version")).startswith("llm-build, version ")


def test_a_requirement_that_needs_measuring_is_listed_and_decided_on_demand(tmp_path: Path) -> None:
    spec = tmp_path / "required.llm"
    required = "require params(model) < 100M\nrequire flops(model) < 1k\n"
    spec.write_text(QUICKSTART.read_text(encoding="utf-8") + required, encoding="utf-8")
    plain, measured = llm_build("check", spec), llm_build("check", "--measure", spec)
    assert (plain.returncode, plain.stderr.count("this requirement is decided at build")) == (0, 2)
    assert (measured.returncode, measured.stderr.count("error[E309]"), "decided" in measured.stderr) == (1, 1, False)
    assert "require flops(model) < 1k" in measured.stderr


@pytest.mark.parametrize("verb", ["summary", "train", "run"])
def test_a_requirement_that_fails_stops_every_verb_that_builds(verb: str, tmp_path: Path) -> None:
    spec = tmp_path / "required.llm"
    spec.write_text(QUICKSTART.read_text(encoding="utf-8") + "require flops(model) < 1k\n", encoding="utf-8")
    assert "error[E309]" in refused(llm_build(verb, spec, cwd=tmp_path))
