"""Distributions that were built and installed as anyone's are, broken in every way: no other is the worse for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from llm_build import __version__
from tests.core.test_plugins import spec_with
from tests.packages import HOOK, NOTHING, build_wheel, install, write_project
from tests.processes import Done, finished, llm_build, python


class Bad(NamedTuple):
    """The text of a plugin's module, what is said of it, and what to do."""

    text: str
    said: str
    remedy: str
    group: str = "llm_build.v1"


AUTHOR = f"ask its author for a release that works with llm-build {__version__}, or pip uninstall bad-one"
RENAME = "the hooks of llm_build.v1 are llm_components and llm_rules, without arguments: rename it"
BAD = {
    "an import that fails": Bad("import not_there", "ModuleNotFoundError: No module named 'not_there'", AUTHOR),
    "a file that is no Python": Bad("def", "SyntaxError: invalid syntax (bad_one.py, line 1)", AUTHOR),
    "an exit": Bad("raise SystemExit(3)", "SystemExit: 3", AUTHOR),
    "a hook that raises": Bad(HOOK.format("1 / 0"), "ZeroDivisionError: division by zero", AUTHOR),
    "a misspelt hook": Bad(
        HOOK.format("return []").replace("llm_components", "llm_component"), "unknown hook 'llm_component'", RENAME
    ),
    "a hook with an argument": Bad(HOOK.format("return []").replace("()", "(registry)"), "(registry)", RENAME),
    "a hook without its mark": Bad(
        HOOK.format("return []").replace("@hookimpl", ""),
        "it has no hook, so it offers nothing",
        "write llm_components(), and @hookimpl (from llm_build) above it",
    ),
    "a hook without a return": Bad(
        HOOK.format("pass"), "llm_components() returns nothing", "end llm_components() with a return"
    ),
    "a class without @component": Bad(
        HOOK.format("return [int]"),
        "llm_components() gives <class 'int'>, which is no config class",
        'return classes with @component above them, or a mapping "slot:name" → "module:Class"',
    ),
    "an id without a slot": Bad(
        HOOK.format("return {'ring': 'a:b'}"),
        'a component is named "slot:name" in lower case, such as "norm:acme.ring"; "ring" arrived',
        AUTHOR,
    ),
    "a built-in's name": Bad(
        HOOK.format("return {'norm:rms': 'a:b'}"),
        'norm:rms has no namespace, and names without one are the built-ins\'; name it "norm:acme.rms"',
        AUTHOR,
    ),
    "our namespace": Bad(
        HOOK.format("return {'norm:llm_build.rms': 'a:b'}"), "llm_build is a namespace of llm-build; name", AUTHOR
    ),
    "a mapping to no class": Bad(
        HOOK.format("return {'norm:acme.ring': 3}"),
        "llm_components() gives 3 for norm:acme.ring, which is no place of a class",
        'write "norm:acme.ring": "package.module:Class"',
    ),
    "rules that are none": Bad(
        HOOK.format("return [1]").replace("components", "rules"),
        "llm_rules() gives 1, which is no function",
        "return a list of functions of a spec",
    ),
    "hooks of a later version": Bad(
        "raise RuntimeError('nobody imports it')",
        f"it is written for llm_build.v2, and llm-build {__version__} reads llm_build.v1",
        "pip install --upgrade llm-build, or install a release of bad-one for llm_build.v1",
        "llm_build.v2",
    ),
    "torch at listing": Bad(
        f"import torch\n{NOTHING}",
        "listing its components imports torch, for which every check then waits",
        "import torch only in the file that @component(module=…) names",
    ),
}
WELL_MEANT = {
    "a config that exits": HOOK.format("return {'norm:acme.left': 'left:Left'}"),
    "a print": f"print('hello')\n{NOTHING}",
}
TWIN = NOTHING.replace("acme.nothing", "acme.twin")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every distribution of these tests, built."""
    folder = tmp_path_factory.mktemp("projects")
    projects = {name: write_project(folder / name, "bad-one", "3.2", bad.text, bad.group) for name, bad in BAD.items()}
    for name, text in WELL_MEANT.items():
        projects[name] = write_project(folder / name, "bad-one", "3.2", text)
    projects["good"] = write_project(folder / "good", "good-one", "1.5", NOTHING)
    projects["one"] = write_project(folder / "one", "twin-one", "1.2", TWIN)
    projects["two"] = write_project(folder / "two", "twin-two", "3.4", TWIN)
    return {name: build_wheel(project, folder / name / "dist") for name, project in projects.items()}


def checked(norm: str, folder: Path, *wheels: Path, **environment: str) -> Done:
    """`llm-build check` of a spec with a norm, with some wheels installed."""
    place = install(folder / "installed", *wheels)
    return llm_build("check", spec_with(folder, norm), cwd=folder, PYTHONPATH=place, **environment)


@pytest.mark.parametrize("kind", BAD)
def test_a_broken_plugin_is_reported_and_the_others_keep_working(
    kind: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    done = checked("acme.nothing" if kind != "torch at listing" else "rms", tmp_path, wheels[kind], wheels["good"])
    assert finished(done) == f"{tmp_path / 'spec.llm'}: fine\n"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: plugin bad_one of bad-one 3.2: ")
    assert BAD[kind].said in warning
    assert warning.endswith(f"; {BAD[kind].remedy}")


def test_a_good_plugin_is_not_spoken_of(wheels: dict[str, Path], tmp_path: Path) -> None:
    done = checked("acme.nothing", tmp_path, wheels["good"])
    assert (finished(done), done.stderr) == (f"{tmp_path / 'spec.llm'}: fine\n", "")


def test_a_plugin_that_imports_torch_at_listing_is_used_all_the_same(wheels: dict[str, Path], tmp_path: Path) -> None:
    finished(checked("acme.nothing", tmp_path, wheels["torch at listing"]))


def test_two_owners_of_an_id_are_no_fault_where_nothing_uses_it(wheels: dict[str, Path], tmp_path: Path) -> None:
    done = checked("acme.nothing", tmp_path, wheels["one"], wheels["two"], wheels["good"])
    assert (finished(done), done.stderr) == (f"{tmp_path / 'spec.llm'}: fine\n", "")


@pytest.mark.parametrize("where", ["a layer", "a let that nothing uses"])
def test_two_owners_of_an_id_are_a_fault_where_a_spec_uses_it(
    where: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    place = install(tmp_path / "installed", wheels["one"], wheels["two"])
    spec = spec_with(tmp_path, "acme.twin" if where == "a layer" else "rms")
    text = spec.read_text(encoding="utf-8").replace("vocab = 32", "vocab = 1K")
    let = "let twins = acme.twin\n" if where != "a layer" else ""
    spec.write_text(text.replace("llm 1\n", f"llm 1\n{let}"), encoding="utf-8")
    done = llm_build("check", spec, PYTHONPATH=place)
    assert done.returncode == 1
    assert "error[E308]: norm:acme.twin is claimed by twin-one 1.2 and twin-two 3.4\n" in done.stderr
    assert "help: pip uninstall one of them, or leave it out of LLM_BUILD_PLUGINS\n" in done.stderr
    assert "error[E104]: 1K is not a number" in done.stderr, "the other faults are said too"
    assert "| " in done.stderr.partition("E308")[2].partition("E104")[0] or where != "a layer"


@pytest.mark.parametrize(
    ("names", "said", "remedy"),
    [
        (("one.py",), "norm:acme.twin is claimed twice by one.py", "mend it, or name another"),
        (
            ("one.py", "two.py"),
            "norm:acme.twin is claimed by one.py and two.py",
            "use one of them alone: one.py is not installed but named, by --plugin",
        ),
    ],
)
def test_an_id_that_named_files_claim_has_a_remedy_of_their_own(
    names: tuple[str, ...], said: str, remedy: str, tmp_path: Path
) -> None:
    twice = TWIN + '\n\n@component("norm:acme.twin", module="torch.nn:Identity")\nclass other(Config):\n    pass\n'
    for name in names:
        (tmp_path / name).write_text(twice.replace("[nothing]", "[nothing, other]"), encoding="utf-8")
    options = [each for name in names for each in ("--plugin", name)]
    done = llm_build("check", spec_with(tmp_path, "acme.twin"), *options, cwd=tmp_path)
    assert f"error[E308]: {said}\n" in done.stderr
    assert f"help: {remedy}\n" in done.stderr


def test_a_distribution_that_serves_two_versions_of_the_hooks_is_read_by_ours(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    place = install(tmp_path / "installed", wheels["good"])
    (points,) = place.glob("good_one-*.dist-info/entry_points.txt")
    points.write_text(f"{points.read_text()}\n[llm_build.v2]\nlater = not_there\n", encoding="utf-8")
    done = llm_build("check", spec_with(tmp_path, "acme.nothing"), PYTHONPATH=place)
    assert (finished(done), done.stderr) == (f"{tmp_path / 'spec.llm'}: fine\n", "")


def test_entry_points_that_are_no_text_stop_nobody(wheels: dict[str, Path], tmp_path: Path) -> None:
    place = install(tmp_path / "installed", wheels["good"])
    odd = place / "odd-1.0.dist-info"
    odd.mkdir()
    (odd / "entry_points.txt").write_bytes(b"[llm_build.v1]\n\xff\xfe = \xff\n")
    finished(llm_build("check", spec_with(tmp_path, "acme.nothing"), PYTHONPATH=place))


def test_every_plugin_is_listed_with_its_owner_components_and_fault(wheels: dict[str, Path], tmp_path: Path) -> None:
    place = install(tmp_path / "installed", wheels["good"], wheels["a hook that raises"])
    program = """
from llm_build.registry import installed
for plugin in installed().plugins:
    if not plugin.owner.built_in:
        print(plugin.owner, plugin.owner.entry, [each.id for each in plugin.entries], plugin.fault)
"""
    bad, good = python(program, PYTHONPATH=place).splitlines()
    assert good == "good-one 1.5 good_one ['norm:acme.nothing'] None"
    assert bad.startswith("bad-one 3.2 bad_one [] plugin bad_one of bad-one 3.2: ZeroDivisionError")


def test_a_config_that_leaves_while_it_is_imported_is_a_fault_where_it_is_used(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    place = install(tmp_path / "installed", wheels["a config that exits"])
    (place / "left.py").write_text("raise SystemExit(0)", encoding="utf-8")
    said = "norm:acme.left of bad-one 3.2 cannot be imported from left:Left: SystemExit: 0"
    done = llm_build("check", spec_with(tmp_path, "acme.left"), PYTHONPATH=place)
    assert done.returncode == 1
    assert f"error[E308]: {said}\n" in done.stderr
    assert f"help: {AUTHOR}\n" in done.stderr
    assert f"{said}; {AUTHOR}\n" in finished(llm_build("plugins", PYTHONPATH=place))


def test_what_a_plugin_prints_does_not_stand_between_what_programs_read(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    place = install(tmp_path / "installed", wheels["a print"])
    done = llm_build("check", spec_with(tmp_path, "acme.nothing"), "--format", "json", PYTHONPATH=place)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "hello\n")


# --- the allow list ---


@pytest.mark.parametrize("allowed", ["good-one", "Good_One", " good-one , llm-build", "good.one,good-one"])
def test_the_allow_list_takes_distributions_however_they_are_written(
    allowed: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    done = checked("acme.nothing", tmp_path, wheels["good"], wheels["a hook that raises"], LLM_BUILD_PLUGINS=allowed)
    assert (finished(done), done.stderr) == (f"{tmp_path / 'spec.llm'}: fine\n", "")


def test_an_empty_allow_list_leaves_every_plugin_out_and_no_built_in(wheels: dict[str, Path], tmp_path: Path) -> None:
    done = checked("acme.nothing", tmp_path, wheels["good"], LLM_BUILD_PLUGINS="")
    assert done.returncode == 1
    assert done.stderr.count("error[") == 1
    assert "good-one 1.5 is left out by LLM_BUILD_PLUGINS" in done.stderr


def test_what_is_left_out_is_not_imported(wheels: dict[str, Path], tmp_path: Path) -> None:
    place = install(tmp_path / "installed", wheels["good"])
    program = "import sys; from llm_build.registry import installed; installed(); print('good_one' in sys.modules)"
    assert python(program, PYTHONPATH=place) == "True\n"
    assert python(program, PYTHONPATH=place, LLM_BUILD_PLUGINS="") == "False\n"


def test_an_entry_point_in_the_allow_list_gets_the_name_of_its_distribution(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    place = install(tmp_path / "installed", wheels["good"])
    (points,) = place.glob("good_one-*.dist-info/entry_points.txt")
    points.write_text("[llm_build.v1]\nshort = good_one\n", encoding="utf-8")
    spec = spec_with(tmp_path, "rms")
    done = llm_build("check", spec, PYTHONPATH=place, LLM_BUILD_PLUGINS="short")
    assert finished(done) == f"{spec}: fine\n"
    assert "LLM_BUILD_PLUGINS names it, and no distribution with a plugin has that name" in done.stderr
    assert "short is an entry point of good-one: write good-one" in done.stderr


def test_a_plugin_on_the_command_line_needs_no_place_in_the_allow_list(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text(NOTHING, encoding="utf-8")
    spec = spec_with(tmp_path, "acme.nothing")
    finished(llm_build("check", spec, "--plugin", tmp_path / "nothing.py", LLM_BUILD_PLUGINS=""))
