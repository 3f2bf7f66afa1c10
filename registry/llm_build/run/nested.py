"""State of any shape on disk: tensors as safetensors, what is around them as JSON. Nothing that is read is run.

A state is made of tensors, numbers, texts, booleans and None, in lists, tuples and dicts whose keys are numbers or
texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from llm_build.errors import PluginError, RunError


def outlined(state: Any) -> tuple[str, dict[str, Tensor]]:
    """The JSON of a state, in which each tensor is a number, and the tensors by their number.

    Raises `PluginError` where it holds something else, with the place.
    """
    tensors: dict[str, Tensor] = {}
    return json.dumps(_packed(state, "", tensors), separators=(",", ":")), tensors


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write the tensors of a state. Raises `RunError` where that fails."""
    try:
        save_file(dict(_apart(tensors)), path)
    except (OSError, SafetensorError) as fault:
        raise RunError(f"the state of training must be written to {path}, which failed: {fault}") from fault


def read_state(outline: Path, tensors: Path) -> Any:
    """The state of two such files, on the CPU. Raises `RunError` where they are none."""
    try:
        return _unpacked(json.loads(outline.read_text(encoding="utf-8")), load_file(tensors))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise RunError(f"{outline} and {tensors.name} must hold the state of training: {fault!r}") from fault


def _apart(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Each by itself, as a file of tensors asks for: what shares its memory with one before it is copied."""
    seen = set[int]()
    for name, each in tensors.items():
        memory = each.untyped_storage()
        alone = memory.nbytes() == each.numel() * each.itemsize and memory.data_ptr() not in seen
        seen.add(memory.data_ptr())
        yield name, each.detach().contiguous() if alone else each.detach().clone().contiguous()


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, list):
        return [_packed(each, f"{place}[{index}]", tensors) for index, each in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": [_packed(each, f"{place}[{index}]", tensors) for index, each in enumerate(value)]}
    if isinstance(value, Mapping) and all(isinstance(key, int | str) for key in value):
        return {"items": [[key, _packed(each, f"{place}[{key!r}]", tensors)] for key, each in value.items()]}
    raise PluginError(
        f"the state of training may hold tensors, numbers, texts, lists, tuples and dicts; state{place} is "
        f"{type(value).__name__}"
    )


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "tuple":
        return tuple(_unpacked(each, tensors) for each in held)
    if kind == "items":
        return {key: _unpacked(each, tensors) for key, each in held}
    raise ValueError(f"{kind!r} is no kind of state")
