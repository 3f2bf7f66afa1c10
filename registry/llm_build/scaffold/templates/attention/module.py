from llm_build import Field
from torch import nn


class Thing(nn.Module):
    """x [B, T, D] → [B, T, D], through H heads of E dimensions each."""

    def __init__(self, config, context):
        super().__init__()
        self.heads, self.causal = config.heads, context.causal
        self.qkv = nn.Linear(context.need("dim"), 3 * config.heads * config.head_dim, bias=False)
        self.out = nn.Linear(config.heads * config.head_dim, context.need("dim"), bias=False)
        # initialisers draw what writes into the residual stream smaller
        self.out.writes_residual = True
        self.position = config.part("position", context)
        # what is kept of each token while generating; any cache stores it, and step.attend reads it back
        kept = Field((config.heads, config.head_dim))
        self.state_spec = {"k": kept, "v": kept}

    def forward(self, x, step):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)  # [B, T, H, E] each
        if self.position is not None:
            q, k = self.position.rotate(q, step.positions), self.position.rotate(k, step.positions)
        return self.out(step.attend(q, k, v, causal=self.causal).flatten(2))
