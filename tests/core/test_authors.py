"""The page for authors: each file of it is written and each command run, in order, as somebody would who reads it.

Only `twine upload` is left out, which would publish. pip is offline and builds with what is installed here.
"""

from __future__ import annotations

import inspect
import os
import shlex
from pathlib import Path

import pytest

from llm_build.catalogue.reference import reference
from llm_build.interfaces import PROTOCOLS
from llm_build.registry import installed
from llm_build.scaffold import names_of, new_plugin, slots
from tests.fences import Fence, commands_of, fences_of
from tests.packages import OFFLINE, environment
from tests.processes import ROOT, start

PAGE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
MODULES = {"llm-build": "llm_build", "pip": "pip", "pytest": "pytest", "hatchling": "hatchling"}
"""What runs each program of the page in the environment of the reader."""
LEFT_OUT = "twine"


class Reader:
    """Somebody who follows the page, in a folder and an environment of their own."""

    def __init__(self, folder: Path) -> None:
        self.place = self.desk = folder / "desk"
        self.desk.mkdir()
        self.python = environment(folder / "environment")
        self.left_out: list[str] = []

    def follow(self, fence: Fence) -> None:
        if fence.file and fence.note == "as written":
            assert (self.desk / fence.file).read_text(encoding="utf-8") == fence.text
        elif fence.file:
            (self.desk / fence.file).write_text(fence.text, encoding="utf-8")
        else:
            assert fence.language == "console", f"nothing runs this block: {fence.text}"
            for line, output in commands_of(fence):
                self.run(line, output, fails=fence.note == "fails")

    def run(self, line: str, output: str, fails: bool) -> None:
        program, *arguments = shlex.split(line)
        if program == LEFT_OUT:
            self.left_out.append(line)
            return
        if program == "cd":
            self.place = self.place / arguments[0]
            return
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        done = start(self.python, "-m", MODULES[program], *arguments, cwd=self.place, PATH=path, **OFFLINE)
        assert done.returncode == int(fails), f"{line}\n{done.stdout}{done.stderr}"
        said = done.stderr if fails else done.stdout
        assert not output or said == output, line


@pytest.mark.slow
def test_the_page_can_be_followed_from_nothing_to_what_is_published(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for fence in fences_of(PAGE):
        reader.follow(fence)
    assert reader.left_out == ["twine upload dist/*"]
    built = sorted(each.name for each in (reader.desk / "acme-scale" / "dist").iterdir() if each.is_file())
    assert [each for each in built if each != ".gitignore"] == [
        "acme_scale-0.1.0-py3-none-any.whl",
        "acme_scale-0.1.0.tar.gz",
    ]


def test_the_page_shows_the_files_as_they_are_written(tmp_path: Path) -> None:
    written = new_plugin(names_of("acme-scale", "norm"), "norm", tmp_path)
    shown = {fence.file: fence.text for fence in fences_of(PAGE) if fence.note == "as written"}
    assert shown == {each.relative_to(tmp_path).as_posix(): each.read_text(encoding="utf-8") for each in written}


def test_the_page_names_every_slot_that_has_a_template() -> None:
    (sentence,) = (each for each in PAGE.replace("\n", " ").split(". ") if "templates for" in each)
    words = sentence.partition("templates for ")[2].replace(" and ", ", ").split(", ")
    assert sorted(words) == slots()


@pytest.mark.parametrize("slot", PROTOCOLS)
def test_the_reference_has_every_member_of_a_slot_and_each_built_in(slot: str) -> None:
    section = reference(installed(), "llm-build").partition(f"\n## {slot}\n")[2].partition("\n## ")[0]
    protocol = PROTOCOLS[slot]
    methods = [name for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"]
    asked = [f"    def {name}(" for name in methods] + [f"    {name}: " for name in protocol.__annotations__]
    assert asked
    assert all(each in section for each in asked)
    built_in = [each.name for each in installed().entries() if each.slot == slot and each.owner.built_in]
    assert all(f"- `{name}`" in section for name in built_in)


def test_the_reference_of_slots_is_the_one_that_the_code_gives() -> None:
    written = (ROOT / "plugins" / "SLOTS.md").read_text(encoding="utf-8")
    assert written == reference(installed(), "llm-build"), "run tools/pages"
