"""Assembly: text and Python make the same call, and nothing is allocated for a model that cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_build import Context, SpecError, build, load
from llm_build.assemble import assemble
from llm_build_plugins import attention, ffn, model, norm, position

TEXT = """llm 1
model = decoder {
  dim = 32, vocab = 50, context = 16
  position = rope
  layers = 2 * block { attention = gqa { heads = 4, kv_heads = 2 }, ffn = swiglu { hidden = 48 } }
  norm = rms
}
"""


def python() -> model.decoder:
    return model.decoder(
        dim=32,
        vocab=50,
        context=16,
        position=position.rope(),
        layers=2 * model.block(attention=attention.gqa(heads=4, kv_heads=2), ffn=ffn.swiglu(hidden=48)),
        norm=norm.rms(),
    )


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict(module.named_parameters())


def test_text_and_python_give_the_same_model() -> None:
    text, made = build(load(TEXT), seed=3), build(python(), seed=3)
    assert weights(text).keys() == weights(made).keys()
    assert all(torch.equal(each, weights(made)[name]) for name, each in weights(text).items())
    tokens = torch.arange(12).view(2, 6)
    assert torch.equal(text(tokens), made(tokens))


def test_the_seed_decides_the_weights() -> None:
    assert torch.equal(build(python(), seed=1).embedding.weight, build(python(), seed=1).embedding.weight)
    assert not torch.equal(build(python(), seed=1).embedding.weight, build(python(), seed=2).embedding.weight)


def test_building_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(python(), seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_weights_have_the_dtype_that_was_asked_for() -> None:
    assert {each.dtype for each in build(python(), dtype=torch.float64).parameters()} == {torch.float64}
    assert torch.get_default_dtype() == torch.float32


def test_on_meta_nothing_is_allocated() -> None:
    assert {each.device.type for each in build(python(), device="meta").parameters()} == {"meta"}


def test_a_component_can_be_built_alone() -> None:
    mixer = attention.gqa(heads=4).build(Context(dim=32))
    assert mixer.out.weight.shape == (32, 32)


def test_a_component_says_what_its_surroundings_lack() -> None:
    with pytest.raises(SpecError, match=r"dim is not known here; give it in the context: Context\(dim=…\)"):
        attention.gqa(heads=4).build(Context())


def test_all_problems_of_a_config_come_at_once() -> None:
    found = attention.gqa(heads=5, bias=1, dropout=2).problems(Context(dim=32))
    assert len(found) == 3
    assert {each.field for each in found} == {"heads", "bias", "dropout"}


def test_weights_that_do_not_fit_are_refused_before_they_are_allocated() -> None:
    giant = python().__class__(
        dim=2**20,
        vocab=2**24,
        context=16,
        norm=norm.rms(),
        layers=model.block(attention=attention.mha(heads=64), ffn=ffn.swiglu()),
    )
    with pytest.raises(SpecError, match="must fit into the memory of cpu") as caught:
        build(giant)
    assert caught.value.diagnostics[0].code == "E310"


def test_a_filled_config_is_assembled_as_it_is() -> None:
    from llm_build.resolve import resolve

    filled = resolve(attention.gqa(heads=4), Context(dim=32))
    assert assemble(filled, Context(dim=32)).head_dim == 8
