"""`llm-build check specs/quickstart.llm` as a process, with 50 plugins installed against one.

Run `python tools/bench/plugins_startup.py`. The plugins are distributions of their own, built and then installed into a
temporary folder, each with one norm of two fields, as `llm-build new plugin` writes it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _measure import alternate, at_most, finish, machine, show

ROOT = Path(__file__).parents[2]
LLM_BUILD = str(Path(sys.executable).with_name("llm-build"))
MANY = 50
BAR = 1.5
RUNS = 10
"""Processes a repeat; a repeat is their mean."""

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "bench-{number}"
version = "1.0"
dependencies = ["llm-build"]

[project.entry-points."llm_build.v1"]
bench_{number} = "bench_{number}"

[tool.hatch.build.targets.wheel]
packages = ["bench_{number}"]
"""
CONFIG = '''"""A norm from somebody else."""

from __future__ import annotations

from llm_build import Config, component, flag, hookimpl, number


@component("norm:bench_{number}.scale", module="bench_{number}.module:Scale")
class scale(Config):
    """g · x / |x|."""

    eps: float = number(default=1e-5, above=0, doc="the least |x|")
    bias: bool = flag(default=False, doc="a learned bias")


@hookimpl
def llm_components() -> list[type[Config]]:
    return [scale]
'''
MODULE = '''"""The norm. Nothing imports this file before a model is built."""

import torch
'''


def wheel(folder: Path, number: int) -> Path:
    """A small distribution, built."""
    project = folder / f"project_{number}"
    package = project / f"bench_{number}"
    package.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT.format(number=number), encoding="utf-8")
    (package / "__init__.py").write_text(CONFIG.format(number=number), encoding="utf-8")
    (package / "module.py").write_text(MODULE, encoding="utf-8")
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    (built,) = folder.glob(f"bench_{number}-*.whl")
    return built


def install(wheels: Sequence[Path], folder: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder))
    subprocess.run([*pip, *map(str, wheels)], check=True)
    return folder


def environment(plugins: Path) -> dict[str, str]:
    # both sides may read and write byte code, as they do for a person
    hidden = {"PYTHONDONTWRITEBYTECODE", "LLM_BUILD_PLUGINS"}
    return {**{name: each for name, each in os.environ.items() if name not in hidden}, "PYTHONPATH": str(plugins)}


def seconds(plugins: Path) -> float:
    """Wall seconds of a process, the mean of some runs."""
    begun = time.perf_counter()
    for _ in range(RUNS):
        command = (LLM_BUILD, "check", "specs/quickstart.llm")
        done = subprocess.run(command, cwd=ROOT, env=environment(plugins), check=True, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("specs/quickstart.llm: fine\n", ""), done
    return (time.perf_counter() - begun) / RUNS


def listed(plugins: Path) -> int:
    """How many plugins of a folder bring their component."""
    program = (
        "from llm_build.registry import installed; print(sum('bench' in each.id for each in installed().entries()))"
    )
    command = (sys.executable, "-c", program)
    return int(subprocess.run(command, env=environment(plugins), check=True, capture_output=True, text=True).stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ThreadPoolExecutor(2) as pool:
            wheels = list(pool.map(lambda number: wheel(folder, number), range(MANY)))
        many, one = install(wheels, folder / "many"), install(wheels[:1], folder / "one")
        assert (listed(many), listed(one)) == (MANY, 1)
        seconds(many), seconds(one)
        figures = alternate(lambda: seconds(many), lambda: seconds(one))
    machine("pluggy", "attrs")
    show(f"check, {MANY} plugins", figures[0])
    show("check, 1 plugin", figures[1])
    ratio = statistics.median(figures[0]) / statistics.median(figures[1])
    finish(at_most(f"{MANY} plugins / 1", ratio, BAR))


if __name__ == "__main__":
    main()
