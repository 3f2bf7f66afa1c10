"""The config of next-token prediction."""

from __future__ import annotations

from llm_build import Config, component, number


@component("objective:next_token", module="llm_build_plugins.train.next_token_module:NextToken")
class next_token(Config):
    """The mean cross-entropy of each next token in nats, with logits in float32; padding does not count.

    With `smoothing` ε the wanted distribution is 1 - ε on the next token and ε spread evenly over the vocabulary. With
    `z_loss` each target adds z_loss · log² Z, where Z is the sum of exp(logits), so that Z stays near 1.
    Sources: Szegedy et al. 2016, "Rethinking the Inception architecture", section 7, for smoothing; Chowdhery et al.
    2022, "PaLM", section 5, for the z-loss, which is 1e-4 there.
    """

    smoothing: float = number(low=0, below=1, default=0, doc="how much of the target is spread over the vocabulary")
    z_loss: float = number(low=0, default=0, doc="what the mean of log² Z is multiplied by")
