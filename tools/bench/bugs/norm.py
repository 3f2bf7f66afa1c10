"""Bugs of norms."""

from __future__ import annotations

from bugs.bug import Bug, bugs_of

RMS = "plugins/llm_build_plugins/norm/rms_module.py"
LAYER = "plugins/llm_build_plugins/norm/layer_module.py"
CONFIG = "plugins/llm_build_plugins/norm/rms_config.py"
WIDE = "(wide := x.to(torch.promote_types(x.dtype, torch.float32)))"
BY_TORCH = "nn.functional.rms_norm(x, weight.shape, weight, self.eps)"
WEIGHT = "self.weight = nn.Parameter(torch.zeros(dim) if config.offset else torch.ones(dim))"
LAYERED = "return nn.functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)"

BUGS: list[Bug] = [
    *bugs_of(
        "norm:rms",
        RMS,
        {
            "weights that are no parameter": (WEIGHT, "self.weight = torch.randn(dim)"),
            "a gain that is never used": (WEIGHT, f"{WEIGHT}\n        self.gain = nn.Parameter(torch.ones(dim))"),
            "a detached weight": (BY_TORCH, "nn.functional.rms_norm(x, weight.shape, weight.detach(), self.eps)"),
            "a weight shared by all instances": (
                WEIGHT,
                "self.weight = globals().setdefault(f'{dim} {torch.get_default_dtype()} {torch.empty(0).device}', "
                "nn.Parameter(torch.ones(dim)))",
            ),
            "a buffer that is always on the CPU": (
                WEIGHT,
                f'{WEIGHT}\n        self.register_buffer("one", torch.ones((), device="cpu"))',
            ),
            "a constant that hangs from the class": (
                "    def initialise",
                "    BASE = torch.ones(())\n\n    def initialise",
            ),
            "a buffer that is none": (
                BY_TORCH,
                "(nn.functional.rms_norm(x, weight.shape, weight, self.eps) + self.__dict__.setdefault("
                "'shift', torch.zeros(x.shape[-1], dtype=x.dtype, device=x.device)))",
            ),
            "statistics over positions": (
                BY_TORCH,
                f"({WIDE} * (wide.square().mean((-2, -1), keepdim=True) + self.eps).rsqrt()).to(x.dtype) * weight",
            ),
            "statistics over the batch": (
                BY_TORCH,
                f"({WIDE} * (wide.square().mean((0, -1), keepdim=True) + self.eps).rsqrt()).to(x.dtype) * weight",
            ),
            "three axes alone": (
                BY_TORCH,
                "torch.einsum('btd,bt,d->btd', x, (x.square().mean(-1) + self.eps).rsqrt(), weight)",
            ),
            "no epsilon": (BY_TORCH, f"({WIDE} * wide.square().mean(-1, keepdim=True).rsqrt()).to(x.dtype) * weight"),
            "an epsilon behind the root": (
                BY_TORCH,
                f"({WIDE} / (wide.square().mean(-1, keepdim=True).sqrt() + self.eps)).to(x.dtype) * weight",
            ),
            "no root": (BY_TORCH, f"({WIDE} / (wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * weight"),
            "no statistics at all": (BY_TORCH, f"({WIDE}).to(x.dtype) * weight"),
            "statistics in the dtype of the input": (
                BY_TORCH,
                "x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt() * weight",
            ),
            "the result stays float32": (
                BY_TORCH,
                "nn.functional.rms_norm(x.float(), weight.shape, weight.float(), self.eps)",
            ),
            "a sum for a mean": (
                BY_TORCH,
                f"({WIDE} * (wide.square().sum(-1, keepdim=True) + self.eps).rsqrt()).to(x.dtype) * weight",
            ),
            "the input is normed in place": (
                BY_TORCH,
                "x.mul_((x.square().mean(-1, keepdim=True) + self.eps).rsqrt()) * weight",
            ),
            "a length that is read back": (
                BY_TORCH,
                "nn.functional.rms_norm(x, weight.shape, weight, self.eps if x.abs().sum().item() else 1.0)",
            ),
            "compiled for one length": (
                BY_TORCH,
                "nn.functional.rms_norm(x, weight.shape, weight, self.eps * (1 if x.shape[-2] % 2 else 1.0))",
            ),
            "noise in evaluation": (
                BY_TORCH,
                "nn.functional.rms_norm(x, weight.shape, weight, self.eps) + 1e-3 * torch.rand_like(x)",
            ),
            "another epsilon in training": (
                BY_TORCH,
                "nn.functional.rms_norm(x, weight.shape, weight, 2 * self.eps if self.training else self.eps)",
            ),
            "an overflow at large inputs": (
                BY_TORCH,
                "x * (x.double().exp().square().mean(-1, keepdim=True).log() + self.eps).rsqrt().to(x.dtype) * weight",
            ),
        },
    ),
    *bugs_of(
        "norm:rms",
        CONFIG,
        {
            "a check that raises where nothing is known": (
                "    offset: bool",
                "    def check(self, context):\n        if context.dim > 10**9:\n            yield None\n\n    offset: bool",
            ),
        },
    ),
    *bugs_of(
        "norm:layer",
        LAYER,
        {
            "a variance without the mean": (
                LAYERED,
                "return x * (x.var(-1, keepdim=True, correction=0) + self.eps).rsqrt() * self.weight",
            ),
            "an unbiased variance": (
                LAYERED,
                "y = (x.double() - x.double().mean(-1, keepdim=True)) * (x.double().var(-1, keepdim=True) + self.eps).rsqrt()\n"
                "        return y.to(x.dtype) * self.weight + (0 if self.bias is None else self.bias)",
            ),
            "no bias": (LAYERED, "return nn.functional.layer_norm(x, self.weight.shape, self.weight, None, self.eps)"),
            "a bias that is added before the weight": (
                LAYERED,
                "y = nn.functional.layer_norm(x, self.weight.shape, None, None, self.eps)\n"
                "        return (y + (0 if self.bias is None else self.bias)) * self.weight",
            ),
        },
    ),
]
