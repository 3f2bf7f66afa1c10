"""AdamW: what decays, and that it is the algorithm of its source."""

from __future__ import annotations

import torch

from llm_build import Context
from llm_build_plugins import train
from tests.small import small_model


def test_norms_and_biases_do_not_decay() -> None:
    model = small_model(bias=True, tie=False)
    groups = train.adamw(decay=0.3).build(Context()).make(model).param_groups
    decays = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
    named = dict(model.named_parameters())
    assert decays == {id(weight): 0.0 if weight.ndim < 2 else 0.3 for weight in named.values()}
    assert decays[id(named["norm.weight"])] == 0
    assert decays[id(named["head.bias"])] == 0
    assert decays[id(named["embedding.weight"])] == 0.3


def test_the_first_step_is_that_of_the_paper() -> None:
    model = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    before = model.weight.detach().clone()
    optimizer = train.adamw(lr=0.1, decay=0.5, eps=1e-12).build(Context()).make(model)
    model(torch.tensor([[1.0, -2.0]], dtype=torch.float64)).sum().backward()
    optimizer.step()
    # after one step the moments are the gradient and its square, so the update is its sign
    expected = before * (1 - 0.1 * 0.5) - 0.1 * torch.tensor([1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(model.weight.detach(), expected)
