"""Every exception that llm-build raises on purpose.

    LLMBuildError
    ├── SpecError             a spec or a config is faulty; carries the diagnostics
    ├── MissingContext        a component needs to know something that nobody around it says
    ├── PluginError           a plugin or a component does not keep its promise
    ├── DataError             training or evaluation data is missing, empty or too short
    ├── RunError              a run directory is missing, incomplete or already taken
    ├── TrainingError         training cannot go on
    │   └── NonFiniteLoss     the loss or the gradient norm is not a finite number
    ├── GenerationError       a prompt or a request cannot be served
    │   └── PromptError       some of several prompts cannot; says of each why
    ├── FormatError           a text cannot be formatted without changing more than its white space
    └── CapacityError         a state has no room for what is asked; nothing was changed

Each message says what must hold, what arrived, and what to do instead. The command line turns every one of them into a
message on stderr and exit code 1; anything else is a bug of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_build.diagnostics import Diagnostic

__all__ = [
    "CapacityError",
    "DataError",
    "FormatError",
    "GenerationError",
    "LLMBuildError",
    "MissingContext",
    "NonFiniteLoss",
    "PluginError",
    "PromptError",
    "RunError",
    "SpecError",
    "TrainingError",
]


class LLMBuildError(Exception):
    """The root of the tree: catch this to catch every fault that a person can mend."""


class SpecError(LLMBuildError):
    """A spec or a config is faulty. `diagnostics` holds every fault that was found, in the order of the text."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(each) for each in self.diagnostics))


class MissingContext(LLMBuildError):
    """A component asked its context for something that nobody around it gave. `name` is what was asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is not known here; give it in the context: Context({name}=…)")


class PluginError(LLMBuildError):
    """A plugin or a component does not keep its promise: a bad declaration, or a module that cannot be imported.

    `message` says which and why, and `remedy` what to do where that is known beside it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message, self.remedy = message, remedy
        super().__init__(f"{message}; {remedy}" if remedy else message)


class DataError(LLMBuildError):
    """Training or evaluation data is missing, empty or too short."""


class RunError(LLMBuildError):
    """A run directory is missing, incomplete or already taken."""


class TrainingError(LLMBuildError):
    """Training cannot go on."""


class NonFiniteLoss(TrainingError):
    """The loss or the gradient norm is not a finite number; raised before the optimiser step."""


class GenerationError(LLMBuildError):
    """A prompt or a request cannot be served."""


class PromptError(GenerationError):
    """Some of `count` prompts cannot be served. `faults` says of each why, by its place among them, counted from 0.

    Where that is the same of all, it is the message; otherwise each of the first SHOWN stands under its number.
    """

    SHOWN = 5

    def __init__(self, faults: Mapping[int, str], count: int) -> None:
        self.faults = dict(faults)
        same = len(faults) == count and len(set(faults.values())) == 1
        told = [f"prompt {place + 1}: {fault}" for place, fault in self.faults.items()]
        more = len(told) - self.SHOWN
        listed = [*told[: self.SHOWN], *[f"and {more:_} prompts more"][: max(more, 0)]]
        super().__init__(next(iter(faults.values())) if same else "\n".join(listed))


class FormatError(LLMBuildError):
    """A text cannot be formatted without changing more than its white space. Nothing was written."""


class CapacityError(LLMBuildError):
    """A state has no room for what is asked. Nothing was changed."""
