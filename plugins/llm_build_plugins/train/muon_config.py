"""Muon's config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build import Config, Context, Problem, choice, component, number, part, size


@component("optimizer:muon", module="llm_build_plugins.train.muon_module:Muon")
class muon(Config):
    """Orthogonalised Nesterov momentum for matrices; what is no matrix (tables, norms, biases) goes to `others`.

    A stack of matrices [..., out, in] is as many matrices. A map that a component stores as one matrix is
    orthogonalised as one: queries, keys and values [(H + 2K)·E, D] together, and so the gate and up of a gated network
    [2F, D]. With `adjust = "original"` a matrix moves by lr · √max(1, out / in), with "match_rms_adamw" by
    0.2 · lr · √max(out, in), which lets it take AdamW's `lr` and `decay`. The schedule acts on `others` too.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; for "match_rms_adamw" Liu et
    al. 2025, "Muon is Scalable for LLM Training", section 2.2.
    """

    lr: float = number(default=0.02, above=0, doc="peak learning rate of the matrices")
    momentum: float = number(default=0.95, low=0, below=1, doc="how much of the last direction is kept")
    ns_steps: int = size(default=5, high=99, doc="Newton–Schulz iterations, which orthogonalise")
    adjust: str = choice(
        "original", "match_rms_adamw", default="original", doc="how the step depends on a matrix's shape"
    )
    decay: float = number(default=0.01, low=0, doc="weight decay of the matrices, multiplied with their learning rate")
    others: Any = part("optimizer", default="adamw", doc="how all other parameters move")

    def check_others(self, context: Context) -> Iterator[Problem]:
        if isinstance(self.others, muon):
            yield Problem(
                field="others",
                message="others takes an optimiser for what is no matrix; muon arrived",
                help="write others = adamw { lr = 3e-4 }",
            )
