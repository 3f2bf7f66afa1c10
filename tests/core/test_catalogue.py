"""`llm-build plugins`: what is installed, what cannot be used and why, and a page for each component."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_build import Config, component, hookimpl, number, part, size
from llm_build.catalogue import example, pages
from llm_build.cli._table import show_table
from llm_build.errors import PluginError
from llm_build.registry import Owner, Registry, installed
from tests.packages import ACME_FILE, NOTHING, build_wheel, install, write_project
from tests.processes import Done, finished, llm_build, python

BUILT_IN = [entry for entry in installed().entries() if entry.owner.distribution == "llm-build"]
SLOTS = sorted({entry.slot for entry in BUILT_IN})
FREE_FILE = """
from llm_build import Config, component, hookimpl

@component("norm:acme.free", module="nowhere:Nothing")
class free(Config):
    '''A norm.'''

@hookimpl
def llm_components():
    return [free]
"""
HOSTS = """
from llm_build import Config, component, hookimpl, part
from llm_build_plugins.norm import rms

SIZES = dict(dim=64, vocab=2_048, context=256, depth=4, heads=4, head_dim=16, experts=8, steps=100)

def host(slot):
    class host(Config):
        part_: Config = part(slot)

        def inside(self, field, context):
            return context.with_(**SIZES, branches=("attention", "ffn"), norm=rms())

    return component(f"model:host.{slot}", module="nowhere:Nothing")(host)

@hookimpl
def llm_components():
    return [host(slot) for slot in SLOTS]
"""
"""A model for each slot that takes one component of it, and tells it all that a place in a model would."""
EXAMPLES = r"""
from llm_build.catalogue import pages
from llm_build.diagnostics import Source
from llm_build.registry import installed
from llm_build.resolve import read

registry = installed()
registry.add_named("hosts.py")

def filled(slot, text):
    reading = read(Source("text", f"llm 1\nmodel = host.{slot} {{ part_ = {text} }}"))
    assert not reading.errors, (text, *map(str, reading.errors))
    return reading.filled.model.part_

for entry in list(registry.entries()):
    if entry.owner.distribution == "llm-build":
        (page,) = pages(entry.id, registry)
        found = filled(entry.slot, page.example)
        assert found.__component__.id == entry.id
        for field in page.fields:
            # what the example states has its value already, and what surrounds a field beats its default
            if field.default is not None and found.origin(field.name).kind == "default":
                text = f"({page.example}) {{ {field.name} = {field.default} }}"
                assert getattr(filled(entry.slot, text), field.name) == getattr(found, field.name), text
                print(entry.id, field.name)
        print(entry.id)
"""
GONE = """
from llm_build import hookimpl

@hookimpl
def llm_components():
    return {"norm:acme.gone": "acme_one:gone"}
"""
RULE = """
@hookimpl
def llm_rules():
    return [no_such_thing]

def no_such_thing(spec):
    return iter(())
"""
BAD = "raise ValueError('by hand')"


def listed(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(finished(done))
    return found


def page_of(name: str, *more: str | Path) -> dict[str, Any]:
    (found,) = json.loads(finished(llm_build("plugins", name, "--json", *more)))
    return found  # type: ignore[no-any-return]


def test_every_component_is_listed_with_who_brings_it() -> None:
    found = listed(llm_build("plugins", "--json"))
    assert [(each["slot"], each["component"]) for each in found["components"]] == [
        (each.slot, each.name) for each in BUILT_IN
    ]
    assert found["components"][4] == {
        "distribution": "llm-build",
        "version": "0.1.0",
        "entry": "builtin.attention",
        "slot": "attention",
        "component": "gqa",
        "capabilities": ["cache", "causal"],
        "doc": "Grouped-query attention: heads / kv_heads query heads share each head of keys and values.",
    }
    assert all(each["doc"] for each in found["components"])
    assert [found[each] for each in ("rules", "failed", "claimed_twice", "left_out")] == [[], [], [], []]


def test_the_columns_hold_the_same() -> None:
    lines = finished(llm_build("plugins")).splitlines()
    assert lines[0].split("  ")[0] == "distribution"
    (gqa,) = (line for line in lines if " gqa " in line)
    assert gqa.split()[:7] == ["llm-build", "0.1.0", "builtin.attention", "attention", "gqa", "cache", "causal"]
    assert len(lines) == 1 + len(BUILT_IN)


def test_a_slot_is_listed_alone_with_what_it_asks() -> None:
    said = finished(llm_build("plugins", "--slot", "norm"))
    assert [line.split()[4] for line in said.splitlines()[1:3]] == ["layer", "rms"]
    assert "gqa" not in said
    assert said.endswith(
        "class Norm(Protocol):\n"
        "    def forward(self, x: Tensor) -> Tensor:\n"
        '        """[..., D] → [..., D]; the statistics are those of the last axis alone."""\n'
    )


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to put on the path, with plugins in it: two claim one id, one has a rule, two are broken."""
    texts = {"acme-gone": GONE, "acme-twin": NOTHING, "bad-one": BAD, "good-one": NOTHING + RULE}
    folder = tmp_path_factory.mktemp("plugins")
    projects = {name: write_project(folder / name, name, "3.2", text) for name, text in texts.items()}
    wheels = [build_wheel(project, folder / "wheels" / name) for name, project in projects.items()]
    return install(folder / "installed", *wheels)


def test_what_cannot_be_used_is_listed_with_reason_and_remedy_and_stops_nobody(plugins: Path) -> None:
    found = listed(llm_build("plugins", "--json", PYTHONPATH=plugins))
    assert sum(each["distribution"] == "llm-build" for each in found["components"]) == len(BUILT_IN)
    bad, gone = sorted(found["failed"], key=lambda each: each["distribution"], reverse=True)
    assert (bad["distribution"], bad["version"], bad["entry"]) == ("bad-one", "3.2", "bad_one")
    assert (bad["reason"], bad["usable"]) == ("ValueError: by hand", False)
    assert "pip uninstall bad-one" in bad["remedy"]
    assert "norm:acme.gone of acme-gone 3.2 cannot be imported from acme_one:gone" in gone["reason"]
    said = finished(llm_build("plugins", PYTHONPATH=plugins)).partition("cannot be used:")[2]
    assert "bad_one of bad-one 3.2: ValueError: by hand; ask its author" in said
    assert "acme.gone" in said


def test_an_id_that_two_claim_is_listed_with_both(plugins: Path) -> None:
    found = listed(llm_build("plugins", "--json", "--slot", "norm", PYTHONPATH=plugins))
    owners = {each["distribution"] for each in found["components"] if each["component"] == "acme.nothing"}
    assert owners == {"acme-twin", "good-one"}
    (twice,) = found["claimed_twice"]
    assert "norm:acme.nothing is claimed by" in twice
    assert twice in finished(llm_build("plugins", PYTHONPATH=plugins)).partition("cannot be used:")[2]


def test_rules_are_listed_with_who_brings_them(plugins: Path) -> None:
    found = listed(llm_build("plugins", "--json", PYTHONPATH=plugins))
    assert [(each["rule"], each["distribution"]) for each in found["rules"]] == [("no_such_thing", "good-one")]
    assert "rules over whole specs:\n  no_such_thing of good-one 3.2\n" in finished(
        llm_build("plugins", PYTHONPATH=plugins)
    )


def test_what_the_allow_list_leaves_out_is_listed_by_name(plugins: Path) -> None:
    alone = {"PYTHONPATH": plugins, "LLM_BUILD_PLUGINS": "good-one"}
    found = listed(llm_build("plugins", "--json", **alone))
    assert sorted(found["left_out"]) == ["acme-gone 3.2", "acme-twin 3.2", "bad-one 3.2"]
    assert (found["failed"], found["claimed_twice"]) == ([], [])
    assert "left out by LLM_BUILD_PLUGINS:\n" in finished(llm_build("plugins", **alone))


def test_a_file_that_is_named_is_listed_too(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text(ACME_FILE, encoding="utf-8")
    found = listed(llm_build("plugins", "--json", "--plugin", tmp_path / "nothing.py"))
    assert "acme.nothing" in [each["component"] for each in found["components"]]
    assert page_of("acme.nothing", "--plugin", tmp_path / "nothing.py")["id"] == "norm:acme.nothing"


def test_a_page_shows_fields_types_defaults_and_bounds() -> None:
    found = page_of("gqa")
    assert (found["id"], found["version"], found["owner"]["entry"]) == ("attention:gqa", 1, "builtin.attention")
    assert "Source: Ainslie et al. 2023" in found["doc"]
    fields = {each["name"]: each for each in found["fields"]}
    assert fields["heads"] == {
        "name": "heads",
        "takes": "a whole number from 1 to 65_536",
        "kind": {"kind": "size", "low": 1, "high": 65_536, "optional": False},
        "required": True,
        "default": None,
        "unstated": "must be stated",
        "doc": "query heads",
    }
    assert fields["head_dim"]["unstated"] == "dim / heads"
    assert fields["dropout"]["kind"] == {"kind": "number", "low": 0, "below": 1, "optional": False}
    assert fields["position"]["unstated"] == "position of what is around it, else none"
    assert (fields["softcap"]["takes"], fields["softcap"]["default"]) == ("a number above 0, or none", "none")
    assert (fields["bias"]["default"], fields["bias"]["required"]) == ("false", False)
    assert found["example"] == "gqa { heads = 8 }"
    assert found["taken_by"] == ["block.attention", "block.cross"]


def test_a_page_says_the_same_to_people() -> None:
    said = finished(llm_build("plugins", "attention:gqa"))
    for expected in ("attention:gqa, version 1", "capabilities: cache causal", "Ainslie", "1 / sqrt(head_dim)"):
        assert expected in said
    assert said.endswith("example: gqa { heads = 8 }\nstands in: block.attention, block.cross\n")


def test_a_page_says_what_a_component_opts_out_of_and_why(tmp_path: Path) -> None:
    opting = FREE_FILE.replace("module=", 'opt_outs={"finite": "it divides", "rows": "it counts them"}, module=')
    (tmp_path / "free.py").write_text(opting, encoding="utf-8")
    door = ("--plugin", str(tmp_path / "free.py"))
    assert page_of("acme.free", *door)["opt_outs"] == {"finite": "it divides", "rows": "it counts them"}
    said = finished(llm_build("plugins", "acme.free", *door))
    assert "opts out of finite: it divides\nopts out of rows: it counts them\n" in said
    assert page_of("attention:gqa")["opt_outs"] == {}


def test_a_name_that_several_slots_have_shows_all_of_them() -> None:
    found = json.loads(finished(llm_build("plugins", "linear", "--json")))
    assert [each["id"] for each in found] == ["head:linear", "scaling:linear", "schedule:linear"]
    assert page_of("schedule:linear")["id"] == page_of("linear", "--slot", "schedule")["id"] == "schedule:linear"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gqaa"], "no component gqaa is installed; near to it: gqa"),
        (["attention:gpa"], "near to it: attention:gqa"),
        (["norm:gqa"], "no component norm:gqa is installed"),
        (["zzzz"], "`llm-build plugins` lists all"),
        (["--slot", "nrom"], "no component of slot nrom is installed; near to it: norm"),
    ],
)
def test_an_unknown_name_gives_near_ones(arguments: list[str], said: str) -> None:
    done = llm_build("plugins", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_every_example_and_every_default_can_be_written_into_a_spec(tmp_path: Path) -> None:
    (tmp_path / "hosts.py").write_text(f"SLOTS = {SLOTS}\n{HOSTS}", encoding="utf-8")
    said = python(EXAMPLES, cwd=tmp_path).splitlines()
    assert {line for line in said if " " not in line} == {entry.id for entry in BUILT_IN}
    assert "attention:gqa bias" in said
    assert "block:block placement" in said


def having(*classes: type[Config]) -> Registry:
    """A registry with these components alone."""
    registry = Registry()
    plugin = SimpleNamespace(llm_components=hookimpl(lambda: list(classes)))
    registry.add(Owner(distribution="acme", version="1", entry="acme"), lambda: plugin)
    assert not registry.faults
    return registry


def test_an_example_never_stands_in_itself() -> None:
    @component("ffn:acme.deep", module="acme:Deep")
    class deep(Config):
        inner: Config = part("ffn")

    assert example(deep, having(deep)) == "acme.deep { inner = … }"


def test_what_is_derived_has_no_default() -> None:
    @component("ffn:acme.three", module="acme:Three")
    class three(Config):
        hidden: int | None = size(derive=lambda config, context: 3, says="three", optional=True)

    (page,) = pages("acme.three", having(three))
    assert (page.fields[0].default, page.fields[0].unstated) == (None, "three")


def test_an_example_is_within_the_bounds() -> None:
    @component("ffn:acme.narrow", module="acme:Narrow")
    class narrow(Config):
        width: int = size(low=100, high=200)
        share: float = number(above=1e-4, below=2e-4)
        shift: float = number(above=1_000)

    assert example(narrow, Registry()) == "acme.narrow { width = 100, share = 0.00015000000000000001, shift = 2000 }"


def test_an_example_that_its_field_refuses_is_a_fault_of_the_plugin() -> None:
    @component("ffn:acme.wrong", module="acme:Wrong")
    class wrong(Config):
        width: int = size(low=100, example=3)

    with pytest.raises(PluginError, match=r"the example of width in ffn:acme\.wrong"):
        example(wrong, Registry())


def test_a_terminal_gets_lines_between_the_columns(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [("name", "size"), ("[bold]a", "1")]
    show_table(cells, right={"size"})
    assert capsys.readouterr().out == "name     size\n[bold]a     1\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_table(cells)
    assert "│ [bold]a │ 1" in capsys.readouterr().out


def test_a_narrow_terminal_shows_every_name_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    show_table([("distribution", "component"), ("a-very-long-distribution", "acme.another_very_long_name")])
    shown = capsys.readouterr().out
    assert "…" not in shown
    columns = [line.split("│")[1:3] for line in shown.splitlines() if line.startswith("│")]
    assert ["".join(part.strip() for part in parts) for parts in zip(*columns, strict=True)] == [
        "a-very-long-distribution",
        "acme.another_very_long_name",
    ]
