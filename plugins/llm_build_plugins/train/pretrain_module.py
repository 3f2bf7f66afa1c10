"""The training loop for plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build import Outcome
from llm_build_plugins.train._loop import Loop

if TYPE_CHECKING:
    from llm_build import Context, Job
    from llm_build_plugins.train.pretrain_config import pretrain


class Pretrain:
    """Carries out a `Job`: steps, held-out losses on the way, samples, and the best weights kept."""

    def __init__(self, config: pretrain, context: Context) -> None:
        self.config = config
        self.objective = config.part("objective", context)
        self.optimizer = config.part("optimizer", context)
        self.schedule = config.part("schedule", context)

    def train(self, job: Job) -> Outcome:
        """Train `job.model` and leave it with the best weights. Raises `NonFiniteLoss` before it would be spoilt."""
        loop = Loop(job, self.config, self.objective, self.optimizer, self.schedule)
        best, best_step = math.inf, 0
        job.progress.begin(loop.steps)
        job.model.train()
        while loop.done < loop.steps:
            loop.step()
            if loop.done % loop.eval_every == 0 or loop.done == loop.steps:
                found = job.measure(self.config.eval_tokens)
                job.record(step=loop.done, held_out_nats=found.nats, held_out_bits=found.bits)
                job.progress.say(
                    f"step {loop.done}: held out {found.nats:.3f} nats a token, {found.bits:.3f} bits a byte"
                )
                job.sample(loop.done, self.config.samples, self.config.sample_tokens)
                if found.nats < best:
                    best, best_step = found.nats, loop.done
                    job.keep()
                loop.rest()
        if best_step != loop.done:
            job.restore()
        whole = job.measure()
        job.record(step=best_step, final_held_out_nats=whole.nats, final_held_out_bits=whole.bits)
        return Outcome(steps=loop.done, tokens=loop.tokens, seconds=loop.seconds, best_step=best_step, held_out=whole)
