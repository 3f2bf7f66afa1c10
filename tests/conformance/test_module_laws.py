"""Each check of modules is seen to fail for a component that is wrong in its way: built-ins with one thing broken."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_build.conformance import Outcome, Subject, checks, run

FOLDERS = "llm_build_plugins"
RMS = ("norm:rms", f"{FOLDERS}.norm.rms_module:RMSNorm.forward")
MLP = ("ffn:mlp", f"{FOLDERS}.ffn.mlp_module:MLP.forward")
GELU = ("activation:gelu", f"{FOLDERS}.ffn.activation_module:GELU.forward")
ROPE = ("position:rope", f"{FOLDERS}.position.rope_module:RoPE.rotate")
WAVES = ("position:sinusoidal", f"{FOLDERS}.position.sinusoidal_module:Sinusoidal.embed")
PRE = ("placement:pre", f"{FOLDERS}.model.placement_module:Pre.forward")
TOKEN = ("embedding:token", f"{FOLDERS}.embedding.token_module:TokenEmbedding.forward")
TOPK = ("router:topk_softmax", f"{FOLDERS}.ffn.router_module:TopKSoftmax.choose")
ROUTER = ("router:topk_softmax", f"{FOLDERS}.ffn.router_module:Router.forward")
LOGITS = ("router:topk_softmax", f"{FOLDERS}.ffn.router_module:Router.logits")
TIE = ("head:linear", f"{FOLDERS}.head.linear_module:LinearHead.tie")
NORMAL = ("initialiser:normal", f"{FOLDERS}.model.normal_module:Normal.initialise")
BANK = ("ffn:mlp", f"{FOLDERS}.ffn._linear:GroupedLinear.forward")
MOE = ("ffn:moe", f"{FOLDERS}.ffn.moe_module:MoE.forward")

Right = Callable[..., Any]
SEEN: dict[str, Tensor] = {}


def rooted(x: Tensor, eps: float = 0) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt()


def remembering(right: Right, self: Any, x: Tensor) -> Tensor:
    """What the latest weight was stands beside the code, for all instances."""
    SEEN["latest"] = SEEN.get("latest", self.weight)
    y: Tensor = right(self, x) + SEEN["latest"].detach().sum().to(x.dtype)
    SEEN["latest"] = self.weight
    return y


def overwritten(right: Right, self: Any, x: Tensor) -> Tensor:
    y: Tensor = right(self, x)
    x.mul_(2)
    return y


def staying(right: Right, self: Any, x: Tensor) -> Tensor:
    """What is drawn at the first call is in no checkpoint."""
    drawn: Tensor = self.__dict__.setdefault("shift", torch.rand(()))
    return right(self, x) + drawn.to(x)


def crowded(right: Right, self: Any, x: Tensor) -> Any:
    served = (torch.arange(x.shape[0] * x.shape[1], device=x.device) < 30).view(*x.shape[:2], 1)
    found = right(self, x)
    return (found[0] * served, found[1]) if isinstance(found, tuple) else found * served


def lazy(right: Right, self: Any, logits: Tensor) -> Any:
    """The last choice weighs nothing."""
    weights, experts = right(self, logits)
    return weights * (torch.arange(self.k) < max(1, self.k - 1)), experts


def twice(right: Right, self: Any, x: Tensor, branches: Any) -> Tensor:
    y: Tensor = right(self, x, [lambda x, each=each: (each(x) + each(x)) / 2 for each in branches])
    return y


def own_random(right: Right, self: Any, model: nn.Module, generator: torch.Generator) -> None:
    right(self, model, torch.Generator().manual_seed(int(torch.randint(99, ()))))


BROKEN: dict[str, tuple[tuple[str, str], Callable[..., Any]]] = {
    "shape": (RMS, lambda right, self, x: right(self, x).double()),
    "finite": (GELU, lambda right, self, x: x * (50 * x).exp() / (1 + (50 * x).exp())),
    "random": (RMS, lambda right, self, x: right(self, x) + torch.rand(())),
    "rows": (MLP, lambda right, self, x: right(self, x) + 1e-4 * x.mean(0)),
    "pointwise": (MLP, lambda right, self, x: right(self, x) + 1e-4 * x.mean(1, keepdim=True)),
    "inputs": (RMS, overwritten),
    "gradients": (RMS, lambda right, self, x: rooted(x, self.eps)),
    "gradcheck": (RMS, lambda right, self, x: right(self, x.detach()) + 0 * x),
    "training": (MLP, lambda right, self, x: right(self, x) * (2 if self.training else 1)),
    "dropout": (PRE, lambda right, self, x, branches: right(self.eval(), x, branches)),
    "apart": (RMS, remembering),
    "meta": (RMS, lambda right, self, x: right(self, x) * (1 if x.sum().item() else 2)),
    "moves": (RMS, lambda right, self, x: right(self, x) * torch.ones(x.shape[-1], dtype=x.dtype)),
    "compile": (RMS, lambda right, self, x: right(self, x) * x.shape[1].__index__().bit_length() if len(x) else x),
    "leading": (RMS, lambda right, self, x: torch.einsum("btd->btd", right(self, x))),
    "epsilon": (RMS, lambda right, self, x: rooted(x) * self.weight),
    "magnitude": (RMS, lambda right, self, x: x * self.weight),
    "statistics": (RMS, lambda right, self, x: rooted(x, self.eps) * self.weight),
    "elementwise": (GELU, lambda right, self, x: x.softmax(-1)),
    "losses": (MLP, lambda right, self, x: (right(self, x), {"balance": x})),
    "crowd": (MOE, crowded),
    "active": (("ffn:moe", TOPK[1]), lazy),
    "grouped": (BANK, lambda right, self, x, groups: groups.linear(x, self.weight.flip(0), self.bias)),
    "choices": (TOPK, lambda right, self, logits: (right(self, logits)[0], logits.argmax(-1, True).expand(-1, self.k))),
    "shares": (TOPK, lambda right, self, logits: logits.softmax(-1).topk(self.k)),
    "load": (TOPK, lambda right, self, logits: right(self, logits[:, : max(self.k, logits.shape[1] - 1)])),
    "decides": (LOGITS, lambda right, self, x: self.linear(x).to(torch.promote_types(x.dtype, torch.float32))),
    "placed": (WAVES, lambda right, self, x, positions: x),
    "lengths": (ROPE, lambda right, self, x, positions: right(self, x, positions) + 0.1 * positions[..., None, None]),
    "heads": (ROPE, lambda right, self, x, positions: right(self, x, positions).roll(1, 2)),
    "relative": (ROPE, lambda right, self, x, positions: right(self, x, positions**2)),
    "added": (WAVES, lambda right, self, x, positions: right(self, 2 * x, positions)),
    "angles": (ROPE, lambda right, self, x, positions: right(self, x, positions.to(x.dtype))),
    "branches": (PRE, twice),
    "stream": (PRE, lambda right, self, x, branches: right(self, x, branches) - x),
    "lookup": (TOKEN, lambda right, self, tokens: right(self, (tokens - 1) % len(self.weight))),
    "every_token": (TOKEN, lambda right, self, tokens: nn.functional.embedding(tokens, self.weight, padding_idx=0)),
    "tie": (TIE, lambda right, self, embedding: right(self, type("Copy", (), {"weight": embedding.weight.clone()}))),
    "every_weight": (NORMAL, lambda right, self, model, generator: right(self, next(model.children()), generator)),
    "source": (NORMAL, own_random),
    "weights": (RMS, staying),
}


@pytest.fixture
def clean() -> Iterator[None]:
    SEEN.clear()
    yield
    SEEN.clear()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("check", BROKEN)
def test_a_check_fails_for_what_it_is_there_for(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (component, place), wrong = BROKEN[check]
    module, _, name = place.partition(":")
    cls, method = getattr(importlib.import_module(module), name.split(".")[0]), name.split(".")[1]
    right = getattr(cls, method)
    subject = Subject.of(component)
    monkeypatch.setattr(cls, method, lambda self, *given: wrong(right, self, *given))
    assert run(subject, checks()[check]).outcome is Outcome.FAILED
    monkeypatch.undo()
    assert run(subject, checks()[check]).outcome is Outcome.PASSED
