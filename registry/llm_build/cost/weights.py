"""Parameters: all of them, and those that a token makes use of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from torch import Tensor, nn

from llm_build.assemble import build
from llm_build.components import Config
from llm_build.context import Context
from llm_build.errors import PluginError


def parameters(config: Config, context: Context | None = None) -> int:
    """The number of parameters of a config's module; shared weights count once."""
    module = build(config, context=context, device="meta")
    return sum(each.numel() for each in module.parameters())


def active(module: nn.Module) -> dict[nn.Parameter, int]:
    """How much of each parameter one token makes use of: all of it, unless a module around it states a share.

    A table of embeddings counts whole, as is usual. What is reached in two ways counts by the larger share. Raises
    `PluginError` for a module whose `active` names nothing of its own or states no share.
    """
    share = shares(module)
    return {weight: math.ceil(weight.numel() * share[weight]) for weight in module.parameters()}


def shares(module: nn.Module) -> dict[Tensor, Fraction]:
    """The share of each parameter and buffer that one token makes use of, as `active` has it."""
    found: dict[Tensor, Fraction] = {}
    for tensor, share in _shares(module, Fraction(1)):
        found[tensor] = max(share, found.get(tensor, share))
    return found


def _shares(module: nn.Module, share: Fraction) -> Iterator[tuple[Tensor, Fraction]]:
    stated = _stated(module)
    for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        yield tensor, share * stated.get(name, 1)
    for name, child in module.named_children():
        yield from _shares(child, share * stated.get(name, 1))


def _stated(module: nn.Module) -> Mapping[str, Fraction]:
    stated: Mapping[str, Fraction] = getattr(module, "active", {})
    own = {name for name, _ in (*module.named_parameters(recurse=False), *module.named_children())}
    for name, share in stated.items():
        if name not in own or not 0 <= share <= 1:
            raise PluginError(
                f"{type(module).__name__}.active maps names of its own submodules and parameters, which are "
                f"{', '.join(sorted(own)) or 'none'}, to shares from 0 to 1; {name!r}: {share} arrived"
            )
    return stated
