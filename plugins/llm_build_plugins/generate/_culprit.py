"""Which part of a model a fault comes from, for people."""

from __future__ import annotations

import inspect
import traceback
from types import CodeType
from typing import Any

from torch import nn


def running_part(fault: BaseException) -> str:
    """The innermost module that was running when a fault was raised, such as "layers.1.ffn (Router)"; "" for none."""
    holders = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(fault.__traceback__)]
    running = [each for each in holders if isinstance(each, nn.Module)]
    if not running:
        return ""
    inner = running[-1]
    place = next((name for name, each in running[0].named_modules() if each is inner), "")
    return named(place, inner)


def traced_part(fault: BaseException, name: str, part: Any) -> str:
    """The innermost module of `part`, called `name`, in whose forward a trace of it ended; itself where none did."""
    below = list(part.named_modules())[1:] if isinstance(part, nn.Module) else []
    for frame in reversed(list(getattr(fault, "real_stack", None) or ())):
        for inner, module in below:
            if _wrote(type(module), frame):
                return named(f"{name}.{inner}", module)
    return named(name, part)


def named(name: str, part: object) -> str:
    """A part by its place and its class."""
    return f"{name} ({type(part).__name__})" if name else type(part).__name__


def first_line(fault: BaseException) -> str:
    """What a fault says, without what follows: torch explains at length."""
    return next(iter(str(fault).strip().splitlines()), type(fault).__name__)


def _wrote(kind: type[Any], frame: traceback.FrameSummary) -> bool:
    """Whether a frame stands in the forward of a kind of module."""
    code: CodeType | None = getattr(inspect.unwrap(kind.forward), "__code__", None)
    if code is None or code.co_filename != frame.filename or frame.lineno is None:
        return False
    lines = [line for _, _, line in code.co_lines() if line is not None]
    return min(lines) <= frame.lineno <= max(lines)
