from llm_build import IGNORED
from torch import float32, promote_types
from torch.nn.functional import nll_loss


class Thing:
    """The mean over all targets that count of -log p(target) - beta · entropy(p), and what the layers add.

    In float32 or wider, whatever the dtype of the logits.
    """

    def __init__(self, config, context):
        self.beta = config.beta

    def loss(self, model, batch):
        hidden, added = batch.hidden(model)  # [B, T, D], and the losses of the layers
        logits = model.head(hidden)  # [B, T, V]
        scores = logits.log_softmax(-1, dtype=promote_types(logits.dtype, float32)).flatten(0, 1)
        targets = batch.targets.flatten()
        counts = targets != IGNORED
        counted = counts.sum().clamp(min=1)
        nll = nll_loss(scores, targets, ignore_index=IGNORED, reduction="sum") / counted
        entropy = -((scores.exp() * scores).sum(-1) * counts).sum() / counted
        return nll - self.beta * entropy + sum(added.values()), {"nll": nll, "entropy": entropy, **added}
