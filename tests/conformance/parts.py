"""Small norms, right and wrong, for tests of the kit itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from llm_build import Config, Context, component, size

HERE = "tests.conformance.parts"


class Scaled(nn.Module):
    """x [..., D] → x · gain."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(context.need("dim")))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class Random(Scaled):
    """Draws in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain + torch.rand(())


class Raising(Scaled):
    """Fails where x has three rows or more."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 2:
            raise ValueError("three rows")
        return x * self.gain


@component("norm:acme.scaled", module=f"{HERE}:Scaled")
class scaled(Config):
    """x · gain."""


@component("norm:acme.random", module=f"{HERE}:Random")
class random(Config):
    """x · gain and noise."""


@component("norm:acme.noisy", module=f"{HERE}:Random", opt_outs={"random": "noise is what it is for"})
class noisy(Config):
    """x · gain and noise, in the open."""


@component("norm:acme.timid", module=f"{HERE}:Scaled", opt_outs={"random": "it might be random one day"})
class timid(Config):
    """Opts out of what it keeps."""


@component("norm:acme.stray", module=f"{HERE}:Scaled", opt_outs={"randm": "misspelt"})
class stray(Config):
    """Opts out of what is no check."""


@component("norm:acme.raising", module=f"{HERE}:Raising")
class raising(Config):
    """Raises."""


@component("norm:acme.undrawn", module=f"{HERE}:Scaled")
class undrawn(Config):
    """Can be drawn in no context that the kit knows."""

    width: int = size(low=1000, high=1000)

    def check(self, context: Context):  # type: ignore[no-untyped-def]
        from llm_build import Problem

        yield Problem(field="width", message="never right", help="there is none")


class Panicking(Scaled):
    """Raises what is no `Exception`, as Rust code does when it panics."""

    def forward(self, x: Tensor) -> Tensor:
        raise Panic("index out of bounds")


class Panic(BaseException):
    """What Rust code raises."""


@component("norm:acme.panicking", module=f"{HERE}:Panicking")
class panicking(Config):
    """Panics."""


@component("norm:acme.large", module=f"{HERE}:Scaled")
class large(Config):
    """Is right for large sizes only, of which its field has an example."""

    width: int = size(low=1, example=1000)

    def check(self, context: Context):  # type: ignore[no-untyped-def]
        from llm_build import Problem

        if self.width < 1000:
            yield Problem(field="width", message="too small", help="write 1000")


class Keeping(Scaled):
    """Keeps a file in the cache folder."""

    def forward(self, x: Tensor) -> Tensor:
        from llm_build import cache_folder

        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache_folder() / "kept").touch()
        return x * self.gain


@component("norm:acme.keeping", module=f"{HERE}:Keeping")
class keeping(Config):
    """Keeps something."""
