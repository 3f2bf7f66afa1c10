from torch import float32, promote_types


class Thing:
    """Leaves the tokens with a probability of at least eps, and of those below it the likeliest where it is alone."""

    def __init__(self, config, context):
        self.eps = config.eps

    def scores(self, logits, seen):
        """logits and seen [B, V] → [B, V] in float32 or wider; -inf is never drawn."""
        logits = logits.to(promote_types(logits.dtype, float32))
        chances = logits.softmax(-1)
        least = chances.amax(-1, keepdim=True).clamp(max=self.eps)
        return logits.masked_fill(chances < least, float("-inf"))
