"""Whether the language of our kernels is there: torch for CUDA brings Triton on Linux, and nowhere else."""

from __future__ import annotations

from importlib.util import find_spec

HAS_TRITON = find_spec("triton") is not None
