"""The memory of a device."""

from __future__ import annotations

import os
from pathlib import Path

import torch

GIB = 2**30


def memory_of(place: torch.device) -> float:
    """Bytes of memory that a device has in all; infinite where that cannot be known."""
    if place.type == "cuda":
        return float(torch.cuda.mem_get_info(place)[1])
    if place.type == "cpu" and hasattr(os, "sysconf"):
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    return float("inf")


def free_memory(place: torch.device) -> float:
    """Bytes of it that can be taken now; what torch holds of a GPU and does not use counts as free."""
    if place.type == "cuda":
        unused = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
        return float(torch.cuda.mem_get_info(place)[0] + unused)
    facts = Path("/proc/meminfo")
    if place.type == "cpu" and facts.is_file():
        lines = facts.read_text(encoding="ascii").splitlines()
        found = [float(each.split()[1]) * 1024 for each in lines if each.startswith("MemAvailable:")]
        if found:
            return found[0]
    return memory_of(place)
