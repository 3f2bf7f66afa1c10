from llm_build import parameter_groups
from torch.optim import RMSprop


class Thing:
    """Makes torch's RMSprop."""

    def __init__(self, config, context):
        self.config = config

    def make(self, model):
        lr, decay = self.config.lr, self.config.decay
        # what each parameter asks for: norms and biases want no decay
        groups = [
            {"params": weights, "lr": lr * group.lr, "weight_decay": decay if group.decay else 0.0}
            for group, weights in parameter_groups(model).items()
        ]
        return RMSprop(groups, alpha=self.config.alpha)
