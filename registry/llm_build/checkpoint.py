"""Weights on disk, as safetensors. What a file says of itself is checked before anything is copied."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from llm_build.errors import RunError

SHOWN = 5


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write every parameter and persistent buffer; a tied weight once, under its first name.

    The file appears whole or not at all: it is written beside its place, synced and renamed. Raises `RunError` where it
    cannot be written.
    """
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        _write(model, temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(place)
    except (OSError, SafetensorError) as fault:
        raise RunError(f"weights must be written to {place}, which failed: {fault}; what was there is whole") from fault
    finally:
        temporary.unlink(missing_ok=True)


def write_weights(model: nn.Module, path: Path) -> None:
    """The same into a place of the caller's, who syncs and renames it. Raises `RunError` where it cannot be written."""
    try:
        _write(model, path)
    except (OSError, SafetensorError) as fault:
        raise RunError(f"weights must be written to {path}, which failed: {fault}") from fault


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Copy a file's weights into a model, converted to the model's dtype and device.

    Raises `RunError` where the file is missing or no safetensors, or where a name, a shape or the kind of a dtype
    differs; the model is then as it was.
    """
    place = Path(path)
    if not place.is_file():
        raise RunError(f"weights must exist; there is no file {place}")
    weights = _weights(model)
    try:
        with safe_open(place, framework="pt") as file:
            _refuse_difference(place, weights, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(file.get_tensor(name))
    except (SafetensorError, OSError) as fault:
        raise RunError(f"{place} must be a safetensors file; it cannot be read: {fault}") from fault


def _write(model: nn.Module, path: Path) -> None:
    save_file({name: each.detach().contiguous() for name, each in _weights(model).items()}, path)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """By name: parameters without repeats, and the buffers that belong in a file."""
    kept = model.state_dict(keep_vars=True)
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in kept}
    return {**dict(model.named_parameters()), **buffers}


def _refuse_difference(place: Path, weights: Mapping[str, Tensor], found: Mapping[str, object]) -> None:
    faults = [
        *_listed("it lacks", (name for name in weights if name not in found)),
        *_listed("the model has no", (name for name in found if name not in weights)),
        *_listed("other shapes or kinds:", _unlike(weights, found)),
    ]
    if faults:
        raise RunError(f"{place} must hold the weights of this model: {'; '.join(faults)}")


def _unlike(weights: Mapping[str, Tensor], found: Mapping[str, object]) -> Iterable[str]:
    for name, weight in weights.items():
        if name not in found:
            continue
        shape, kind = list(found[name].get_shape()), str(found[name].get_dtype())  # type: ignore[attr-defined]
        if shape != list(weight.shape) or kind.startswith(("F", "BF")) != weight.is_floating_point():
            yield f"{name} is {kind} {shape}, must be {str(weight.dtype).removeprefix('torch.')} {list(weight.shape)}"


def _listed(words: str, names: Iterable[str]) -> list[str]:
    found = list(names)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [f"{words} {', '.join(found[:SHOWN])}{more}"] if found else []
