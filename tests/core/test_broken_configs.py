"""Plugins whose configs or modules raise: the fault names the component and its plugin, and all else keeps working."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_build import Context, __version__
from llm_build_plugins import attention
from tests.packages import build_wheel, install, write_project
from tests.processes import finished, llm_build, with_torch

BROKEN = """
import sys

from llm_build import Config, Problem, component, hookimpl, part, size

print("listed")


@component("norm:acme.raises", module="torch.nn:Identity")
class raises(Config):
    def check(self, context):
        yield Problem(field="", message="said before")
        1 / 0


@component("norm:acme.named", module="torch.nn:Identity")
class named(Config):
    def check_this(self, context):
        return [][1]


@component("norm:acme.exits", module="torch.nn:Identity")
class exits(Config):
    def check(self, context):
        sys.exit(0)


@component("norm:acme.nonsense", module="torch.nn:Identity")
class nonsense(Config):
    def check(self, context):
        return ["too wide"]


@component("norm:acme.wordless", module="torch.nn:Identity")
class wordless(Config):
    def check(self, context):
        yield Problem(field=None, message="here")


@component("norm:acme.derives", module="torch.nn:Identity")
class derives(Config):
    width: int = size(derive=lambda self, context: {}["width"], says="dim")


@component("norm:acme.circle", module="torch.nn:Identity")
class circle(Config):
    width: int = size(derive=lambda self, context: self.width, says="width")


@component("norm:acme.advises", module="torch.nn:Identity")
class advises(Config):
    width: int = size(derive=lambda self, context: Problem(field="", message="odd", severity="warning"), says="dim")


@component("norm:acme.around", module="torch.nn:Identity")
class around(Config):
    norm: Config = part("norm", default="layer")

    def inside(self, field, context):
        raise OSError("no such thing")


@component("norm:acme.nowhere", module="torch.nn:Identity")
class nowhere(Config):
    norm: Config = part("norm", default="layer")

    def inside(self, field, context):
        context.with_(causal=False)


@component("norm:acme.needs", module="torch.nn:Identity")
class needs(Config):
    def check(self, context):
        context.need("experts")
        return ()


@component("norm:acme.computes", module="torch.nn:Identity")
class computes(Config):
    def check(self, context):
        if {16: 1}[context.dim]:
            return


@component("tokenizer:acme.counts", module="torch.nn:Identity")
class counts(Config):
    def vocab_size(self):
        return open("/there/is/no/such/file")


@component("norm:acme.makes", module="broken_one:Makes")
class makes(Config):
    pass


def Makes(config, context):
    return [][1]


@component("norm:acme.asks", module="broken_one:Asks")
class asks(Config):
    pass


def Asks(config, context):
    return context.need("experts")


@component("norm:acme.gone", module="not_there:Gone")
class gone(Config):
    pass


@hookimpl
def llm_components():
    return [each for each in vars(sys.modules[__name__]).values() if hasattr(each, "__component__")]
"""
REMEDY = f"ask its author for a release that works with llm-build {__version__}, or pip uninstall broken-one"
FAULTS = {
    "raises": "check: ZeroDivisionError: division by zero",
    "named": "check_this: IndexError: list index out of range",
    "exits": "check: SystemExit: 0",
    "nonsense": "check: TypeError: a check yields Problem(field=…, message=…); 'too wide' arrived",
    "wordless": "check: TypeError: a Problem has texts, and a tuple of texts for related; ",
    "derives": "derive of width: KeyError: 'width'",
    "circle": "derive of width: norm:acme.circle derives its field width from itself",
    "advises": "derive of width: norm:acme.advises derives width as a warning; only a check can warn",
    "around": "inside: OSError: no such thing",
    "nowhere": "inside: TypeError: it returns a Context, such as context.with_(…); None arrived",
}
SPEC = """llm 1
model = decoder {{
  dim = {dim}, vocab = 32, context = 16, norm = layer
  layers = [
    block {{ norm = {norm}, attention = gqa {{ heads = 2 }}, ffn = swiglu }},
    block {{ norm = layer, attention = gqa {{ heads = 3 }}, ffn = swiglu }},
    block {{ norm = {norm}, attention = gqa {{ heads = 2 }}, ffn = swiglu }},
  ]
}}
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    project = write_project(folder / "project", "broken-one", "4.2", BROKEN)
    return install(folder / "installed", build_wheel(project, folder / "dist"))


@pytest.fixture(scope="module")
def found(broken: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `check` says of a spec for each way to be broken, in one go."""
    folder = tmp_path_factory.mktemp("specs")
    for name in FAULTS:
        (folder / f"{name}.llm").write_text(SPEC.format(dim=16, norm=f"acme.{name}"), encoding="utf-8")
    specs = [f"{name}.llm" for name in FAULTS]
    done = llm_build("check", *specs, "--format", "json", cwd=folder, PYTHONPATH=broken)
    assert done.returncode == 1, done.stderr
    assert done.stderr == "listed\n"
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FAULTS)
def test_a_config_that_fails_is_a_fault_that_names_its_plugin(name: str, found: list[dict[str, Any]]) -> None:
    ours = [each for each in found if f"norm:acme.{name} " in each["message"] and each["code"] == "E315"]
    for each in ours:
        assert each["message"].startswith(f"norm:acme.{name} of broken-one 4.2 fails in its {FAULTS[name]}")
        assert each["help"] == REMEDY
    assert [each["path"] for each in ours] == ["model.layers[0].norm", "model.layers[2].norm"]


@pytest.mark.parametrize("name", FAULTS)
def test_all_else_is_said_beside_it(name: str, found: list[dict[str, Any]]) -> None:
    beside = [each for each in found if each["span"]["file"] == f"{name}.llm" and each["code"] != "E315"]
    assert "heads must divide dim = 16; 3 arrived" in {each["message"] for each in beside}


def checked(broken: Path, folder: Path, text: str) -> list[tuple[str, str]]:
    """The code of each fault of a spec, and the text at its place."""
    (folder / "spec.llm").write_text(text, encoding="utf-8")
    done = llm_build("check", "spec.llm", "--format", "json", cwd=folder, PYTHONPATH=broken)
    lines = text.splitlines()
    spans = [(each["code"], each["span"]) for each in json.loads(done.stdout)]
    return [(code, lines[at["line"] - 1][at["column"] - 1 : at["end_column"] - 1]) for code, at in spans]


def fine(norm: str) -> str:
    return SPEC.format(dim=16, norm=f"acme.{norm}").replace("heads = 3", "heads = 4")


def test_a_check_that_returns_nothing_finds_nothing(broken: Path, tmp_path: Path) -> None:
    assert checked(broken, tmp_path, fine("computes")) == []


def test_a_check_that_returns_a_list_may_miss_what_nobody_says(broken: Path, tmp_path: Path) -> None:
    assert checked(broken, tmp_path, fine("needs")) == [("E313", "acme.needs")] * 2


def test_a_check_that_fails_on_what_is_faulty_further_out_is_no_fault(broken: Path, tmp_path: Path) -> None:
    assert checked(broken, tmp_path, SPEC.format(dim=0, norm="acme.computes")) == [("E301", "0")]


def test_a_part_that_fails_where_a_spec_asks_it_has_its_own_place(broken: Path, tmp_path: Path) -> None:
    text = fine("computes").replace("llm 1\n", "llm 1\ntokenizer = acme.counts\n").replace("vocab = 32, ", "")
    assert checked(broken, tmp_path, text) == [("E315", "acme.counts")]


def test_a_config_of_ours_that_fails_is_a_bug_and_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    config = attention.gqa(heads=2)
    monkeypatch.setattr(type(config), "check_heads", lambda self, context: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        config.problems(Context(dim=8))


BUILT = {
    "makes": "norm:acme.makes of broken-one 4.2 fails while model.layers[0].placement.norm is built: "
    "IndexError: list index out of range",
    "gone": "norm:acme.gone of broken-one 4.2 names its module not_there:Gone, which cannot be imported: "
    "ModuleNotFoundError: No module named 'not_there'",
}


@pytest.mark.parametrize("name", BUILT)
def test_a_module_that_fails_while_it_is_made_names_its_plugin(name: str, broken: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.llm").write_text(fine(name), encoding="utf-8")
    done = llm_build("summary", "spec.llm", cwd=tmp_path, PYTHONPATH=broken)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"listed\nerror: {BUILT[name]}; {REMEDY}\n"


CAUSES = """
from llm_build import MissingContext, PluginError, build, load

for name in ("makes", "asks"):
    try:
        build(load(SPEC.replace("acme.makes", f"acme.{name}")))
    except (PluginError, MissingContext) as fault:
        print(type(fault).__name__, type(fault.__cause__).__name__)
"""


def test_what_a_constructor_raises_is_the_cause_and_our_own_errors_stay(broken: Path) -> None:
    said = finished(with_torch(f"SPEC = {fine('makes')!r}{CAUSES}", PYTHONPATH=broken))
    assert said.splitlines() == ["PluginError IndexError", "MissingContext NoneType"]
