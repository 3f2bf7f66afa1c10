"""Components from elsewhere: a distribution, and what the command line or the working directory names."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from llm_build.discovery import entry_points
from llm_build.hookspecs import FAMILY, GROUP
from tests.packages import ACME_FILE, NOTHING, build_wheel, unpack
from tests.processes import ROOT, finished, llm_build, python, with_torch

ACME = ROOT / "tests" / "plugins" / "acme_norm"
LISTED = """[project]
name = "mine"

[tool.llm-build]
plugins = ["parts/nothing.py", "ring"]
"""
RING = """
from torch import nn

class Ring(nn.Identity):
    pass
"""
STEPS = """
import torch
from llm_build import build, load

model = build(load({spec!r}))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
tokens = torch.arange(24).reshape(2, 12) % 7
losses = []
for _ in range(3):
    loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    losses.append(float(loss))
assert losses == sorted(losses, reverse=True), losses
print(*sorted({{type(each).__name__ for each in model.modules()}}))
"""


def spec_with(folder: Path, norm: str) -> Path:
    """A small spec whose block has a norm, in a folder."""
    block = f"block {{ norm = {norm}, attention = gqa {{ heads = 2 }}, ffn = swiglu }}"
    fields = ["dim = 16", "vocab = 32", "context = 16", f"layers = 2 * {block}", "norm = layer"]
    spec = folder / "spec.llm"
    spec.write_text("llm 1\nmodel = decoder {\n  " + "\n  ".join(fields) + "\n}\n", encoding="utf-8")
    return spec


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the distribution acme-norm, built on its own, is installed."""
    folder = tmp_path_factory.mktemp("acme")
    return unpack(build_wheel(ACME, folder / "wheel"), folder / "installed")


def test_a_distribution_brings_its_component(acme: Path, tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "acme.scale_norm { eps = 1e-6 }")
    assert finished(llm_build("check", spec, PYTHONPATH=acme)) == f"{spec}: fine\n"
    assert "ScaleNorm" in finished(with_torch(STEPS.format(spec=str(spec)), PYTHONPATH=acme))


def test_its_fields_are_checked_like_all_others(acme: Path, tmp_path: Path) -> None:
    done = llm_build("check", spec_with(tmp_path, "acme.scale_norm { eps = 0 }"), PYTHONPATH=acme)
    assert done.returncode == 1
    assert "eps takes a number above 0; 0 arrived" in done.stderr


def test_who_brings_a_component_is_known(acme: Path) -> None:
    program = "from llm_build.registry import installed; print(installed().find('norm', 'acme.scale_norm').owner)"
    assert python(program, PYTHONPATH=acme) == "acme-norm 2.1.0\n"


def test_listing_a_distribution_imports_no_torch(acme: Path) -> None:
    listing = "import sys; from llm_build.registry import installed; installed()"
    program = f"{listing}; print('acme_norm' in sys.modules, 'torch' in sys.modules)"
    assert python(program, PYTHONPATH=acme) == "True False\n"


def test_entry_points_are_those_that_python_finds(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(acme)
    expected = {
        (each.name, each.value, each.dist.name, each.dist.version) for each in metadata.entry_points(group=GROUP)
    }
    found = [(each.name, each.value, each.distribution, each.version) for each in entry_points(FAMILY)]
    assert set(found) == expected
    assert len(found) == len(expected) > 10


def test_without_the_distribution_the_component_is_not_there(tmp_path: Path) -> None:
    done = llm_build("check", spec_with(tmp_path, "acme.scale_norm"))
    assert done.returncode == 1
    assert "acme.scale_norm" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_on_the_command_line_brings_its_component(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text(ACME_FILE, encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    assert llm_build("check", spec).returncode == 1
    done = llm_build("check", spec, "--plugin", tmp_path / "nothing.py")
    assert (finished(done), done.stderr) == (f"{spec}: fine\n", "")


def test_a_module_on_the_command_line_brings_its_component(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text(ACME_FILE, encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    finished(llm_build("check", spec, "--plugin", "nothing", PYTHONPATH=tmp_path))
    finished(llm_build("check", spec, "--plugin", "nothing", cwd=tmp_path))


def test_what_lies_beside_a_file_of_the_command_line_can_be_imported(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "ring.py").write_text(NOTHING.replace("torch.nn:Identity", "ring_module:Ring"), encoding="utf-8")
    (away / "ring_module.py").write_text(RING, encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    done = llm_build("summary", spec, "--plugin", "ring.py", "--plugin", "./ring.py", cwd=away)
    assert "layers.0-1" in finished(done)


def test_a_plugin_that_is_installed_may_be_named_as_well(acme: Path, tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "acme.scale_norm")
    finished(llm_build("check", spec, "--plugin", "acme_norm", PYTHONPATH=acme))


def test_the_working_directory_lists_files_and_modules(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(LISTED, encoding="utf-8")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "nothing.py").write_text(NOTHING, encoding="utf-8")
    (tmp_path / "ring.py").write_text(NOTHING.replace("acme.nothing", "acme.ring"), encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    done = llm_build("check", spec, "--set", "model.norm=acme.ring", cwd=tmp_path)
    assert (finished(done), done.stderr) == (f"{spec}: fine\n", "")
    python(f"from llm_build import load; load({str(spec)!r})", cwd=tmp_path)


def test_one_file_that_the_working_directory_lists_may_hold_the_module_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.llm-build]\nplugins = ["nothing.py"]\n', encoding="utf-8")
    (tmp_path / "nothing.py").write_text(ACME_FILE, encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    done = llm_build("summary", spec, cwd=tmp_path)
    assert "layers.0-1" in finished(done)
    assert done.stderr == ""


def test_only_the_working_directory_is_asked_for_a_list(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = tmp_path / "nothing.py"
    file.write_text(f"print('it ran')\n{NOTHING}", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(f'[tool.llm-build]\nplugins = ["{file}"]\n', encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    assert "it ran" in llm_build("check", spec, cwd=tmp_path).stderr
    for elsewhere in (inner, ROOT):
        done = llm_build("check", spec, cwd=elsewhere)
        assert done.returncode == 1
        assert "no component `acme.nothing` is installed" in done.stderr
        assert "it ran" not in done.stderr


def test_an_empty_allow_list_leaves_the_working_directory_out(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(LISTED.replace("parts/", ""), encoding="utf-8")
    (tmp_path / "nothing.py").write_text(NOTHING, encoding="utf-8")
    (tmp_path / "ring.py").write_text("print('it ran')", encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    done = llm_build("check", spec, cwd=tmp_path, LLM_BUILD_PLUGINS="")
    assert done.returncode == 1
    assert "nothing.py is left out by LLM_BUILD_PLUGINS" in done.stderr
    done = llm_build("check", spec, cwd=tmp_path, LLM_BUILD_PLUGINS="nothing.py")
    assert (finished(done), done.stderr) == (f"{spec}: fine\n", "")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (
            'plugins = ["gone.py"]',
            "plugin gone.py: FileNotFoundError: gone.py is not a Python file; mend it, or take",
        ),
        ('plugins = ["gone"]', "plugin gone: ModuleNotFoundError: No module named 'gone'; mend it, or take it out of"),
        ('plugins = "gone.py"', '[tool.llm-build] of pyproject.toml holds plugins = ["FILE_OR_MODULE", …] and nothing'),
        ("plugins = [1]", '[tool.llm-build] of pyproject.toml holds plugins = ["FILE_OR_MODULE", …] and nothing else'),
        ('plugin = ["a.py"]', '[tool.llm-build] of pyproject.toml holds plugins = ["FILE_OR_MODULE", …] and nothing'),
        ("plugins = [", "pyproject.toml cannot be read: "),
    ],
)
def test_a_list_at_fault_is_reported_and_stops_nobody(listed: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.llm-build]\n{listed}\n", encoding="utf-8")
    spec = spec_with(tmp_path, "rms")
    done = llm_build("check", spec, cwd=tmp_path)
    assert finished(done) == f"{spec}: fine\n"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: plugin ")
    assert said in warning


@pytest.mark.parametrize(
    "table",
    [
        "[tool.llm-build]\nplugins = {}",
        "[ tool . 'llm-build' ]\nplugins = {}",
        "[tool]\nllm-build.plugins = {}",
        "[tool]\nllm-build = {{ plugins = {} }}",
        "tool.llm-build = {{ plugins = {} }}",
    ],
)
def test_a_list_may_be_written_in_every_way_of_toml(table: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(table.format('["nothing.py"]'), encoding="utf-8")
    (tmp_path / "nothing.py").write_text(NOTHING, encoding="utf-8")
    finished(llm_build("check", spec_with(tmp_path, "acme.nothing"), cwd=tmp_path))


@pytest.mark.parametrize("named", ["not_there", "not_there.py", "broken.py"])
def test_a_plugin_that_a_person_named_must_work(named: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    done = llm_build("check", spec_with(tmp_path, "rms"), "--plugin", named, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --plugin {named} cannot be used: ")
