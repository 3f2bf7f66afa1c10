"""Whose code it is that raised while a config was filled: a plugin's is fenced, what ours raises is a bug."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from llm_build.components import Config, Problem, id_of
from llm_build.offers import Owner, said
from llm_build.registry import Registry


@attrs.frozen(eq=False)
class Blame:
    """A config whose own code failed, the function of it that did, and who brings it."""

    config: Config
    function: str
    owner: Owner

    def problem(self, fault: BaseException) -> Problem:
        message = f"{id_of(self.config)} of {self.owner} fails in its {self.function}: {said(fault)}"
        return Problem(field="", message=message, help=self.owner.remedy(), code="E315")


def blame(
    fault: BaseException, own: Config, function: str, registry: Registry, behind: Callable[[Any], Config | None]
) -> Blame | None:
    """Who is to blame for what a function of the config `own` raised; None where no plugin is.

    A config may ask a part of it, as a spec asks its tokenizer for the size of its vocabulary: the innermost config
    that a plugin brings failed. `behind` gives the config that the `self` of a function stands for.
    """
    asked = ((config, name) for held, name in _callers(fault) if (config := behind(held)) is not None)
    for config, name in (*asked, (own, function)):
        owner = registry.owner_of(config)
        if owner is not None and not owner.built_in:
            return Blame(config, function if config is own else name, owner)
    return None


def _callers(fault: BaseException) -> Iterator[tuple[Any, str]]:
    """The `self` and the name of every function that a fault came through, the innermost first."""
    trail, frames = fault.__traceback__, []
    while trail is not None:
        frames.append(trail.tb_frame)
        trail = trail.tb_next
    return ((frame.f_locals.get("self"), frame.f_code.co_name) for frame in reversed(frames))
