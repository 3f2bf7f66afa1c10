"""Every spec, snippet and command of the README does what it says; `tools/demo` and `tools/test` are left to CI."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

from llm_build import load
from llm_build.diagnostics import Source, render
from llm_build.registry import installed
from llm_build.resolve import read
from tests.fences import Fence, commands_of, fences_of
from tests.processes import llm_build

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


FENCES = fences_of(README)


def fences(language: str) -> list[Fence]:
    return [each for each in FENCES if each.language == language]


def test_the_first_spec_is_the_quickstart() -> None:
    assert fences("llm")[0].text == (ROOT / "specs" / "quickstart.llm").read_text(encoding="utf-8")


def test_the_first_output_is_filled_in() -> None:
    assert "bits a byte" in fences("text")[0].text
    assert "@@" not in README


def test_the_faulty_spec_gives_the_message_below_it() -> None:
    (index,) = [number for number, each in enumerate(FENCES) if each.note == "faulty"]
    found = render(read(Source("faulty.llm", FENCES[index].text)).diagnostics)
    assert found + "\n" == FENCES[index + 1].text


@pytest.mark.parametrize("fence", [each for each in fences("llm") if each.note != "faulty"])
def test_the_other_specs_are_fine(fence: Fence) -> None:
    assert load(fence.text)


def test_the_table_lists_every_built_in() -> None:
    listed = {}
    for slots, names in re.findall(r"^\| ([a-z, ]+) \| ((?:`\w+` ?)+) \|$", README, re.MULTILINE):
        words = re.findall(r"\w+", names)
        for slot in slots.split(", "):
            listed[slot] = words if ", " not in slots else [words[slots.split(", ").index(slot)]]
    registry = installed()
    there = {slot: registry.names(slot) for slot in registry.slots()}
    assert listed == {slot: [name for name in names if "." not in name] for slot, names in there.items()}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the specs and the files of the README, where its commands run."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "specs", folder / "specs")
    for fence in FENCES:
        if fence.file:
            (folder / fence.file).write_text(fence.text, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_commands_run_and_then_the_snippets(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, output in (each for fence in fences("console") for each in commands_of(fence)):
        program, *arguments = shlex.split(line)
        assert program == "llm-build"
        done = llm_build(*arguments, cwd=desk, PYTHONPATH=desk)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert not output or done.stdout == output, line
    monkeypatch.chdir(desk)
    for number, fence in enumerate(each for each in fences("python") if not each.file):
        snippet = desk / f"snippet_{number}.py"
        snippet.write_text(fence.text, encoding="utf-8")
        runpy.run_path(str(snippet))
