"""Weights in 8 bits. Legend: O outputs, I inputs of a linear map."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from llm_build_plugins.quantize._linear import Int8Linear

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.quantize.int8_config import int8


class Int8:
    """Every `nn.Linear` without `exact`, and where `head` says so what has a method `quantise`."""

    def __init__(self, config: int8, context: Context) -> None:
        self.head = config.head

    def quantize(self, model: nn.Module) -> nn.Module:
        """A model beside the given one, which stays as it is; what is not quantised they share."""
        if any(isinstance(each, Int8Linear) for each in model.modules()):
            return model
        shared: dict[int, Any] = {id(each): each for each in (*model.parameters(), *model.buffers())}
        # tensors born under inference mode could not be used outside of it
        with torch.inference_mode(False), torch.no_grad():
            made = copy.deepcopy(model, shared)
            for quantise in list(_own(made)) if self.head else []:
                quantise(Int8Linear.of)
            of: dict[nn.Module, Int8Linear] = {}
            for parent, name, linear in list(_linears(made)):
                of[linear] = of.get(linear) or Int8Linear.of(linear.weight, linear.bias)
                setattr(parent, name, of[linear])
        return made


def _linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """(parent, name, map) of every linear map that may be quantised, under each name that it has."""
    for parent in model.modules():
        for name, child in parent._modules.items():
            if type(child) is nn.Linear and not getattr(child, "exact", False):
                yield parent, name, child


def _own(model: nn.Module) -> Iterator[Callable[..., None]]:
    """The method `quantise` of every module that has it."""
    found = (getattr(each, "quantise", None) for each in model.modules())
    return (each for each in found if callable(each))
