"""Which processor this machine has. Torch-free."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """Its name, as Linux tells it, or what Python knows of it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
