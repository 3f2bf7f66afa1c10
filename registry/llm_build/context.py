"""Context: what a component learns from its surroundings. Frozen and torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from llm_build.errors import MissingContext
from llm_build.language.values import FAULTY

if TYPE_CHECKING:
    from llm_build.components import Config


@attrs.frozen(kw_only=True)
class Context:
    """What a component learns from its surroundings; its parent sets it, in the spec, in Python and in the kit alike.

    Sizes: `dim` is the model's width, `vocab` the rows of the embedding, `context` the longest sequence in tokens,
    `depth` the number of layers of the stack, `heads` and `head_dim` those of the attention around. `causal` says
    whether a position may see only itself and what came before. `branches` names a block's branches in their order.
    `experts` is the number of experts that a router chooses from, or that an ffn is to be, all in one.
    `encoder_dim` is the width of what an encoder made, for blocks that read it, `memory` that of the vectors that a
    mixer reads in place of its own sequence. `steps` is the number of optimiser steps of a training run, `paired`
    whether its examples are pairs of a source and a target. None means that nobody said.
    `project` is the folder that a spec is read in: a config opens no file outside of it (`may_read`). None where a
    person builds, trains or generates.
    """

    dim: int | None = None
    vocab: int | None = None
    context: int | None = None
    depth: int | None = None
    heads: int | None = None
    head_dim: int | None = None
    causal: bool = True
    dropout: float = 0.0
    branches: tuple[str, ...] = ()
    experts: int | None = None
    position: Config | None = None
    norm: Config | None = None
    encoder_dim: int | None = None
    memory: int | None = None
    steps: int | None = None
    paired: bool = False
    project: str | None = None
    # something further out is faulty, so a value that is missing here is no fault of its own
    blind: bool = False
    # where we are (`model.layers[3]`), and the path of whoever provides `position`, `norm`, …
    path: str = attrs.field(default="", eq=False)
    owners: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)
    # why nobody tells a field, where there is more to say than that ("vocab" → "… stays unread"), and what to do
    untold: Mapping[str, tuple[str, str]] = attrs.field(factory=dict, eq=False, repr=False)
    # parts that are built once for all who inherit them; there only while modules are being built
    shelf: dict[Any, Any] | None = attrs.field(default=None, eq=False, repr=False)

    def need(self, name: str) -> Any:
        """The value of a field, or `MissingContext` where nobody gave it."""
        value = getattr(self, name)
        if value is None or value is FAULTY or self.blind:
            raise MissingContext(name)
        return value

    def may_read(self, file: str) -> bool:
        """Whether a config may open a file: while a spec is read only those inside its project, links followed."""
        if self.project is None:
            return True
        try:
            return Path(file).resolve().is_relative_to(self.project)
        except (OSError, RuntimeError, ValueError):  # a link to itself, a zero, half a surrogate pair
            return False

    @property
    def damaged(self) -> bool:
        """Whether something that it tells is faulty further out."""
        return self.blind or any(value is FAULTY for value in attrs.astuple(self, recurse=False))

    def with_(self, **changes: Any) -> Context:
        """A copy with some fields changed."""
        return attrs.evolve(self, **changes)

    def provide(self, **values: Any) -> Context:
        """A copy for what lies inside the component at `path`: these values are its own to hand down."""
        return attrs.evolve(self, owners={**self.owners, **dict.fromkeys(values, self.path)}, **values)
