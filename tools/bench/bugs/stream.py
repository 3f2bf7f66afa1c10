"""Bugs of placements, embeddings, heads and initialisers."""

from __future__ import annotations

from bugs.bug import Bug, bugs_of

MODEL = "plugins/llm_build_plugins/model"
PRE = "x = x + self.dropout(branch(norm(x)))"
EMBEDDED = "x = nn.functional.embedding(tokens, self.weight)"
HEAD = "logits: Tensor = nn.functional.linear(x, self.weight, self.bias) if product is None else product(x)"
TIED = "self._source = (embedding,)"
DRAWN = "weight.normal_(0, self.residual_std if residual else self.std, generator=generator)"

BUGS: list[Bug] = [
    *bugs_of(
        "placement:pre",
        f"{MODEL}/placement_module.py",
        {
            "no residual path": (PRE, "x = self.dropout(branch(norm(x)))"),
            "a branch that is called twice": (PRE, "x = x + self.dropout((branch(norm(x)) + branch(norm(x))) / 2)"),
            "a branch that is detached": (PRE, "x = x + self.dropout(branch(norm(x)).detach())"),
            "the first norm for all": (PRE, "x = x + self.dropout(branch(next(iter(self.norms.values()))(x)))"),
            "dropout that never acts": (PRE, "x = x + branch(norm(x))"),
            "the stream is changed in place": (PRE, "x += self.dropout(branch(norm(x)))"),
            "dropout on the stream in evaluation": (
                PRE,
                "x = x + nn.functional.dropout(branch(norm(x)), 0.1, training=not self.training)",
            ),
            "the branches in the wrong order": (
                'class Pre(_Placement):\n    """x [B, T, D] → [B, T, D]: x + branch(norm(x)), branch after branch."""\n\n    def forward(self, x: Tensor, branches: Sequence[Branch]) -> Tensor:\n',
                "class Pre(_Placement):\n    def forward(self, x: Tensor, branches: Sequence[Branch]) -> Tensor:\n        branches = branches[::-1]\n",
            ),
        },
    ),
    *bugs_of(
        "embedding:token",
        "plugins/llm_build_plugins/embedding/token_module.py",
        {
            "a scale that the checkpoint has not": (
                "self.scale = config.scale",
                "self.scale = float(torch.rand((), device='cpu'))",
            ),
            "the row before": (EMBEDDED, "x = nn.functional.embedding((tokens - 1) % len(self.weight), self.weight)"),
            "a row that never learns": (EMBEDDED, "x = nn.functional.embedding(tokens, self.weight, padding_idx=0)"),
            "rows of one length": (
                EMBEDDED,
                "x = nn.functional.normalize(nn.functional.embedding(tokens, self.weight), dim=-1)",
            ),
            "a place's own vector": (
                EMBEDDED,
                "x = nn.functional.embedding(tokens, self.weight) * (1 + torch.arange(tokens.shape[1], device=tokens.device)[:, None])",
            ),
            "a scale that is left out": ("return x if self.scale is None else x * self.scale", "return x"),
        },
    ),
    *bugs_of(
        "head:linear",
        "plugins/llm_build_plugins/head/linear_module.py",
        {
            "tied to a copy": (
                TIED,
                "self._source = (type('Copy', (), {'weight': embedding.weight.detach().clone()})(),)",
            ),
            "a tie that is lost when the model moves": (
                TIED,
                "self._source = (type('Seen', (), {'weight': embedding.weight})(),)",
            ),
            "one matrix under two names": (TIED, "self.own = embedding.weight"),
            "a tie that nobody asked for": (
                "if self.own is None:\n            self._source",
                "if True:\n            self.own = None\n            self._source",
            ),
            "logits over three axes alone": (
                HEAD,
                "logits = torch.einsum('btd,vd->btv', x, self.weight) + (0 if self.bias is None else self.bias)",
            ),
            "a scale before the bias": (
                f"{HEAD}\n        return logits if self.scale is None else logits * self.scale",
                "return nn.functional.linear(x if self.scale is None else x * self.scale, self.weight, self.bias)",
            ),
        },
    ),
    *bugs_of(
        "initialiser:normal",
        f"{MODEL}/normal_module.py",
        {
            "torch's own random state": (DRAWN, DRAWN.replace(", generator=generator", "")),
            "a seed of its own": (
                DRAWN,
                DRAWN.replace("generator=generator", "generator=torch.Generator().manual_seed(0)"),
            ),
            "linear maps alone": ("own(draw)", "pass"),
            "direct children alone": ("model.modules()", "model.children()"),
            "a bias that is left": ("module.bias.zero_()", "pass"),
            "one number for a matrix": (DRAWN, "weight.fill_(float(torch.randn((), generator=generator)))"),
            "depth is not heeded": (
                'config.std / math.sqrt(2 * context.need("depth")) if config.residual else config.std',
                "config.std",
            ),
            "the residual and the rest changed places": (
                "self.residual_std if residual else self.std",
                "self.std if residual else self.residual_std",
            ),
            "new tensors for the old": (
                DRAWN,
                "weight.data = torch.empty_like(weight).normal_(0, self.std, generator=generator) if False else weight.data; torch.nn.init.normal_(weight, 0, self.std)",
            ),
        },
    ),
    *bugs_of(
        "model:decoder",
        f"{MODEL}/decoder_module.py",
        {
            "a parameter that is always on the CPU": (
                "self.norm = config.part",
                'self.gain = nn.Parameter(__import__("torch").ones((), device="cpu"))\n        self.norm = config.part',
            ),
        },
    ),
]
