"""The decoder and its block: placement, sharing, positions, losses, tying, initial weights, faults."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_build import Config, Context, build, component
from llm_build_plugins import attention, embedding, ffn, head, model, norm


@component("position:counted", module="tests.builtin.test_model:Counted", capabilities=["additive"])
class counted(Config):
    """Adds the place in the sequence."""


class Counted(nn.Module):
    def __init__(self, config: counted, context: Context) -> None:
        super().__init__()

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + positions[..., None]


@component("ffn:priced", module="tests.builtin.test_model:Priced")
class priced(Config):
    """Does nothing, at a price."""


class Priced(nn.Module):
    def __init__(self, config: priced, context: Context) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return x, {"price": torch.tensor(2.0)}


BLOCK = model.block(attention=attention.mha(heads=2), ffn=ffn.mlp(hidden=8))


def decoder(**changes: Any) -> Config:
    return model.decoder(**{"dim": 8, "vocab": 11, "context": 16, "norm": norm.rms(), "layers": 2 * BLOCK, **changes})


TOKENS = torch.arange(6).view(2, 3)


@pytest.mark.parametrize("placement", [model.pre(), model.post()])
def test_where_the_norms_sit(placement: Config) -> None:
    made = build(placement, context=Context(dim=3, norm=norm.rms(), branches=("one", "two")))
    for scale, each in enumerate(made.norms.values(), start=2):
        nn.init.constant_(each.weight, scale)
    one, two = made.norms.values()
    assert one is not two
    x, branches = torch.randn(4, 3), (lambda x: 5 * x, lambda x: x**2)
    if isinstance(placement, model.pre):
        y = x + 5 * one(x)
        expected = y + two(y) ** 2
    else:
        y = one(x + 5 * x)
        expected = two(y + y**2)
    torch.testing.assert_close(made(x, branches), expected)


def test_parallel_branches_read_one_normed_copy() -> None:
    made = build(model.parallel(), context=Context(dim=3, norm=norm.rms(), branches=("one", "two", "three")))
    nn.init.constant_(made.norm.weight, 2)
    assert [name for name, _ in made.named_parameters()] == ["norm.weight"]
    x, normed = torch.randn(4, 3), []

    def branch(power: int) -> Callable[[Tensor], Tensor]:
        def raised(x: Tensor) -> Tensor:
            normed.append(x)
            return x**power

        return raised

    y = made.norm(x)
    torch.testing.assert_close(made(x, [branch(1), branch(2), branch(3)]), x + y + y**2 + y**3)
    assert all(torch.equal(each, y) for each in normed)


@pytest.mark.parametrize("placement", [model.pre(), model.post(), model.parallel()])
def test_branch_dropout_is_inherited_and_acts_while_training_only(placement: Config) -> None:
    made = build(placement, context=Context(dim=64, norm=norm.rms(), branches=("one",), dropout=0.5))
    x = torch.randn(4, 64)
    assert not torch.equal(made(x, [torch.sin]), made(x, [torch.sin]))
    made.eval()
    assert torch.equal(made(x, [torch.sin]), made(x, [torch.sin]))


def test_the_embedding_is_dropped_while_training_only() -> None:
    made = build(decoder(dropout=0.5))
    made.layers = nn.ModuleList()
    assert not torch.equal(made(TOKENS), made(TOKENS))
    made.eval()
    assert torch.equal(made(TOKENS), made(TOKENS))


def test_an_additive_position_is_added_once_and_not_handed_down() -> None:
    made = build(decoder(position=counted()))
    assert all(layer.attention.position is None for layer in made.layers)
    made.layers = nn.ModuleList()
    expected = made.norm(made.embedding(TOKENS) + torch.arange(3)[:, None])
    torch.testing.assert_close(made.hidden(TOKENS)[0], expected)
    shifted = made.norm(made.embedding(TOKENS) + torch.tensor([[5], [6], [7]]))
    torch.testing.assert_close(made.hidden(TOKENS, positions=torch.arange(5, 8).expand(2, 3))[0], shifted)


def test_losses_of_the_layers_travel_upwards_and_add_up() -> None:
    made = build(decoder(layers=2 * model.block(attention=attention.mha(heads=2), ffn=priced()) + BLOCK))
    assert made.hidden(TOKENS)[1] == {"price": 4.0}


def test_blocks_of_one_name_share_weights_and_equal_ones_do_not() -> None:
    shared = model.block(attention=attention.mha(heads=2), ffn=ffn.mlp(hidden=8), share="loop")
    made = build(decoder(layers=(shared, BLOCK, shared, BLOCK)))
    first, one, second, other = made.layers
    assert first is second
    assert one is not other
    assert len(made.state_spec) == 4


def test_a_tied_head_uses_the_embedding_and_brings_no_matrix() -> None:
    tied, untied = build(decoder(head=head.linear(tie=True))), build(decoder())
    assert tied.head.weight is tied.embedding.weight
    assert untied.head.weight is not untied.embedding.weight
    counts = [sum(each.numel() for each in made.parameters()) for made in (tied, untied)]
    assert counts[1] - counts[0] == 8 * 11
    assert not any(name.startswith("head") for name in tied.state_dict())
    tied(TOKENS).sum().backward()
    assert (tied.embedding.weight.grad[9] != 0).any()  # token 9 is read by nobody: its gradient comes from the head


def test_a_tied_head_stays_tied_when_the_model_leaves_the_meta_device() -> None:
    made = build(decoder(head=head.linear(tie=True)), device="meta").to_empty(device="cpu")
    assert made.head.weight is made.embedding.weight


def test_bias_and_scale_of_the_head_and_scale_of_the_embedding() -> None:
    made = build(decoder(head=head.linear(bias=True, scale=0.5), embedding=embedding.token(scale=3)))
    nn.init.constant_(made.head.bias, 2.0)
    x = torch.randn(2, 8)
    torch.testing.assert_close(made.head(x), (x @ made.head.weight.T + 2) / 2)
    torch.testing.assert_close(made.embedding(TOKENS), 3 * made.embedding.weight[TOKENS])


@pytest.mark.parametrize("residual", [True, False])
def test_initial_weights(residual: bool) -> None:
    block = model.block(attention=attention.gqa(heads=4, bias=True, sinks=True), ffn=ffn.swiglu(bias=True))
    made = build(
        decoder(dim=256, vocab=512, layers=3 * block, initialiser=model.normal(std=0.1, residual=residual)), seed=3
    )
    branch_end = 0.1 / math.sqrt(6) if residual else 0.1
    for name, weight in made.named_parameters():
        if "norm" in name:
            assert (weight == 1).all(), name
        elif name.endswith("bias"):
            assert (weight == 0).all(), name
        elif name.endswith("sinks"):
            assert 0 < weight.abs().max() < 0.5, name
        else:
            expected = branch_end if name.endswith(("attention.out.weight", "ffn.down.weight")) else 0.1
            assert abs(weight.std() / expected - 1) < 0.02, name
            assert abs(weight.mean()) < 0.02 * expected * 4, name


def test_equal_seeds_give_equal_weights_and_others_others() -> None:
    one, same, other = (build(decoder(), seed=seed).embedding.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_initialising_again_draws_everything_anew() -> None:
    made, other = (
        build(decoder(head=head.linear(bias=True)), seed=1),
        build(decoder(head=head.linear(bias=True)), seed=1),
    )
    for parameter in other.parameters():
        nn.init.constant_(parameter, 7.0)
    for each in (made, other):
        each.initialiser.initialise(each, torch.Generator().manual_seed(0))
    for mine, yours in zip(made.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, yours)


def test_the_model_tells_what_it_is() -> None:
    made = build(decoder())
    assert (made.context, made.vocab) == (16, 11)
    assert [list(layer) for layer in made.state_spec] == [["attention"], ["attention"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 10**12}, "from 1 to 1_048_576;"),
        ({"vocab": 10**9}, "from 1 to 16_777_216"),
        ({"context": 0}, "0 arrived"),
        ({"dim": -8}, "-8 arrived"),
        ({"layers": model.block(attention=attention.mha(heads=2), ffn=ffn.mlp(hidden=10**9))}, "from 1 to 16_777_216"),
    ],
)
def test_absurd_sizes_are_refused_before_anything_is_made(changes: dict[str, Any], message: str) -> None:
    (problem,) = decoder(**changes).problems(Context())
    assert message in problem.message


def test_listing_and_checking_the_built_ins_never_imports_torch() -> None:
    program = """
import sys
from llm_build import Context
from llm_build_plugins import attention, embedding, ffn, head, model, norm, position
block = model.block(attention=attention.gqa(heads=2), ffn=ffn.swiglu())
config = model.decoder(dim=8, vocab=11, context=16, position=position.rope(), norm=norm.rms(), layers=3 * block)
assert config.problems(Context()) == []
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
