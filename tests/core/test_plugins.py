"""Components from elsewhere: a distribution, a file that the command line names, and plugins that are broken."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from llm_build.discovery import entry_points
from llm_build.hookspecs import GROUP
from tests.packages import ACME_FILE, build_wheel, make_up, unpack
from tests.processes import ROOT, finished, llm_build, python

ACME = ROOT / "tests" / "plugins" / "acme_norm"
CLAIM = """
from llm_build import Config, component, hookimpl

@component("norm:acme.twin", module="claim:Twin")
class twin(Config):
    pass

@hookimpl
def llm_components():
    return [twin]
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
BROKEN = {
    "an import that fails": ("import not_there\n", "ModuleNotFoundError: No module named 'not_there'"),
    "a file that is no Python": ("def\n", "SyntaxError"),
    "a hook that raises": (
        "from llm_build import hookimpl\n@hookimpl\ndef llm_components():\n    raise ZeroDivisionError('by 0')\n",
        "ZeroDivisionError: by 0",
    ),
    "a hook that is misspelt": (
        "from llm_build import hookimpl\n@hookimpl\ndef llm_component():\n    return []\n",
        "unknown hook 'llm_component'",
    ),
    "an id without a slot": (
        "from llm_build import hookimpl\n@hookimpl\ndef llm_components():\n    return {'rms': 'a:b'}\n",
        'a component is named "slot:name" in lower case, such as "norm:acme.ring"; "rms" arrived',
    ),
}


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
    assert "ScaleNorm" in python(STEPS.format(spec=str(spec)), PYTHONPATH=acme)


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
    found = [(each.name, each.value, each.distribution, each.version) for each in entry_points(GROUP)]
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
    assert finished(llm_build("check", spec, "--plugin", tmp_path / "nothing.py")) == f"{spec}: fine\n"


def test_a_module_on_the_command_line_brings_its_component(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text(ACME_FILE, encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    finished(llm_build("check", spec, "--plugin", "nothing", PYTHONPATH=tmp_path))


@pytest.mark.parametrize("named", ["not_there", "not_there.py", "broken.py"])
def test_a_plugin_that_a_person_named_must_work(named: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    done = llm_build("check", spec_with(tmp_path, "rms"), "--plugin", named, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --plugin {named} cannot be used: ")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_reported_and_stops_nobody(kind: str, acme: Path, tmp_path: Path) -> None:
    text, reason = BROKEN[kind]
    broken = make_up(tmp_path / "broken", "a_broken_one", text, distribution="a-broken-one", version="3.2")
    spec = spec_with(tmp_path, "acme.scale_norm")
    done = llm_build("check", spec, PYTHONPATH=f"{broken}:{acme}")
    assert finished(done) == f"{spec}: fine\n"
    assert "warning: plugin a_broken_one of a-broken-one 3.2: " in done.stderr
    assert reason in done.stderr


def test_two_owners_of_an_id_are_a_fault_only_where_it_is_used(tmp_path: Path) -> None:
    one = make_up(tmp_path / "one", "one", CLAIM, distribution="acme-one", version="1.2")
    two = make_up(tmp_path / "two", "two", CLAIM, distribution="acme-two", version="3.4")
    finished(llm_build("check", spec_with(tmp_path, "layer"), PYTHONPATH=f"{one}:{two}"))
    done = llm_build("check", spec_with(tmp_path, "acme.twin"), PYTHONPATH=f"{one}:{two}")
    assert done.returncode == 1
    assert "norm:acme.twin is claimed by acme-one 1.2 and acme-two 3.4; pip uninstall one of them" in done.stderr
    assert "Traceback" not in done.stderr
