from torch import nn


class Thing(nn.Module):
    """x [B, T, D] → [B, T, D], each position by itself: down(sigmoid(gate(x)) · up(x))."""

    def __init__(self, config, context):
        super().__init__()
        dim = context.need("dim")
        self.gate = nn.Linear(dim, config.hidden, bias=False)
        self.up = nn.Linear(dim, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, dim, bias=False)
        # initialisers draw what writes into the residual stream smaller
        self.down.writes_residual = True

    def forward(self, x):
        return self.down(self.gate(x).sigmoid() * self.up(x))
