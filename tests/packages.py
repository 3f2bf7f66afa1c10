"""Distributions for the tests: built by hatchling, installed by pip, unpacked into a folder, or made up."""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

from tests.processes import finished, start

ACME_FILE = """
from torch import nn
from llm_build import Config, component, hookimpl

@component("norm:acme.nothing", module="nothing:Nothing")
class nothing(Config):
    pass

class Nothing(nn.Identity):
    def __init__(self, config, context):
        super().__init__()

@hookimpl
def llm_components():
    return [nothing]
"""
"""A plugin in one file."""

HOOK = """
from llm_build import hookimpl

@hookimpl
def llm_components():
    {}
"""
"""A plugin with one hook and a body for it."""

NOTHING = """
from llm_build import Config, component, hookimpl

@component("norm:acme.nothing", module="torch.nn:Identity")
class nothing(Config):
    pass

@hookimpl
def llm_components():
    return [nothing]
"""
"""A plugin with a norm that does nothing."""

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
dependencies = ["llm-build"]

[project.entry-points."{group}"]
{module} = "{module}"

[tool.hatch.build.targets.wheel]
include = ["{module}.py"]
"""


def write_project(folder: Path, name: str, version: str, text: str, group: str = "llm_build.v1") -> Path:
    """A project of one module, ready to be built; its entry point has the name of the module."""
    folder.mkdir(parents=True)
    module = name.replace("-", "_")
    project = PROJECT.format(name=name, version=version, group=group, module=module)
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return folder


def install(folder: Path, *wheels: Path) -> Path:
    """A folder to put on the path, into which wheels are installed."""
    offline = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check")
    finished(start(sys.executable, "-m", "pip", "install", *offline, "--target", folder, *wheels))
    return folder


def build_wheel(project: Path, folder: Path) -> Path:
    """The wheel of a project, built as an installer does it."""
    finished(start(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=project))
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(wheel: Path, folder: Path) -> Path:
    """A folder to put on the path: of a wheel that is all Python, that is what an installation is."""
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INPUT": "1"}
"""With these pip builds with what is here and fetches nothing. (Of the third one pip reads 0 as: no isolation.)"""


def environment(folder: Path) -> Path:
    """The interpreter of a new environment, which has all that this one has; what is installed there stays there."""
    venv.create(folder)
    variables = {"base": str(folder), "platbase": str(folder)}
    own, ours = (Path(sysconfig.get_path("purelib", "venv", each)) for each in (variables, None))
    (own / "ours.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", variables)) / Path(sys.executable).name


def install_into(python: Path, *projects: Path) -> None:
    """Install projects by pip, offline, into the environment of an interpreter."""
    finished(start(python, "-m", "pip", "install", "--quiet", *projects, **OFFLINE))
