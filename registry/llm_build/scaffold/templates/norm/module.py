from torch import nn, ones


class Thing(nn.Module):
    """x [..., D] → [..., D]: x / rms(x) · gain."""

    def __init__(self, config, context):
        super().__init__()
        self.eps, self.gain = config.eps, nn.Parameter(ones(context.need("dim")))

    def forward(self, x):
        return nn.functional.rms_norm(x, self.gain.shape, self.gain, self.eps)
