"""`llm-build new plugin`: what it writes installs, passes its tests, lists without torch and can be named at once."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from llm_build import Silence
from llm_build.errors import PluginError
from llm_build.interfaces import PROTOCOLS
from llm_build.scaffold import names_of, new_plugin, slots
from tests.packages import environment, install_into
from tests.processes import finished, llm_build, start

SLOTS = {
    *["attention", "ffn", "router", "norm", "position", "placement", "activation", "tokenizer", "data", "objective"],
    *["optimizer", "schedule", "sampler", "cache"],
}
EVERYTHING = """llm 1
tokenizer = acme.tokenizer
data = acme.data {{ file = "{file}" }}
model = decoder {{
  dim = 8, context = 16, norm = acme.norm, position = acme.position
  layers = block {{
    placement = acme.placement {{ norm = acme.norm }}
    attention = acme.attention {{ heads = 2 }}
    ffn = moe {{
      experts = 3
      router = acme.router {{ k = 2 }}
      expert = acme.ffn {{ hidden = 8 }}
      shared = mlp {{ activation = acme.activation }}
    }}
  }}
}}
train = pretrain {{
  steps = 2, batch = 2, samples = 0
  objective = acme.objective, optimizer = acme.optimizer, schedule = acme.schedule
}}
generate = decode {{ sampler = acme.sampler, cache = acme.cache, max_new = 4 }}
"""
"""Names a component of every slot that can be written."""
LISTED = """
import sys
from llm_build.cli import _run
assert _run(["plugins", "--json"]) == 0
assert "torch" not in sys.modules
"""


def write(name: str, slot: str, folder: Path) -> list[Path]:
    return new_plugin(names_of(name, slot), slot, folder)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin for every slot, each as it is written."""
    folder = tmp_path_factory.mktemp("desk")
    for slot in slots():
        write(f"acme-{slot}", slot, folder)
    return folder


@pytest.fixture(scope="module")
def python(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which all of them are installed."""
    python = environment(tmp_path_factory.mktemp("environment"))
    install_into(python, *desk.iterdir())
    return python


def test_there_is_a_template_for_every_slot_that_plugins_are_written_for() -> None:
    assert set(slots()) == SLOTS
    assert set(slots()) <= set(PROTOCOLS)


def test_a_norm_is_four_files_and_thirty_lines(tmp_path: Path) -> None:
    said = finished(llm_build("new", "plugin", "acme-scale-norm", "--slot", "norm", cwd=tmp_path))
    files = sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*") if each.is_file())
    assert files == [
        "acme-scale-norm/pyproject.toml",
        "acme-scale-norm/src/acme_scale_norm/__init__.py",
        "acme-scale-norm/src/acme_scale_norm/module.py",
        "acme-scale-norm/tests/test_acme_scale_norm.py",
    ]
    assert set(files) < set(said.splitlines())
    lines = [line for file in files for line in (tmp_path / file).read_text(encoding="utf-8").splitlines()]
    assert len([line for line in lines if line.strip()]) <= 30


def test_its_names_follow_from_the_one_given(tmp_path: Path) -> None:
    text = "".join(each.read_text(encoding="utf-8") for each in write("acme-scale-norm", "norm", tmp_path))
    for expected in (
        'build-backend = "hatchling.build"',
        'name = "acme-scale-norm"',
        'entry-points."llm_build.v1".acme-scale-norm = "acme_scale_norm"',
        '@component("norm:acme.scale_norm", module="acme_scale_norm.module:ScaleNorm")',
        "class scale_norm(Config)",
        "class ScaleNorm(nn.Module)",
        'test_scale_norm = conformance("norm:acme.scale_norm")',
    ):
        assert expected in text


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be written: File name too long; choose another folder or name"):
        write(f"acme-{'x' * 300}", "norm", tmp_path)


def test_written_data_ends_a_line_where_json_lines_end_one(desk: Path, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    texts = ["one\u2028two", "three\x85four"]
    file.write_text("\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts), encoding="utf-8")
    found = runpy.run_path(str(desk / "acme-data" / "src" / "acme_data" / "module.py"))["Data"]
    made = found(SimpleNamespace(file=str(file), held_out=None), None)
    assert [each.text for each in made.documents(Silence())] == texts


@pytest.mark.parametrize("slot", sorted(SLOTS))
def test_what_is_written_is_tidy(slot: str, desk: Path) -> None:
    project = desk / f"acme-{slot}"
    files = [each for each in project.rglob("*") if each.is_file() and each.suffix in {".py", ".toml"}]
    assert len(files) == 4
    assert not any(re.search(r"\bthing\b|_thing", each.read_text(encoding="utf-8"), re.IGNORECASE) for each in files)
    ruff = [Path(sys.executable).with_name("ruff"), "check", "--isolated", "--no-cache"]
    rules = "B,C4,D419,E4,E7,E9,F,I,N8,PIE,RET,RUF1,SIM,UP,W"
    subprocess.run([*ruff, "--select", rules, "--ignore", "N801", project], check=True)
    subprocess.run(
        [*ruff[:1], "format", "--isolated", "--no-cache", "--line-length", "120", "--check", project], check=True
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ring", "write ring-norm"),
        ("acme.ring", "write acme-ring"),
        ("Acme_Ring", "write acme-ring"),
        ("acme-2", "write acme-norm"),
        ("../evil", "write evil-norm"),
        ("acme-ring-", "write acme-ring"),
        ("", "write acme-norm"),
        ("acme-lambda", "lambda, a word of Python"),
        ("llm-build", "llm is a word of the language"),
        ("model-ring", "model"),
        ("acme-hookimpl", "would hide hookimpl"),
        ("acme-llm-components", "would hide llm_components"),
    ],
)
def test_a_name_that_could_not_be_used_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=said):
        write(name, "norm", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_installed_is_never_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site" / "acme_there").mkdir(parents=True)
    (tmp_path / "site" / "acme_there" / "__init__.py").touch()
    write("acme-there", "norm", tmp_path / "before")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(PluginError, match="a package acme_there is installed already"):
        write("acme-there", "norm", tmp_path / "after")


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "acme-ring").write_text("mine", encoding="utf-8")
    done = llm_build("new", "plugin", "acme-ring", "--slot", "norm", cwd=tmp_path)
    assert done.returncode == 2
    assert "acme-ring is there already, and is never written over" in done.stderr
    assert (tmp_path / "acme-ring").read_text(encoding="utf-8") == "mine"


def test_a_slot_without_a_template_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    done = llm_build("new", "plugin", "acme-ring", "--slot", "nrom", cwd=tmp_path)
    assert done.returncode == 2
    assert all(slot in done.stderr for slot in SLOTS)


@pytest.mark.slow
def test_all_that_is_written_passes_its_tests_where_it_is_installed(python: Path, desk: Path) -> None:
    said = finished(start(python, "-m", "pytest", "-q", cwd=desk))
    assert int(re.search(r"(\d+) passed", said)[1]) >= 10 * len(SLOTS)  # type: ignore[index]


@pytest.mark.slow
def test_a_written_test_fails_where_the_module_is_wrong(tmp_path: Path) -> None:
    (module,) = (each for each in write("acme-other", "norm", tmp_path) if each.name == "module.py")
    text = module.read_text(encoding="utf-8").replace("rms_norm(x,", "rms_norm(x[0],")
    module.write_text(text, encoding="utf-8")
    python = environment(tmp_path / "environment")
    install_into(python, tmp_path / "acme-other")
    said = start(python, "-m", "pytest", "-q", "-k", "leading", cwd=tmp_path / "acme-other").stdout
    assert "leading: Any number of leading axes is taken" in said
    assert "1 failed" in said


@pytest.mark.slow
def test_all_that_is_written_is_listed_without_torch(python: Path, tmp_path: Path) -> None:
    listed = json.loads(finished(start(python, "-c", LISTED, cwd=tmp_path)))
    assert not listed["failed"]
    found = {each["slot"]: each for each in listed["components"] if each["component"].startswith("acme.")}
    assert {slot: each["component"] for slot, each in found.items()} == {slot: f"acme.{slot}" for slot in SLOTS}
    assert all(each["doc"] for each in found.values())
    assert found["norm"]["distribution"] == found["norm"]["entry"] == "acme-norm"


@pytest.mark.slow
def test_a_spec_that_names_all_of_them_trains_and_writes(python: Path, tmp_path: Path) -> None:
    texts = [json.dumps({"text": f"{number} and {number + 1} are two numbers"}) for number in range(40)]
    (tmp_path / "texts.jsonl").write_text("\n".join(texts), encoding="utf-8")
    spec = tmp_path / "everything.llm"
    spec.write_text(EVERYTHING.format(file="texts.jsonl"), encoding="utf-8")
    assert finished(start(python, "-m", "llm_build", "check", spec, cwd=tmp_path)) == f"{spec}: fine\n"
    run = ("run", spec, "--out", "run", "--samples", "1", "--quiet", "--device", "cpu")
    finished(start(python, "-m", "llm_build", *run, cwd=tmp_path))
    owners = json.loads((tmp_path / "run" / "versions.json").read_text(encoding="utf-8"))
    assert all(f"acme-{slot}" in json.dumps(owners) for slot in SLOTS)
