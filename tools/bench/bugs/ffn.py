"""Bugs of feed-forward networks, of mixtures, their routers and activations."""

from __future__ import annotations

from bugs.bug import Bug, bugs_of

FOLDER = "plugins/llm_build_plugins/ffn"
DOWN = "y: Tensor = self.down(self.activation(self.up(x, *groups)), *groups)"
SILU = 'class SiLU(nn.SiLU):\n    """x · sigmoid(x)."""\n'
LOGITS = "return linear(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))"
TOP = "largest, experts = logits.topk(self.k)\n        return largest.softmax(-1), experts"
COLLECT = "return rows.collect(y, weights).view_as(x), losses"
BALANCE = '{"balance": self.balance * imbalance(self.chances(logits), experts)}'

BUGS: list[Bug] = [
    *bugs_of(
        "activation:silu",
        f"{FOLDER}/activation_module.py",
        {
            "a softmax for a sigmoid": (SILU, f"{SILU}\n    def forward(self, x):\n        return x * x.softmax(-1)\n"),
            "an input that is overwritten": (
                'class SiLU(nn.SiLU):\n    """x · sigmoid(x)."""\n\n    def __init__(self, config: silu, context: Context) -> None:\n        super().__init__()',
                "class SiLU(nn.SiLU):\n    def __init__(self, config: silu, context: Context) -> None:\n        super().__init__(inplace=True)",
            ),
            "an exponential that overflows": (
                SILU,
                f"{SILU}\n    def forward(self, x):\n        return x * (e := (8 * x).exp()) / (1 + e)\n",
            ),
            "a way back that spoils the gradient": (
                SILU,
                f"{SILU}\n    class Spoiling(__import__('torch').autograd.Function):\n"
                "        @staticmethod\n        def forward(ctx, x):\n            ctx.save_for_backward(x)\n"
                "            return x * x.sigmoid()\n\n"
                "        @staticmethod\n        def backward(ctx, grad):\n            (x,) = ctx.saved_tensors\n"
                "            return grad.mul_(x.sigmoid() * (1 + x * (1 - x.sigmoid())))\n\n"
                "    def forward(self, x):\n        return self.Spoiling.apply(x)\n",
            ),
            "another slope": (SILU, f"{SILU}\n    def forward(self, x):\n        return x * (1.702 * x).sigmoid()\n"),
        },
    ),
    *bugs_of(
        "ffn:mlp",
        f"{FOLDER}/mlp_module.py",
        {
            "dropout in evaluation": (DOWN, f"{DOWN}\n        y = nn.functional.dropout(y, 0.1)"),
            "a mean over positions": (DOWN, f"{DOWN}\n        y = y - y.mean(-2, keepdim=True)"),
            "a batch leak": (DOWN, f"{DOWN}\n        y = y + 1e-4 * x.mean(0, keepdim=True) if x.ndim == 3 else y"),
            "statistics of the batch in training": (
                DOWN,
                f"{DOWN}\n        y = y - y.mean((0, 1), keepdim=True) if self.training and x.ndim == 3 else y",
            ),
            "a map in float32": (DOWN, f"{DOWN}\n        y = y.float()"),
        },
    ),
    *bugs_of(
        "ffn:mlp",
        f"{FOLDER}/_linear.py",
        {
            "a bias of all experts for each": (
                "return groups.linear(x, self.weight, self.bias)",
                "return groups.linear(x, self.weight, None if self.bias is None else self.bias.mean(0, True).expand_as(self.bias))",
            ),
            "the weights of the expert before": (
                "return groups.linear(x, self.weight, self.bias)",
                "return groups.linear(x, self.weight.roll(1, 0), self.bias)",
            ),
        },
    ),
    *bugs_of(
        "ffn:swiglu",
        f"{FOLDER}/_gate.py",
        {
            "a way back without the gate": (
                "torch.mul(grad, acted, out=to_up)",
                "to_up.copy_(grad)",
            ),
            "a way back that spoils what was kept": (
                "way_back(acted, gate, grad_input=to_gate)",
                "way_back(acted, gate, grad_input=to_gate)\n            gate.zero_()",
            ),
            "halves taken by turns when compiled": (
                "gate, up = _halves(parts)\n        return act(gate) * up",
                "gate, up = (parts[0][..., ::2], parts[0][..., 1::2]) if len(parts) == 1 else parts\n        return act(gate) * up",
            ),
        },
    ),
    *bugs_of(
        "ffn:moe",
        f"{FOLDER}/moe_module.py",
        {
            "the last choice is left out": (
                COLLECT,
                "return rows.collect(y, weights * (torch.arange(weights.shape[1]) < max(1, weights.shape[1] - 1))).view_as(x), losses",
            ),
            "positions dropped where an expert is full": (
                "        if self.shared is not None:",
                "        y = y * ((experts[:, :1] == experts[:, 0]).float().tril().sum(1) <= 30).to(y.dtype).view(*x.shape[:2], 1)\n        if self.shared is not None:",
            ),
            "a shared expert that is never run": (
                "return (y, losses) if losses else y",
                "return (y if self.shared is None else y - again, losses) if losses else y if self.shared is None else y - again",
            ),
            "a share that is not so": ("Fraction(self.router.k, self.count)", "Fraction(1, self.count)"),
            "losses that are no scalars": (
                "return (y, losses) if losses else y",
                "return (y, {name: each.expand(2) for name, each in losses.items()}) if losses else y",
            ),
        },
    ),
    *bugs_of(
        "router:topk_softmax",
        f"{FOLDER}/router_module.py",
        {
            "weights that do not sum to one": (
                TOP,
                "weights, experts = logits.softmax(-1).topk(self.k)\n        return weights, experts",
            ),
            "one expert twice": (
                TOP,
                "largest, experts = logits.topk(self.k)\n        return largest.softmax(-1), experts[:, :1].expand(-1, self.k)",
            ),
            "one expert twice where two are alike": (
                TOP,
                "largest, _ = logits.topk(self.k)\n"
                "        experts = (logits[:, :, None] == largest[:, None]).int().argmax(1)\n"
                "        return largest.softmax(-1), experts",
            ),
            "the last of many experts is out of reach": (
                TOP,
                "largest, experts = logits[:, : max(self.k + 1, logits.shape[1] - 1)].topk(self.k)\n"
                "        return largest.softmax(-1), experts",
            ),
            "a loss that is a number of Python's": (
                "return weights, experts, {}\n",
                'return weights, experts, {"balance": 0.0} if self.balance else {}\n',
            ),
            "the last expert is out of reach": (
                TOP,
                "largest, experts = logits[:, : max(self.k, logits.shape[1] - 1)].topk(self.k)\n        return largest.softmax(-1), experts",
            ),
            "weights in another order than the experts": (
                TOP,
                "largest, experts = logits.topk(self.k)\n        return largest.softmax(-1).flip(-1), experts",
            ),
            "logits in the dtype of the input": (
                LOGITS,
                "return linear(x, weight, bias).to(dtype)",
            ),
            "weights below 0": (
                TOP,
                "largest, experts = logits.topk(self.k)\n        return 2 * largest.softmax(-1) - 1 / self.k, experts",
            ),
            "a balance for each expert": (BALANCE, '{"balance": self.balance * self.chances(logits).mean(0)}'),
            "a choice by the batch": (
                TOP,
                "largest, experts = (logits - logits.mean(0)).topk(self.k)\n        return largest.softmax(-1), experts",
            ),
        },
    ),
]
