"""Where and in which precision a run computes."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from llm_build.errors import LLMBuildError

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float64")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""What glibc's malloc.h calls them."""


@attrs.frozen(kw_only=True)
class Compute:
    """A device, the dtype of the arithmetic, and the seed of everything that is drawn."""

    device: torch.device
    dtype: torch.dtype
    seed: int = 0

    @classmethod
    def choose(cls, device: str = "auto", dtype: str = "auto", seed: int = 0) -> Compute:
        """From the words of the command line; `auto` is the fastest that is there, and bfloat16 where a GPU has it.

        Raises `LLMBuildError` for a device that is not there.
        """
        place = torch.device(_best() if device == "auto" else device)
        if place.type == "cuda" and not torch.cuda.is_available():
            raise LLMBuildError(f"device {device} must be there; torch sees no CUDA device: use --device cpu")
        if place.type == "mps" and not torch.backends.mps.is_available():
            raise LLMBuildError(f"device {device} must be there; torch sees no MPS device: use --device cpu")
        if place.type == "cpu":
            torch.set_num_threads(cores())
        half = place.type == "cuda" and torch.cuda.is_bf16_supported()
        name = ("bfloat16" if half else "float32") if dtype == "auto" else dtype
        return cls(device=place, dtype=getattr(torch, name), seed=seed)

    def described(self) -> dict[str, Any]:
        """For the record: what decides the figures of a run beside its spec and its text."""
        return {
            "device": self.device.type,
            "dtype": str(self.dtype).removeprefix("torch."),
            "seed": self.seed,
            "threads": torch.get_num_threads(),
        }

    @property
    def weights(self) -> torch.dtype:
        """The dtype of weights that are trained: float32, under a bfloat16 product too."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """Products in `dtype` where the weights are wider."""
        if self.dtype == self.weights:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def move(self, batch: Tensor) -> Tensor:
        """A batch on the device, without waiting for the copy where that is possible."""
        if self.device.type == "cuda":
            return batch.pin_memory().to(self.device, non_blocking=True)
        return batch.to(self.device)


def cores() -> int:
    """The processors that this process may use: its affinity, its container's quota, and OMP_NUM_THREADS."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(found, _quota(found)))


def keep_memory() -> None:
    """Let a glibc keep what a training step frees for the next one, in place of pages that the system clears anew.

    It acts on the whole process, which then keeps the most that it ever held, so only a process of our own calls it: a
    large model trains up to twice as fast on a CPU. Elsewhere nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def _quota(otherwise: int) -> int:
    # threads beyond a container's quota are stopped together, each time in the middle of a product
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return otherwise if quota == "max" else round(int(quota) / int(period))
    except (OSError, ValueError):
        return otherwise


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
