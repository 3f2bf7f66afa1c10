"""Distributions for the tests: built by hatchling, unpacked into a folder, or made up."""

from __future__ import annotations

import sys
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


def make_up(folder: Path, module: str, text: str, *, distribution: str, version: str = "1.0") -> Path:
    """A distribution of one module, whose entry point names that module."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    facts = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
    )
    (facts / "entry_points.txt").write_text(f"[llm_build.v1]\n{module} = {module}\n", encoding="utf-8")
    return folder
