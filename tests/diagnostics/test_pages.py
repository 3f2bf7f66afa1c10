"""Every code has a page; its example says exactly that code, and what to write instead says nothing."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_build.diagnostics import Source, render
from llm_build.diagnostics.pages import HERE, codes, lead, page, title
from llm_build.errors import SpecError
from llm_build.resolve import read

ROOT = Path(__file__).parents[2]
SNAPSHOTS = Path(__file__).parent / "pages"
BLOCK = re.compile(r"^```(\w+)(?: ([\w.]+))?\n(.*?)^```$", re.M | re.S)
SAID = re.compile(r"^(?:error|warning|note)\[([EWN][0-9]{3})\]", re.M)
CODE = re.compile(r"[EWN][0-9]{3}")


def sections(code: str) -> dict[str, str]:
    text = page(code)
    assert text is not None
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def shown(section: str, folder: Path) -> str:
    """What is said of the blocks of a section: those with a name are written, then the last one is read or run."""
    blocks = BLOCK.findall(section)
    assert blocks
    for _, name, text in blocks:
        if name:
            (folder / name).write_text(text, encoding="utf-8")
    language, name, text = blocks[-1]
    if language == "sh":
        return ran(["sh", "-ec", text], folder)
    if language == "python":
        return raised(text, folder)
    return render(read(Source(name or "spec.llm", text, str(folder / (name or "spec.llm")))).diagnostics)


def ran(command: list[str], folder: Path) -> str:
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, check=False, cwd=folder, env=here, capture_output=True, text=True, timeout=120)
    assert done.returncode == int("error[" in done.stderr), done.stderr
    return done.stderr.rstrip("\n")


def raised(text: str, folder: Path) -> str:
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(text, "page", "exec"), {})
    except SpecError as fault:
        return render(fault.diagnostics)
    finally:
        os.chdir(before)
    return ""


@pytest.mark.parametrize("code", codes())
def test_the_example_says_exactly_the_code_and_what_stands_in_the_snapshot(code: str, tmp_path: Path) -> None:
    found = shown(sections(code)["Example"], tmp_path)
    assert set(SAID.findall(found)) == {code}
    # machines differ in their memory
    found = re.sub(r"there are [\d.]+ GiB", "there are … GiB", found)
    assert found + "\n" == (SNAPSHOTS / f"{code}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", codes())
def test_what_to_write_instead_says_nothing(code: str, tmp_path: Path) -> None:
    assert shown(sections(code)["Write instead"], tmp_path) == ""


@pytest.mark.parametrize("code", codes())
def test_a_page_says_what_and_why_and_shows_both(code: str) -> None:
    text = page(code)
    assert text is not None
    assert text.startswith(f"# {code}: {title(code)}\n\n")
    assert lead(code).endswith(".")
    assert list(sections(code)) == ["Why", "Example", "Write instead"]
    assert sections(code)["Why"].strip().endswith(".")
    assert all(char.isprintable() for char in text if char != "\n")


def literals() -> Iterator[str]:
    """Every string of the sources that is a code."""
    for folder in ("registry", "plugins"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                    yield node.value


def test_every_code_that_the_sources_name_has_a_page_and_no_other_has() -> None:
    assert sorted(set(literals())) == codes()


def test_what_is_no_code_has_no_page() -> None:
    assert [page(each) for each in ("E999", "../E301", "e301", "", "E301.md")] == [None] * 5
    assert {each.name for each in HERE.iterdir()} >= {f"{code}.md" for code in codes()}


def test_every_code_has_a_snapshot_and_no_other() -> None:
    assert sorted(each.stem for each in SNAPSHOTS.glob("*.txt")) == codes()
