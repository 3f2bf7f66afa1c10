"""What holds for embeddings and heads. Legend: B rows, T positions, D model dim, V vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from llm_build.components import field_specs
from llm_build.conformance.calls import Table, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.trial import Trial


@check("lookup", slots=["embedding"])
def lookup(trial: Trial) -> None:
    """What comes out is the token's own row of `weight` [V, D], each multiplied by the same number.

    A head that is tied reads the same rows. Where it fails, rows are shifted, hashed or normed on the way.
    """
    made = trial.made()
    call = call_of(trial, made, rows=3, length=8)
    weight = made.module.weight
    expected_shape = [made.context.need("vocab"), made.context.need("dim")]
    require(list(weight.shape) == expected_shape, f"weight is {list(weight.shape)}; {expected_shape} is right")
    rows = weight[call.places["tokens"]]
    found = call(made.module)
    factor = (found * rows).sum() / rows.square().sum()
    same(found, factor * rows, "beside the rows of weight")


@check("every_token", slots=["embedding"])
def every_token(trial: Trial) -> None:
    """Every token's row gets a gradient from every place where it stands, the first and the last of them too.

    Where it fails, a row is kept back, as torch's padding_idx does: what pads is not the embedding's to know.
    """
    made = trial.made()
    vocab = made.context.need("vocab")
    tokens = torch.arange(vocab)[None]
    call = call_of(trial, made)
    found = call(made.module, tokens=tokens)
    (grad,) = torch.autograd.grad(found.square().sum(), made.module.weight)
    still = [token for token in range(vocab) if not bool(grad[token].any())]
    require(not still, f"the rows of tokens {still} get no gradient")


@check("tie", slots=["head"])
def tie(trial: Trial) -> None:
    """A head that is tied to an embedding reads the embedding's weight itself, also after both were moved or copied.

    Another weight in the embedding then gives other logits, and the checkpoint holds the matrix once. A copy that is
    taken when the tie is made parts from it with the first step.
    """
    fields = {"tie": trial.flag("tie")} if "tie" in field_specs(trial.subject.cls) else {}
    made = trial.made(fields=fields)
    call = call_of(trial, made)
    x = call.tensors["x"]
    pair = _pair(made.module, call.beside["table"])
    tied, said = _reads(pair, x), getattr(made.config, "tie", None)
    require(said in (None, tied), f"its config says tie = {said}, and the logits say otherwise")
    moved = _pair(made.again(device="meta"), call.beside["table"].to("meta")).to_empty(device="cpu").eval()
    moved.load_state_dict(pair.state_dict())
    require(_reads(moved, x) == tied, "the tie is lost where both are moved")
    same(_logits(moved, x, 1.0), _logits(pair, x, 1.0), "built on meta, tied, and moved from there")


def _pair(head: Any, weight: Tensor) -> nn.ModuleDict:
    """An embedding and a head that is tied to it, as a model holds them."""
    pair = nn.ModuleDict({"embedding": Table(weight), "head": head})
    names = set(pair.state_dict())
    head.tie(pair["embedding"])
    require(set(pair.state_dict()) == names, "the tie adds a name to the checkpoint, which then holds one matrix twice")
    return pair


def _reads(pair: nn.ModuleDict, x: Tensor) -> bool:
    """Whether the logits follow the embedding's weight."""
    return not torch.equal(_logits(pair, x, 2.0), _logits(pair, x, 1.0))


def _logits(pair: nn.ModuleDict, x: Tensor, factor: float) -> Tensor:
    """With the embedding's weight multiplied by `factor` for the moment."""
    weight: Any = pair["embedding"].weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(factor)
        logits: Tensor = pair["head"](x)
        weight.copy_(kept)
    return logits
