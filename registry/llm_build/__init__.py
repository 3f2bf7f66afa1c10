"""llm-build: a text file becomes a language model.

    from llm_build import build, load, open_run, write

Everything public is listed in `__all__` and imported on first use, so that `import llm_build` costs nothing and never
imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from llm_build.assemble import build as build
    from llm_build.attend import InOrder as InOrder
    from llm_build.checkpoint import load_weights as load_weights
    from llm_build.checkpoint import save_weights as save_weights
    from llm_build.components import UNSET as UNSET
    from llm_build.components import Config as Config
    from llm_build.components import Problem as Problem
    from llm_build.components import Share as Share
    from llm_build.components import amount as amount
    from llm_build.components import can as can
    from llm_build.components import choice as choice
    from llm_build.components import component as component
    from llm_build.components import divided as divided
    from llm_build.components import divisors as divisors
    from llm_build.components import flag as flag
    from llm_build.components import id_of as id_of
    from llm_build.components import many as many
    from llm_build.components import number as number
    from llm_build.components import part as part
    from llm_build.components import parts as parts
    from llm_build.components import path as path
    from llm_build.components import share as share
    from llm_build.components import size as size
    from llm_build.components import text as text
    from llm_build.components import walk as walk
    from llm_build.components import walk_paths as walk_paths
    from llm_build.context import Context as Context
    from llm_build.corpus import IGNORED as IGNORED
    from llm_build.corpus import Batch as Batch
    from llm_build.corpus import cache_folder as cache_folder
    from llm_build.corpus import source_tokens as source_tokens
    from llm_build.document import Document as Document
    from llm_build.errors import CapacityError as CapacityError
    from llm_build.errors import DataError as DataError
    from llm_build.errors import FormatError as FormatError
    from llm_build.errors import GenerationError as GenerationError
    from llm_build.errors import LLMBuildError as LLMBuildError
    from llm_build.errors import MissingContext as MissingContext
    from llm_build.errors import NonFiniteLoss as NonFiniteLoss
    from llm_build.errors import PluginError as PluginError
    from llm_build.errors import PromptError as PromptError
    from llm_build.errors import RunError as RunError
    from llm_build.errors import SpecError as SpecError
    from llm_build.errors import TrainingError as TrainingError
    from llm_build.groups import TABLE as TABLE
    from llm_build.groups import VECTOR as VECTOR
    from llm_build.groups import ParameterGroup as ParameterGroup
    from llm_build.groups import parameter_groups as parameter_groups
    from llm_build.interfaces import Piece as Piece
    from llm_build.interfaces import reads_source as reads_source
    from llm_build.kernels import HAS_TRITON as HAS_TRITON
    from llm_build.kernels import is_traced as is_traced
    from llm_build.kernels import launches_early as launches_early
    from llm_build.kernels import with_own_code as with_own_code
    from llm_build.progress import Progress as Progress
    from llm_build.progress import Silence as Silence
    from llm_build.resolve import load as load
    from llm_build.resolve.raising import write as write
    from llm_build.run import Job as Job
    from llm_build.run import Outcome as Outcome
    from llm_build.run import Stopped as Stopped
    from llm_build.run import open_run as open_run
    from llm_build.run import train as train
    from llm_build.spec import Spec as Spec
    from llm_build.spec import is_paired as is_paired
    from llm_build.step import Field as Field
    from llm_build.step import Pool as Pool
    from llm_build.step import Sizes as Sizes
    from llm_build.step import State as State
    from llm_build.step import StateMemory as StateMemory
    from llm_build.step import StateSpec as StateSpec
    from llm_build.step import Step as Step
    from llm_build.step import View as View
    from llm_build.step import make_state as make_state
    from llm_build.step import narrowed as narrowed
    from llm_build.step import state_memory as state_memory

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("llm_build")
"""Marks a plugin's hook: `@hookimpl def llm_components(): …`."""

_HOME = {
    "llm_build.assemble": ["build"],
    "llm_build.attend": ["InOrder"],
    "llm_build.checkpoint": ["load_weights", "save_weights"],
    "llm_build.components": [
        *["UNSET", "Config", "Problem", "Share", "component", "id_of", "can", "divided", "divisors"],
        *["amount", "choice", "flag", "many", "number", "part", "parts", "path", "share", "size", "text", "walk"],
        "walk_paths",
    ],
    "llm_build.context": ["Context"],
    "llm_build.corpus": ["IGNORED", "Batch", "cache_folder", "source_tokens"],
    "llm_build.errors": [
        *["CapacityError", "DataError", "FormatError", "GenerationError", "LLMBuildError", "MissingContext"],
        *["NonFiniteLoss", "PluginError", "PromptError", "RunError", "SpecError", "TrainingError"],
    ],
    "llm_build.document": ["Document"],
    "llm_build.groups": ["TABLE", "VECTOR", "ParameterGroup", "parameter_groups"],
    "llm_build.interfaces": ["Piece", "reads_source"],
    "llm_build.kernels": ["HAS_TRITON", "is_traced", "launches_early", "with_own_code"],
    "llm_build.progress": ["Progress", "Silence"],
    "llm_build.resolve": ["load"],
    "llm_build.resolve.raising": ["write"],
    "llm_build.run": ["Job", "Outcome", "Stopped", "open_run", "train"],
    "llm_build.spec": ["Spec", "is_paired"],
    "llm_build.step": [
        *["Field", "Pool", "Sizes", "State", "StateMemory", "StateSpec", "Step", "View"],
        *["make_state", "narrowed", "state_memory"],
    ],
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", "hookimpl", *sorted(_WHERE)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'llm_build' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
