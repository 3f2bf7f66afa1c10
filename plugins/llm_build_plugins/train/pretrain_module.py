"""The training loop for plain text, and for pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build import NonFiniteLoss, Outcome
from llm_build_plugins.train._loop import Loop

if TYPE_CHECKING:
    from llm_build import Context, Job
    from llm_build_plugins.train.pretrain_config import pretrain


class Pretrain:
    """Carries out a `Job`: steps, held-out losses on the way, samples, and a checkpoint at each of these looks."""

    def __init__(self, config: pretrain, context: Context) -> None:
        self.config = config
        self.objective = config.part("objective", context)
        self.optimizer = config.part("optimizer", context)
        self.schedule = config.part("schedule", context)

    def train(self, job: Job) -> Outcome:
        """Train `job.model` and leave it with the best weights. Raises `NonFiniteLoss` before it would be spoilt.

        Where it is interrupted, the checkpoints so far stay; if there is none, one of this moment is kept.
        """
        loop = Loop(job, self.config, self.objective, self.optimizer, self.schedule)
        job.progress.begin(loop.steps)
        job.model.train()
        best = Best()
        try:
            while loop.done < loop.steps:
                loop.step()
                if loop.done % loop.eval_every == 0 or loop.done == loop.steps:
                    self._look(job, loop, best)
        except KeyboardInterrupt:
            if not job.kept:
                job.keep(loop.done)
            raise
        if best.step != loop.done:
            job.restore()
        whole = job.measure()
        job.record(step=best.step, final_held_out_nats=whole.nats, final_held_out_bits=whole.bits)
        return Outcome(steps=loop.done, tokens=loop.tokens, seconds=loop.seconds, best_step=best.step, held_out=whole)

    def _look(self, job: Job, loop: Loop, best: Best) -> None:
        """Take the held-out loss, keep a checkpoint, and write a sample."""
        found = job.measure(self.config.eval_tokens)
        if not math.isfinite(found.nats):
            raise NonFiniteLoss(
                f"the held-out loss must be finite; after step {loop.done} it is {found.nats}: "
                "try a lower lr, a longer warmup or a smaller clip"
            )
        job.record(step=loop.done, held_out_nats=found.nats, held_out_bits=found.bits)
        job.progress.say(f"step {loop.done}: held out {found.nats:.3f} nats a token, {found.bits:.3f} bits a byte")
        if found.nats < best.nats:
            best.nats, best.step = found.nats, loop.done
        job.keep(loop.done, found.nats)
        job.sample(loop.done, self.config.samples, self.config.sample_tokens)
        loop.rest()


class Best:
    """The lowest held-out loss so far, and the step that had it; step 0 is none."""

    def __init__(self) -> None:
        self.nats, self.step = math.inf, 0
