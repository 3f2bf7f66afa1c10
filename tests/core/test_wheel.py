"""What is built and shipped: the wheel, and what it does where there is no torch."""

from __future__ import annotations

import re
import sys
import sysconfig
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from llm_build.diagnostics.pages import codes
from llm_build.interfaces import PROTOCOLS
from llm_build.registry import installed
from llm_build.scaffold import slots
from tests.packages import build_wheel
from tests.processes import QUICKSTART, ROOT, finished, python, start

pytestmark = pytest.mark.slow

BUILT_IN = "llm-build"

LISTED = """
from llm_build.registry import installed
print(*(f"{each.id} {each.config().__name__}" for each in installed().entries()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def torch_free(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and all that it depends on, but torch. Nothing is fetched for it."""
    place = tmp_path_factory.mktemp("torch-free") / "venv"
    venv.create(place)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)}))
    for name in needed(BUILT_IN, without="torch"):
        link(name, packages)
    finished(
        start(sys.executable, "-m", "pip", "--python", place, "install", "--quiet", "--no-index", "--no-deps", wheel)
    )
    return place / "bin"


def needed(distribution: str, without: str, seen: set[str] | None = None) -> Iterator[str]:
    """The installed distributions that one needs, and that these need in turn."""
    seen = {without} if seen is None else seen
    for requirement in metadata.requires(distribution) or []:
        name = re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
        if "extra ==" in requirement or name in seen or not is_installed(name):
            continue
        seen.add(name)
        yield name
        yield from needed(name, without, seen)


def is_installed(name: str) -> bool:
    return any(metadata.distributions(name=name))


def link(name: str, packages: Path) -> None:
    distribution = metadata.distribution(name)
    tops = {each.parts[0] for each in distribution.files or [] if each.parts[0] not in {"..", "__pycache__"}}
    for top in tops:
        (packages / top).symlink_to(Path(str(distribution.locate_file(top))))


def test_the_wheel_brings_two_import_names(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {each for each in tops if not each.endswith(".dist-info")} == {"llm_build", "llm_build_plugins"}
    assert len(tops) == 3


def test_the_wheel_brings_what_is_no_python(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if not name.endswith(".py") and ".dist-info/" not in name}
    assert {name for name in names if not name.startswith("llm_build/diagnostics/pages/")} == {
        "llm_build/language/grammar.lark",
        "llm_build/language/grammar.tables",
        "llm_build/py.typed",
        "llm_build/scaffold/templates/pyproject.toml",
        "llm_build_plugins/py.typed",
    }


def test_the_wheel_brings_every_template_of_a_plugin(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if name.startswith("llm_build/scaffold/templates/")}
    there = (ROOT / "registry" / "llm_build" / "scaffold" / "templates").rglob("*.py")
    expected = {each.relative_to(ROOT / "registry").as_posix() for each in there}
    assert len(expected) == 2 * len(slots()) + 1
    assert expected < names


def test_a_plugin_is_written_and_listed_without_torch(torch_free: Path, tmp_path: Path) -> None:
    finished(start(torch_free / "llm-build", "new", "plugin", "acme-ring", "--slot", "norm", cwd=tmp_path))
    source = tmp_path / "acme-ring" / "src"
    page = finished(
        start(torch_free / "llm-build", "plugins", "acme.ring", "--plugin", "acme_ring", cwd=source, PYTHONPATH=source)
    )
    assert page.startswith("norm:acme.ring, version 1\n")


def test_the_wheel_brings_the_licence_and_the_command(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    (entries,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert "llm-build = llm_build.cli:main" in ZipFile(wheel).read(entries).decode()


def test_torch_is_not_there(torch_free: Path) -> None:
    done = start(torch_free / "python", "-c", "import torch", cwd=torch_free)
    assert "No module named 'torch'" in done.stderr


def test_check_passes_without_torch(torch_free: Path) -> None:
    assert finished(start(torch_free / "llm-build", "check", QUICKSTART, cwd=torch_free)) == f"{QUICKSTART}: fine\n"


def test_every_built_in_is_listed_without_torch(torch_free: Path) -> None:
    listed = finished(start(torch_free / "python", "-c", LISTED, cwd=torch_free))
    assert listed == python(LISTED)
    assert set(PROTOCOLS) <= {each.slot for each in installed().entries() if each.owner.distribution == BUILT_IN}


def test_the_wheel_has_the_page_of_every_code(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert codes()
    assert {f"llm_build/diagnostics/pages/{code}.md" for code in codes()} <= set(names)
