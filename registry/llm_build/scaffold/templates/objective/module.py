from llm_build import IGNORED
from torch.nn.functional import nll_loss


class Thing:
    """The mean over all targets that count of -log p(target) - beta · entropy(p), and what the layers add."""

    def __init__(self, config, context):
        self.beta = config.beta

    def loss(self, model, batch):
        hidden, added = batch.hidden(model)  # [B, T, D], and the losses of the layers
        scores = model.head(hidden).float().log_softmax(-1).flatten(0, 1)  # [B · T, V]
        targets = batch.targets.flatten()
        counts = targets != IGNORED
        counted = counts.sum().clamp(min=1)
        nll = nll_loss(scores, targets, ignore_index=IGNORED, reduction="sum") / counted
        entropy = -((scores.exp() * scores).sum(-1) * counts).sum() / counted
        return nll - self.beta * entropy + sum(added.values()), {"nll": nll, "entropy": entropy, **added}
