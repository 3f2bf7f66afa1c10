"""A stranger's spec is data: whatever it holds, diagnostics come out, soon, and nothing else happens."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build.errors import SpecError
from llm_build.language.files import SIZE_LIMIT
from tests.language import hostile
from tests.language.hostile_texts import TEXTS
from tests.language.reading import decoder, faults
from tests.laws import law
from tests.processes import ROOT, finished, start

WATCH = hostile.Watch()
MEMORY_MIB = 500
SECONDS = 30

MEASURED = """
import gc, re, sys, time
gc.disable()  # as `check` does
from pathlib import Path
from llm_build.diagnostics import Source, render
from llm_build.resolve import read
source = Source("hostile.llm", sys.stdin.read())
render(read(source).diagnostics)
print(time.process_time(), int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = hostile.prepare(tmp_path_factory.mktemp("hostile"))
    for text in hostile.corpus():
        hostile.check(text, made)  # what is imported once is imported before anyone listens
    return made


@law
@given(st.data(), st.integers(0, 2**32))
def test_a_mutated_spec_gives_diagnostics_and_nothing_else(project: Path, data: st.DataObject, seed: int) -> None:
    texts, draw = hostile.corpus(), random.Random(seed)
    text = hostile.mutate(data.draw(st.sampled_from(texts)), data.draw(st.sampled_from(texts)), draw)
    hostile.lay(text, project)
    with WATCH(project):
        hostile.check(text, project)
        hostile.chain(text, project)


@law
@given(words=st.lists(st.sampled_from(hostile.WORDS), max_size=60))
def test_words_of_the_language_in_any_order_give_diagnostics(project: Path, words: list[str]) -> None:
    with WATCH(project):
        hostile.check("llm 1\n" + " ".join(words), project)


@law
@given(text=st.text(max_size=80))
def test_any_text_gives_diagnostics(project: Path, text: str) -> None:
    with WATCH(project):
        hostile.check(text, project)


@pytest.mark.parametrize("path", hostile.OUTSIDE)
@pytest.mark.parametrize("target", [hostile.check, hostile.chain])
def test_a_tokenizer_outside_the_project_is_not_opened(
    project: Path, path: str, target: Callable[[str, Path], int]
) -> None:
    text = decoder(above=f'tokenizer = pretrained {{ file = "{path}", eos = "a" }}')
    hostile.lay(text, project)
    with WATCH(project):
        target(text, project)


def _watched(project: Path, act: Callable[[], object]) -> None:
    with WATCH(project), contextlib.suppress(ImportError):
        act()


def test_the_watch_sees_what_it_forbids(project: Path) -> None:
    outside = project.parent / "x.llm"
    for forbidden in (
        lambda: outside.read_text(encoding="utf-8"),
        lambda: (project / "link.json").read_text(encoding="utf-8"),
        lambda: (project / "new").write_text("", encoding="utf-8"),
        lambda: subprocess.run(["true"], check=True),
        lambda: __import__("acme_nowhere"),
        lambda: sys.modules.update({"acme_loaded": sys}),
    ):
        with pytest.raises(AssertionError):
            _watched(project, forbidden)
    with WATCH(project):
        (project / "base.llm").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("name", TEXTS)
def test_the_largest_hostile_text_ends_soon_and_in_little_memory(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], input=TEXTS[name], capture_output=True, text=True, check=False, timeout=300
    )
    seconds, peak = map(float, finished(done).split())
    assert seconds < SECONDS
    assert peak < MEMORY_MIB


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.llm"
    file.write_text("#" * (SIZE_LIMIT + 1), encoding="utf-8")
    with pytest.raises(SpecError, match="256 KiB"):
        faults(file)


def test_coverage_guides_a_short_run() -> None:
    pytest.importorskip("atheris", reason="there is no wheel of atheris for this Python")
    done = start(sys.executable, ROOT / "tools" / "bench" / "fuzz.py", "--inputs", "400", "--seed", "3")
    assert "400 inputs, nothing but diagnostics" in finished(done)


def test_params_that_hang_on_each_other_nest_no_deeper_than_python_can(tmp_path: Path) -> None:
    names = range(99)
    (tmp_path / "base.llm").write_text("llm 1\n" + "".join(f"param p{i} = 1\n" for i in names), encoding="utf-8")
    rows = [f"param p{i} = {'max(' * 60}p{i - 1}{')' * 60}\n" for i in reversed(names[1:])]
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\n' + "".join(rows), encoding="utf-8")
    assert {each.code for each in faults(tmp_path / "child.llm")} == {"E108", "E303"}


def test_the_files_of_a_chain_are_together_no_larger_than_one_may_be(tmp_path: Path) -> None:
    for index in range(6):
        text = f'llm 1\nextends "{index + 1}.llm"\n' + "#" * (SIZE_LIMIT // 4)
        (tmp_path / f"{index}.llm").write_text(text, encoding="utf-8")
    (found,) = [each for each in faults(tmp_path / "0.llm") if each.code == "E208"]
    assert "256 KiB together" in found.message
    assert found.span.source.name.endswith("2.llm")


FOUND = {
    "operators of every strength in many calls": "llm 1\nparam a = " + "true or true and not 1 == 1 + 1 * -max(" * 60,
    "64 bodies within each other": "llm 1\n" + "a { " * 64 + "}" * 64,
    "a requirement that is a bare name": decoder() + "require small\n",
    "a selection by a bare name": decoder() + "model { layers[first] { checkpoint = true } }\n",
    "brackets where the edition is due": "llm od [ le = d [ er {\n dim =\n}\n",
    "a comma before a name, and little else": ' , ll 1\np dim el = decoder <m 64\n}\nxtends "b=',
    "a zero in a path": 'llm 1\nextends "\\u0000"\n',
    "half a surrogate pair in a path": 'llm 1\nextends "\\ud800"\n',
    "a long path": f'llm 1\nextends "{"a" * 5_000}"\n',
    "a tokenizer at a long path": f'llm 1\ntokenizer = pretrained {{ file = "{"a" * 300}" }}\n',
    "a tokenizer that never ends": 'llm 1\ntokenizer = pretrained { file = "/dev/zero" }\n',
    "a percentage behind a stray character": "llm 1\nparam d = mo1$1%\n",
}
"""What the fuzzers found, as texts of the same make."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_gives_diagnostics(project: Path, name: str) -> None:
    assert hostile.check(FOUND[name], project)
