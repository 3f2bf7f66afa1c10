"""What cannot be measured without numbers."""

from __future__ import annotations

from llm_build.errors import LLMBuildError


class Unmeasured(LLMBuildError):
    """Something cannot run on the meta device; the message says why."""


def first_line(fault: Exception) -> str:
    """The first line of torch's message, or the kind of fault where it has none."""
    return str(fault).partition("\n")[0] or type(fault).__name__
