"""What starts at once: neither torch nor anything else that is slow to import comes in unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import QUICKSTART, python

SLOW = {"torch", "rich", "transformers", "pygls", "numpy", "tokenizers", "hypothesis", "safetensors", "matplotlib"}

IMPORTED = "import sys; print(*{each.partition('.')[0] for each in sys.modules})"
VERB = """
from llm_build.cli import _run
assert _run({arguments!r}) == 0
"""
CONFIGS = """
import importlib, pkgutil
import llm_build_plugins
from llm_build.registry import installed
for module in pkgutil.walk_packages(llm_build_plugins.__path__, "llm_build_plugins."):
    if module.name.endswith("_config"):
        importlib.import_module(module.name)
assert len([each.config() for each in installed().entries()]) > 20
"""


def imported(program: str) -> set[str]:
    """The top-level names of all modules after a program."""
    return set(python(f"{program}\n{IMPORTED}").splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", str(QUICKSTART)],
        ["check", "--format", "json", str(QUICKSTART)],
        ["plugins"],
        ["plugins", "--json"],
        ["plugins", "--slot", "attention"],
        ["plugins", "gqa"],
        ["new", "plugin", "--help"],
        ["explain", str(QUICKSTART)],
        ["explain", str(QUICKSTART), "model.layers[0].attention.heads", "--json"],
        ["fmt", "--check", str(QUICKSTART)],
        ["--help"],
    ],
)
def test_a_verb_that_computes_nothing_imports_nothing_slow(arguments: list[str]) -> None:
    assert not imported(VERB.format(arguments=arguments)) & SLOW


def test_writing_a_plugin_imports_nothing_slow(tmp_path: Path) -> None:
    written = f"import os; os.chdir({str(tmp_path)!r})" + VERB.format(
        arguments=["new", "plugin", "acme-ring", "--slot", "norm"]
    )
    assert not imported(written) & SLOW
    assert (tmp_path / "acme-ring" / "pyproject.toml").is_file()


def test_importing_llm_build_imports_nothing_slow() -> None:
    assert not imported("import llm_build; dir(llm_build)") & SLOW


def test_every_config_is_free_of_torch() -> None:
    assert not imported(CONFIGS) & {"torch", "rich", "transformers", "pygls"}


def test_what_writes_imports_no_compiler_until_it_compiles() -> None:
    """torch's takes as long to import as all else."""
    modules = ("generate._engine", "generate._compile", "ffn.moe_module", "attention.gated_delta_module")
    program = "\n".join(f"import llm_build_plugins.{each}" for each in modules)
    assert python(f"{program}\nimport sys\nprint('torch._dynamo' in sys.modules)") == "False\n"
