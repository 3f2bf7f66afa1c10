"""A checkpoint whose components are not here says which, and what brings them, before its weights are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from llm_build import RunError, load, open_run, train
from llm_build.cli import main
from llm_build.run import refuse_missing
from tests.packages import ACME_FILE, build_wheel, unpack
from tests.processes import ROOT, finished, llm_build
from tests.runs import make_run, seal
from tests.small import spec_text, write_texts

NEEDS = (
    "needs components that are not here: norm:acme.scale_norm, which acme-norm 2.1.0 brought: "
    'pip install "acme-norm==2.1.0"'
)


def acme_spec(texts: Path, norm: str = "acme.scale_norm") -> str:
    return spec_text(texts, length="steps = 1, batch = 2").replace("block { norm = rms", f"block {{ norm = {norm}")


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the distribution acme-norm is installed: here it is not on the path."""
    folder = tmp_path_factory.mktemp("acme")
    return unpack(build_wheel(ROOT / "tests" / "plugins" / "acme_norm", folder / "wheel"), folder / "installed")


@pytest.fixture(scope="module")
def run(acme: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was made where acme-norm was installed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "a.llm").write_text(acme_spec(write_texts(folder / "texts")), encoding="utf-8")
    options = ("--out", folder / "out", "--device", "cpu", "-q")
    finished(llm_build("train", folder / "a.llm", *options, PYTHONPATH=acme))
    return folder / "out"


def say(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return int(left.value.code or 0)


def test_a_checkpoint_names_the_owner_of_every_component(run: Path) -> None:
    (checkpoint,) = (run / "checkpoints").iterdir()
    found = json.loads((checkpoint / "versions.json").read_text(encoding="utf-8"))["components"]
    assert found["norm:acme.scale_norm"] == {
        "version": 1,
        "distribution": "acme-norm",
        "distribution_version": "2.1.0",
    }
    assert {"model:decoder", "tokenizer:bpe", "optimizer:adamw", "cache:dense"} <= set(found)
    assert all(set(each) == {"version", "distribution", "distribution_version"} for each in found.values())


def test_with_the_plugin_it_opens(run: Path, acme: Path) -> None:
    done = llm_build("generate", run, "--prompt", "one", "--max-new", "2", "--device", "cpu", PYTHONPATH=acme)
    assert finished(done).startswith("one")


def test_without_the_plugin_it_is_named_before_the_weights_are_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("a component is missing, and yet the weights were read")

    monkeypatch.setattr("llm_build.checkpoint.safe_open", read)
    with pytest.raises(RunError) as caught:
        open_run(run, device="cpu")
    assert str(caught.value) == f"{run}/checkpoints/step-000001 {NEEDS}"


@pytest.mark.parametrize("allowed", ["", "other"])
def test_a_plugin_that_the_allow_list_leaves_out_is_not_to_be_installed(run: Path, acme: Path, allowed: str) -> None:
    done = llm_build("generate", run, "--device", "cpu", PYTHONPATH=acme, LLM_BUILD_PLUGINS=allowed)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1].partition("not here: ")[2]
    assert said == (
        "norm:acme.scale_norm, which acme-norm 2.1.0 brings, and that is left out by LLM_BUILD_PLUGINS: "
        "add acme-norm to it"
    )


def test_a_plugin_that_is_here_and_broken_says_why(run: Path, acme: Path, tmp_path: Path) -> None:
    place = shutil.copytree(acme, tmp_path / "installed")
    (place / "acme_norm" / "__init__.py").write_text("import not_there", encoding="utf-8")
    done = llm_build("generate", run, "--device", "cpu", PYTHONPATH=place)
    said = done.stderr.splitlines()[-1].partition("not here: ")[2]
    assert said.startswith(
        "norm:acme.scale_norm, which acme-norm 2.1.0 brings, and that cannot be used: "
        "ModuleNotFoundError: No module named 'not_there'; ask its author"
    )


@pytest.mark.parametrize("verb", ["generate", "eval"])
def test_the_verbs_name_it(verb: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(verb, run, "--device", "cpu") == 1
    assert capsys.readouterr().err == f"error: {run}/checkpoints/step-000001 {NEEDS}\n"


def test_a_run_that_starts_from_it_names_it(run: Path, tmp_path: Path) -> None:
    spec = load(spec_text(run.parent / "texts", length="steps = 1, batch = 2"))
    with pytest.raises(RunError, match=r"needs components that are not here: norm:acme\.scale_norm"):
        train(spec, init=run, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def changed(run: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """What is said of a small run whose versions.json was changed, and sealed anew."""
    checkpoint = run / "checkpoints" / "step-000001"
    told = json.loads((checkpoint / "versions.json").read_text(encoding="utf-8"))
    change(told["components"])
    (checkpoint / "versions.json").write_text(json.dumps(told), encoding="utf-8")
    seal(checkpoint)
    with pytest.raises(RunError) as caught:
        open_run(run, device="cpu")
    return str(caught.value)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", {1: 1.0})


def test_every_missing_component_is_named(small: Path) -> None:
    def change(components: dict[str, Any]) -> None:
        components["norm:acme.a"] = {"version": 1, "distribution": "acme", "distribution_version": "3"}
        components["norm:acme.b"] = {"version": 1, "distribution": "beta", "distribution_version": "4"}

    said = changed(small, change)
    assert 'norm:acme.a, which acme 3 brought: pip install "acme==3"; norm:acme.b, which beta 4 brought: ' in said


def test_another_version_of_a_component_is_refused(small: Path) -> None:
    """A component's version goes up when its figures or the names of its weights change."""
    said = changed(small, lambda components: components["norm:rms"].update(version=7, distribution_version="9.9"))
    assert "norm:rms of version 7 (version 1 is installed), which llm-build 9.9 brought" in said
    assert 'pip install "llm-build==9.9"' in said


def test_another_version_of_a_distribution_is_fine(small: Path) -> None:
    versions = small / "checkpoints" / "step-000001" / "versions.json"
    told = json.loads(versions.read_text(encoding="utf-8"))
    for each in told["components"].values():
        each["distribution_version"] = "0.0.1"
    versions.write_text(json.dumps(told), encoding="utf-8")
    refuse_missing(versions)


@pytest.mark.parametrize(
    ("field", "value"), [("distribution", "a$(b)"), ("distribution_version", '1"; b'), ("version", {})]
)
def test_nothing_from_a_hostile_file_gets_into_a_line_for_a_shell(small: Path, field: str, value: Any) -> None:
    made = {"version": 1, "distribution": "acme", "distribution_version": "3"}
    said = changed(small, lambda components: components.update({"norm:acme.a": {**made, field: value}}))
    assert "norm:acme.a, " in said
    assert "$(" not in said
    assert '"; b' not in said


@pytest.mark.parametrize("identity", ["", "norm", "norm:\x1b[2J", "a b:c"])
def test_an_id_that_is_none_is_refused(small: Path, identity: str) -> None:
    said = changed(small, lambda components: components.update({identity: {"version": 1}}))
    assert "must list the components of a run, and it does not" in said


def test_a_plugin_that_the_command_line_named_is_named_again(tmp_path: Path) -> None:
    file = tmp_path / "nothing.py"
    file.write_text(ACME_FILE, encoding="utf-8")
    (tmp_path / "a.llm").write_text(acme_spec(write_texts(tmp_path / "texts"), "acme.nothing"), encoding="utf-8")
    run = tmp_path / "run"
    finished(llm_build("train", tmp_path / "a.llm", "--plugin", file, "--out", run, "-q", "--device", "cpu"))
    done = llm_build("generate", run, "--device", "cpu")
    assert done.returncode == 1
    assert f"norm:acme.nothing, which a plugin that was named brought: --plugin {file}\n" in done.stderr
    again = llm_build("generate", run, "--prompt", "one", "--plugin", file, "--device", "cpu")
    assert finished(again).startswith("one")


def test_what_was_made_in_python_is_opened_with_its_spec(small: Path) -> None:
    def change(components: dict[str, Any]) -> None:
        components["norm:mine"] = {"version": 1, "distribution": None, "distribution_version": None}

    said = changed(small, change)
    assert (
        "norm:mine, which was made in Python: name its module with --plugin, or open it with open_run(…, config=…)"
        in said
    )
    config = attrs.evolve(load(spec_text()), data=None)
    assert open_run(small, config=config, device="cpu").config == config
