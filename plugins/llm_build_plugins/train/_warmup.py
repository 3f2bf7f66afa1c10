"""What the schedules share: counts of steps, the linear warm-up, and the way down. Torch-free."""

from __future__ import annotations

from llm_build import Share


def count(amount: int | Share, steps: int) -> int:
    """A count, or a share of all steps as a count."""
    return amount.of(steps) if isinstance(amount, Share) else amount


def rise(step: int, warmup: int, start: float) -> float:
    """A straight line from `start` at step 0 to 1 at step `warmup`, and 1 from there on."""
    return start + (1 - start) * step / warmup if step < warmup else 1.0


def descent(step: int, warmup: int, steps: int) -> float:
    """The share of the way from step `warmup` to the last that is done: 0 before, 1 at the last step.

    A run that ends with its warm-up, or before, has no way down.
    """
    return min(1.0, max(0, step - warmup) / max(1, steps - 1 - warmup))
