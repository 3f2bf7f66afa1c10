"""One drawn case: what a law asks for, and what is told of it where the law does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import attrs
import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build.assemble import build
from llm_build.components import Config
from llm_build.conformance.configs import text_of
from llm_build.conformance.drawing import accepted, draw_config, draw_stated
from llm_build.conformance.subject import Subject
from llm_build.conformance.surroundings import draw_context
from llm_build.context import Context

T = TypeVar("T")

ROWS, LENGTH = 3, 8
"""The most rows and positions that a case has."""
SHAKE = 0.3


@attrs.frozen(kw_only=True, eq=False)
class Made:
    """A component as it was drawn: its filled config, its surroundings, and its module in evaluation mode."""

    config: Config
    context: Context
    module: Any
    seed: int

    def again(self, *, seed: int | None = None, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Any:
        """Another module of the same config, as it comes from the factory."""
        made = build(
            self.config, context=self.context, dtype=dtype, device=device, seed=self.seed if seed is None else seed
        )
        return made.eval() if isinstance(made, nn.Module) else made


class Trial:
    """What a law draws from. Every draw has a name, under which a failing case is told."""

    def __init__(self, subject: Subject, data: st.DataObject, folder: Callable[[], Path], *, full: bool) -> None:
        self.subject, self.full = subject, full
        self.case: dict[str, str] = {}
        self._data, self._folder = data, folder
        self.written: Path | None = None  # the folder of the files that the config names

    def draw(self, name: str, strategy: st.SearchStrategy[T]) -> T:
        """A value, told as `name`."""
        value = self._data.draw(strategy)
        self.tell(name, value)
        return value

    def pick(self, strategy: st.SearchStrategy[T]) -> T:
        """A value that is told in another way."""
        return self._data.draw(strategy)

    def tell(self, name: str, value: object) -> None:
        """What else is worth knowing of this case."""
        self.case[name] = str(value)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number; small ones are what a failing case is shrunk to."""
        return self.draw(name, st.integers(low, high))

    def rows(self) -> int:
        return self.whole("rows", 1, ROWS)

    def length(self, low: int = 1, high: int = LENGTH) -> int:
        return self.whole("length", low, high)

    def flag(self, name: str) -> bool:
        return self.draw(name, st.booleans())

    @cached_property
    def random(self) -> torch.Generator:
        """Where the numbers of this case come from."""
        return torch.Generator().manual_seed(self.whole("numbers", 0, 2**16))

    def normal(self, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
        """Normal numbers."""
        return (scale * torch.randn(shape, dtype=torch.float64, generator=self.random)).to(dtype)

    def integers(self, high: int, *shape: int) -> Tensor:
        """int64 from 0 to high - 1."""
        return torch.randint(high, shape, generator=self.random)

    @property
    def folder(self) -> Path:
        """An empty folder of this case."""
        return self._folder()

    def surroundings(self, **changed: Any) -> Context:
        """A context for the component."""
        return draw_context(self._data.draw, self.subject).with_(**changed)

    def stated(self) -> Config:
        """A config of the component, as it comes from its fields: right or wrong in any context."""
        self.written = self.folder
        config = draw_stated(self._data.draw, self.subject, self.written)
        self.tell("config", text_of(config))
        return config

    def config(
        self, *, fields: Mapping[str, Any] | None = None, plain: bool = False, **surroundings: Any
    ) -> tuple[Config, Context]:
        """A filled config of the component and the context that it is right in.

        `fields` are stated in the one, `surroundings` set in the other, whatever else is drawn; `plain`: it states
        nothing but what must be stated.
        """
        context = self.surroundings(**surroundings)
        self.written = self.folder
        config: Any = draw_config(self._data.draw, self.subject, context, self.written, plain=plain)
        config = attrs.evolve(config, **(fields or {}))
        filled = accepted(config, context)
        assume(filled is not None)
        assert filled is not None
        self.tell("config", text_of(config))
        self.tell("context", _told(context))
        return filled, context

    def made(
        self,
        *,
        shaken: bool = True,
        dtype: torch.dtype = torch.float64,
        fields: Mapping[str, Any] | None = None,
        plain: bool = False,
        **surroundings: Any,
    ) -> Made:
        """A component, built. Its weights are shaken, so that one that begins at 0 or 1 matters as all others do."""
        config, context = self.config(fields=fields, plain=plain, **surroundings)
        seed = self.whole("seed", 0, 2**16)
        module = build(config, context=context, dtype=dtype, seed=seed)
        if isinstance(module, nn.Module):
            module.eval()
            if shaken:
                shake(module, seed)
        return Made(config=config, context=context, module=module, seed=seed)


def shake(module: nn.Module, seed: int) -> None:
    """Add normal numbers to every floating parameter, in place."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in module.parameters():
            if each.is_floating_point():
                each.add_(torch.randn(each.shape, dtype=torch.float64, generator=random).to(each.dtype), alpha=SHAKE)


def _told(context: Context) -> str:
    default = Context()
    changed: Mapping[str, Any] = {
        each.name: getattr(context, each.name)
        for each in attrs.fields(Context)
        if each.name not in ("owners", "shelf", "path") and getattr(context, each.name) != getattr(default, each.name)
    }
    return f"Context({', '.join(f'{name}={_short(value)}' for name, value in changed.items())})"


def _short(value: Any) -> str:
    return text_of(value) if isinstance(value, Config) else repr(value)
