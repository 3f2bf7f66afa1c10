"""A tokenizer's file that lies outside the project of a spec: reading the spec does not open it, a person may."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_build import Context
from llm_build.cli import group
from llm_build.diagnostics import Diagnostic
from llm_build_plugins import tokenizer as tokenizers
from tests.language.reading import decoder, faults, filled
from tests.processes import finished, start

OPENED: list[str] = []
sys.addaudithook(lambda event, args: OPENED.append(str(args[0])) if event == "open" else None)

UNSTATED = decoder().replace("  vocab = 64\n", "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a tokenizer of 3 entries and a link to one of 5, which lies outside."""
    made = tmp_path / "project"
    (made / "specs").mkdir(parents=True)
    (made / "pyproject.toml").touch()
    for file, count in ((made / "own.json", 3), (tmp_path / "other.json", 5)):
        entries = {f"[{index}]": index for index in range(count)}
        file.write_text(json.dumps({"model": {"vocab": entries}}), encoding="utf-8")
    (made / "link.json").symlink_to(tmp_path / "other.json")
    return made


def spec(project: Path, file: str, text: str = UNSTATED, more: str = "") -> Path:
    """A spec in a folder of the project, with a tokenizer."""
    place = project / "specs" / "a.llm"
    place.write_text(f'{text}tokenizer = pretrained {{ file = "{file}"{more} }}\n', encoding="utf-8")
    return place


def opened(act: Callable[[], Any]) -> list[str]:
    """What was opened of tokenizers meanwhile."""
    OPENED.clear()
    act()
    return [Path(each).name for each in OPENED if each.endswith(".json")]


def test_a_file_in_another_folder_of_the_project_is_read(project: Path) -> None:
    assert filled(spec(project, "../own.json")).model.vocab == 3


@pytest.mark.parametrize("file", ["../../other.json", "../link.json", "/etc/hostname"])
def test_what_lies_outside_stays_unread_and_vocab_has_to_be_stated(project: Path, file: str) -> None:
    found: list[Diagnostic] = []
    assert opened(lambda: found.extend(faults(spec(project, file, more=', eos = "a"')))) == []
    (fault,) = found
    assert fault.code == "E303"
    assert "decoder needs vocab" in fault.message
    assert f"{file} lies outside the project 'project', so it stays unread" in fault.message
    assert fault.help == "write vocab = …, or copy the file into the project and name it there"


def test_with_vocab_stated_nothing_is_said_and_nothing_read(project: Path) -> None:
    place = spec(project, "../../other.json", decoder(), ', eos = "a"')
    assert opened(lambda: filled(place)) == []


def test_a_summary_is_made_without_the_file(project: Path) -> None:
    place = spec(project, "../../other.json", decoder())
    assert opened(lambda: group(["summary", "-q", str(place)], standalone_mode=False)) == []


def test_without_a_project_a_spec_has_its_own_folder(project: Path) -> None:
    (project / "pyproject.toml").unlink()
    assert "lies outside the project 'specs'" in faults(spec(project, "../own.json"))[0].message
    shutil.copy(project / "own.json", project / "specs")
    assert filled(spec(project, "own.json")).model.vocab == 3


def test_a_text_belongs_to_the_project_of_the_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "specs")
    named = UNSTATED + 'tokenizer = pretrained { file = "../own.json" }\n'
    assert filled(named).model.vocab == 3
    assert [each.code for each in faults(named.replace("../own", "../../other"))] == ["E303"]


def test_a_link_to_itself_is_no_file_to_read(project: Path) -> None:
    (project / "loop.json").symlink_to("loop.json")
    assert [each.code for each in faults(spec(project, "../loop.json"))] == ["E303"]


def test_a_person_may_open_what_lies_elsewhere(project: Path) -> None:
    config = tokenizers.pretrained(file=str(project.parent / "other.json"))
    assert config.vocab_size() == 5
    assert config.problems(Context()) == []
    with pytest.raises(Exception, match="file must be a tokenizer"):
        tokenizers.pretrained(file="/etc/hostname").build(Context())


def _filled(kind: str) -> str:
    """A file of nearly as many values, or bytes, as are read."""
    if kind == "names":
        entries = ",".join(f'"{number:014x}":{number}' for number in range(1_400_000))
        return f'{{"model":{{"vocab":{{{entries},"\N{GRINNING FACE}":3}}}}}}'
    return f'{{"model":{{"vocab":{{"a":1}}}},"x":[{"[]," * 900_000}1]}}'


MEASURED = """
import sys
from pathlib import Path
from llm_build.resolve import read, source_of
read(source_of(Path(sys.argv[1])))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("kind", ["names", "lists"])
def test_the_largest_tokenizer_that_is_read_takes_less_than_500_mib(kind: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "tokenizer.json").write_text(_filled(kind), encoding="utf-8")
    spec = tmp_path / "spec.llm"
    spec.write_text('llm 1\ntokenizer = pretrained { file = "tokenizer.json" }\n', encoding="utf-8")
    peak = finished(start(sys.executable, "-c", MEASURED, spec))
    assert int(peak) < 500 * 1024


def test_a_tokenizer_with_more_values_is_not_read_and_the_limit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(f'{{"model":{{"vocab":{{"a":1}}}},"x":[{"1," * 2_000_001}1]}}', encoding="utf-8")
    (problem,) = tokenizers.pretrained(file=str(file)).problems(Context())
    assert "up to 36 MiB and 2_000_000 values" in problem.message
