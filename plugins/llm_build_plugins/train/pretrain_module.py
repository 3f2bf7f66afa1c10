"""The training loop for plain text, and for pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build import NonFiniteLoss, Outcome, Stopped
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
        self.loggers = config.parts("loggers", context)

    def train(self, job: Job) -> Outcome:
        """Train `job.model` and leave it with the best weights. Raises `NonFiniteLoss` before it would be spoilt.

        Where the job goes on from a checkpoint, so does this, with the very next batch. Told to stop, it keeps a
        checkpoint of its last step and raises `Stopped`.
        """
        loop = Loop(job, self.config, self.objective, self.optimizer, self.schedule)
        loop.go_on(job.resume())
        job.log_to(self.loggers)
        job.progress.begin(loop.steps, loop.done)
        job.model.train()
        while loop.done < loop.steps:
            loop.step()
            if loop.to_look:
                self._look(job, loop)
            stopping = job.stopping  # asked once: a signal may come between two questions
            if not loop.to_look and (loop.to_keep or stopping):
                job.keep(loop.done, None, loop.state())
                loop.rest()
            if stopping:
                raise Stopped(
                    f"stopped after step {loop.done} of {loop.steps}, which is kept: go on with --resume --out "
                    f"{job.directory.path}"
                )
        best = job.best_step
        if best != loop.done:
            job.restore()
        whole = job.measure()
        job.record(step=best, final_held_out_nats=whole.nats, final_held_out_bits=whole.bits)
        return Outcome(steps=loop.done, tokens=loop.tokens, seconds=loop.seconds, best_step=best, held_out=whole)

    def _look(self, job: Job, loop: Loop) -> None:
        """Take the held-out loss, write a sample, and keep a checkpoint."""
        found = job.measure(self.config.eval_tokens)
        if not math.isfinite(found.nats):
            raise NonFiniteLoss(
                f"the held-out loss must be finite; after step {loop.done} it is {found.nats}: "
                "try a lower lr, a longer warmup or a smaller clip"
            )
        job.record(step=loop.done, held_out_nats=found.nats, held_out_bits=found.bits)
        job.progress.say(f"step {loop.done}: held out {found.nats:.3f} nats a token, {found.bits:.3f} bits a byte")
        try:
            job.sample(loop.done, self.config.samples, self.config.sample_tokens)
        finally:  # a sampler that fails does not cost the steps so far
            job.keep(loop.done, found.nats, loop.state())
        loop.rest()
