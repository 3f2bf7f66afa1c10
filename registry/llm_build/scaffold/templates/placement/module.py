from torch import nn


class Thing(nn.Module):
    """x [B, T, D] and one function [B, T, D] → [B, T, D] a branch → [B, T, D]: x + norm(branch(norm(x)))."""

    def __init__(self, config, context):
        super().__init__()
        self.before = nn.ModuleList(config.part("norm", context) for _ in context.branches)
        self.after = nn.ModuleList(config.part("norm", context) for _ in context.branches)

    def forward(self, x, branches):
        for before, branch, after in zip(self.before, branches, self.after, strict=True):
            x = x + after(branch(before(x)))
        return x
