"""Optimiser steps, one batch after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from llm_build import NonFiniteLoss, RunError, Share

if TYPE_CHECKING:
    from llm_build import Batch, Job
    from llm_build_plugins.train.pretrain_config import pretrain

    Drawn = list[tuple[Batch, int]]
    """The parts of a batch, each with the targets that count."""


class Loop:
    """The state of training, one optimiser step after the other."""

    def __init__(self, job: Job, config: pretrain, objective: Any, optimizer: Any, schedule: Any) -> None:
        self.job, self.config, self.objective, self.schedule = job, config, objective, schedule
        context: int = job.model.context
        self.rows = self.config.batch or (self.config.batch_tokens or 0) // context
        self.window = self.rows * context
        self.steps = self._steps()
        self.eval_every = _steps(self.config.eval_every, self.steps)
        self.keep_every = _steps(self.config.keep_every or self.config.eval_every, self.steps)
        self.weights = [each for each in job.model.parameters() if each.requires_grad]
        self.optimizer = optimizer.make(job.model)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.done = self.tokens = 0
        self.seconds = 0.0
        self._ahead: Drawn | None = None
        self._clock = Clock()

    @property
    def to_look(self) -> bool:
        """Whether this step is one for a held-out loss, with its checkpoint."""
        return self.done % self.eval_every == 0 or self.done == self.steps

    @property
    def to_keep(self) -> bool:
        """Whether this step is one for a checkpoint."""
        return self.to_look or self.done % self.keep_every == 0

    def state(self) -> dict[str, Any]:
        """All that `go_on` needs. The batches are drawn by the number of steps alone, and so is the learning rate."""
        return {
            "done": self.done,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "optimizer": self.optimizer.state_dict(),
        }

    def go_on(self, state: Mapping[str, Any] | None) -> None:
        """Take over what `state` gave; None is the beginning. Raises `RunError` where it is another trainer's."""
        if state is None:
            return
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            self.done, self.tokens, self.seconds = state["done"], state["tokens"], state["seconds"]
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as fault:
            raise RunError(f"the checkpoint must hold the state of this trainer, and it does not: {fault!r}") from fault

    def step(self) -> None:
        """One batch forward and backward, then the optimiser; nothing is changed by a batch that is not finite."""
        rate = self._set_rate()
        batch = self._ahead or self._drawn(self.done)
        parts, tokens = self._backward(batch), sum(count for _, count in batch)
        norm = self._clip()
        # while a GPU is still busy with this one
        self._ahead = self._drawn(self.done + 1) if self.done + 1 < self.steps else None
        figures = {name: float(value) for name, value in parts.items()}
        self._refuse_non_finite(figures["loss"], float(norm))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        self.tokens += tokens
        self.seconds += self._clock.lap(tokens)
        speed = self._clock.speed
        self.job.record(step=self.done, **figures, norm=float(norm), lr=rate, seconds=self.seconds, speed=speed)
        self.job.progress.step(self.done, figures["nll"], speed)

    def rest(self) -> None:
        """Time since the last step does not count as training."""
        self._clock.rest()

    def _steps(self) -> int:
        if self.config.steps is not None:
            return self.config.steps
        if self.config.tokens is not None:
            return math.ceil(self.config.tokens / self.window)
        return math.ceil((self.config.epochs or 0) * self.job.corpus.train.count / self.rows)

    def _set_rate(self) -> float:
        factor = self.schedule.factor(self.done, self.steps) if self.schedule else 1.0
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        return float(self.peaks[0] * factor)

    def _drawn(self, done: int) -> Drawn:
        """The batch that comes after so many steps, part by part, on the device."""
        job, rows = self.job, self.rows // self.config.accumulate
        begin = done * self.rows
        parts: list[Batch] = [job.corpus.train.batch(begin + start, rows) for start in range(0, self.rows, rows)]
        return [(each.map(job.compute.move), each.counted()) for each in parts]

    def _backward(self, drawn: Drawn) -> Mapping[str, torch.Tensor]:
        """Gradients of one batch, part by part → the means of the loss and its parts."""
        whole = sum(count for _, count in drawn)
        sums: dict[str, torch.Tensor] = {}
        for batch, count in drawn:
            share = count / whole
            with self.job.compute.autocast():
                loss, parts = self.objective.loss(self.job.model, batch)
            (loss * share).backward()
            for name, value in {"loss": loss, **parts}.items():
                sums[name] = sums.get(name, 0.0) + value.detach() * share
        return sums

    def _clip(self) -> torch.Tensor:
        """The global norm of the gradient, which is shortened to `clip` where it is longer."""
        limit = math.inf if self.config.clip is None else self.config.clip
        return torch.nn.utils.clip_grad_norm_(self.weights, limit)

    def _refuse_non_finite(self, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
        raise NonFiniteLoss(
            f"loss and gradient must be finite; at step {self.done + 1} {what}. The weights are those of step "
            f"{self.done}: try a lower lr, a longer warmup or a smaller clip{_kept(self.job)}"
        )


def _steps(every: int | Share, steps: int) -> int:
    return max(1, every.of(steps) if isinstance(every, Share) else every)


def _kept(job: Job) -> str:
    """What is left to start from, for a message."""
    names = job.directory.checkpoints.names
    return f", or start from what is kept: --init {job.directory.checkpoints.path / names[-1]}" if names else ""


class Clock:
    """Seconds of each step, and the tokens a second of late."""

    def __init__(self) -> None:
        self._seconds = self._tokens = 0.0
        self._laps = 0
        self._last = time.perf_counter()

    @property
    def speed(self) -> float:
        """Tokens a second, over about the last 20 laps."""
        return self._tokens / self._seconds

    def lap(self, tokens: int) -> float:
        """Seconds since the last call, in which so many tokens were trained on."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self._laps += 1
        self._seconds += (seconds - self._seconds) / min(self._laps, 20)
        self._tokens += (tokens - self._tokens) / min(self._laps, 20)
        return seconds

    def rest(self) -> None:
        """Start the next lap now."""
        self._last = time.perf_counter()
