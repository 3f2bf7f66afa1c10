"""Weights in 8 bits: near to the ones they stand for, and nothing else changes."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build import Context, build, load
from llm_build.resolve import resolve
from llm_build_plugins import generate, quantize
from llm_build_plugins.quantize._linear import Int8Linear
from tests.laws import law
from tests.small import small_model, small_tokenizer, spec_text

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
SWIGLU = "swiglu { hidden = 8 }"
MOE = f"moe {{ experts = 4, router = topk_softmax {{ k = 2 }}, expert = {SWIGLU}, shared = {SWIGLU} }}"


def quantizer(**options: Any) -> Any:
    return quantize.int8(**options).build(Context())


def quantised(model: Any, **options: Any) -> Any:
    return quantizer(**options).quantize(model)


@st.composite
def maps(draw: st.DrawFn) -> tuple[Tensor, Tensor | None, Tensor]:
    """weight [O, I], bias [O] or None, x [R, I]; rows of very different sizes, some all zeros."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    # a multiple of 64 is what a CPU has a kernel for
    outputs, inputs, rows = draw(st.integers(1, 9)), draw(st.integers(1, 9) | st.just(64)), draw(st.integers(1, 7))
    dtype = draw(st.sampled_from(DTYPES))
    weight = torch.randn(outputs, inputs, dtype=torch.float64) * 10.0 ** torch.randint(-3, 3, (outputs, 1))
    weight[torch.rand(outputs) < 0.2] = 0
    bias = torch.randn(outputs).to(dtype) if draw(st.booleans()) else None
    return weight.to(dtype), bias, torch.randn(rows, inputs).to(dtype)


@law
@given(maps())
def test_no_weight_is_farther_off_than_half_a_step(drawn: tuple[Tensor, Tensor | None, Tensor]) -> None:
    weight, bias, _ = drawn
    made = Int8Linear.of(weight, bias)
    step = weight.double().abs().amax(1, keepdim=True) / 127
    error = (made.matrix.double() * made.scale[:, None].double() - weight.double()).abs()
    assert (error <= step / 2 * (1 + 1e-5)).all()
    assert made.matrix.dtype == torch.int8
    assert (made.scale > 0).all()


@law
@given(maps())
def test_the_product_is_that_with_the_weights_that_it_stands_for(drawn: tuple[Tensor, Tensor | None, Tensor]) -> None:
    weight, bias, x = drawn
    made = Int8Linear.of(weight, bias)
    stands_for = made.matrix.double() * made.scale[:, None].double()
    exact = nn.functional.linear(x.double(), stands_for, None if bias is None else bias.double())
    y = made(x[None])[0]
    assert y.dtype == x.dtype
    size = x.double().abs() @ stands_for.abs().T + 1
    assert ((y.double() - exact).abs() <= 4 * torch.finfo(x.dtype).eps * size).all()


def test_float16_holds_what_the_weights_give_though_not_the_sums_of_whole_numbers() -> None:
    weight, x = torch.full((8, 64), 0.05).half(), torch.full((20, 64), 300.0).half()
    torch.testing.assert_close(Int8Linear.of(weight, None)(x), nn.functional.linear(x, weight))


def test_a_weight_that_is_no_number_spoils_its_own_output_alone() -> None:
    weight = torch.ones(3, 2)
    weight[1, 0] = float("nan")
    assert Int8Linear.of(weight, None)(torch.ones(1, 2)).isnan().tolist() == [[False, True, False]]


def test_the_matrix_can_be_read_as_it_was() -> None:
    weight = torch.randn(5, 4).bfloat16()
    made = Int8Linear.of(weight, None)
    assert made.weight.dtype == torch.bfloat16
    torch.testing.assert_close(made.weight, weight, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("tie", [True, False])
def test_the_model_stays_as_it_is_and_shares_what_is_not_quantised(tie: bool) -> None:
    model = small_model(tie=tie, bias=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tokens = torch.randint(300, (2, 8))
    logits = model(tokens)
    made = quantised(model)
    assert made.embedding.weight is model.embedding.weight
    torch.testing.assert_close(model(tokens), logits, rtol=0, atol=0)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not [each for each in made.modules() if type(each) is nn.Linear]
    assert isinstance(made.head.product, Int8Linear)


def test_a_head_can_be_left_out() -> None:
    model = small_model(tie=False)
    made = quantised(model, head=False)
    assert made.head.product is None
    assert made.head.own is model.head.own


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_stay_close(tie: bool, dtype: torch.dtype) -> None:
    model = small_model(dtype=dtype, tie=tie, scale=2.0)
    tokens = torch.randint(300, (4, 16), generator=torch.Generator().manual_seed(0))
    logits, near = model(tokens), quantised(model)(tokens)
    assert 0 < (near - logits).norm() < 0.02 * logits.norm()


def test_one_that_is_quantised_already_is_given_back() -> None:
    made = quantised(small_model())
    assert quantised(made) is made


def test_a_layer_that_stands_twice_stays_one() -> None:
    shared = 'block { share = "a", attention = mha { heads = 2 }, ffn = swiglu { hidden = 8 } }'
    text = (
        spec_text()
        .replace("layers = 2 * block", f"norm = rms\n  layers = 2 * {shared} + block")
        .replace("\n  norm = rms\n  head", "\n  head")
    )
    made = quantised(build(load(text)).eval())
    assert made.layers[0].attention.qkv is made.layers[1].attention.qkv
    assert made.layers[0].attention.qkv is not made.layers[2].attention.qkv


def test_a_map_that_two_modules_share_is_quantised_once() -> None:
    shared = nn.Linear(4, 4)
    made = quantised(nn.Sequential(nn.Sequential(shared), nn.Sequential(shared)))
    assert isinstance(made[0][0], Int8Linear)
    assert made[0][0] is made[1][0]


def test_banks_of_experts_and_what_chooses_among_them_stay() -> None:
    text = spec_text().replace("swiglu { hidden = 32 }", MOE)
    model = build(load(text)).eval()
    made = quantised(model)
    for layer, other in zip(model.layers, made.layers, strict=True):
        assert other.ffn.router.linear.weight is layer.ffn.router.linear.weight
        banks = zip(layer.ffn.experts.parameters(), other.ffn.experts.parameters(), strict=True)
        assert all(one is another for one, another in banks)
        assert any(isinstance(each, Int8Linear) for each in other.ffn.shared.modules())


def decode(**options: Any) -> Any:
    config = generate.decode(sampler=generate.greedy(), quantizer=quantize.int8(), max_new=8, **options)
    return resolve(config, Context()).build(Context())


def texts(generator: Any, model: Any) -> list[int | None]:
    return [each.token for each in generator.generate(model, small_tokenizer(), ["def add", "class"])]


def test_the_generator_writes_with_the_quantised_weights() -> None:
    model = small_model(dtype=torch.float32, scale=8.0, tie=False)
    with torch.no_grad():
        for each in model.layers.modules():
            if isinstance(each, nn.Linear):
                each.weight[:, 0] *= 300  # beside which a byte leaves little of the others
    plain = resolve(generate.decode(sampler=generate.greedy(), max_new=8), Context()).build(Context())
    assert texts(decode(), model) == texts(plain, quantised(model)) != texts(plain, model)


def test_other_weights_are_quantised_anew_and_equal_ones_once() -> None:
    model, writer = small_model(dtype=torch.float32), decode()
    first = writer.quantised.of(model)
    assert writer.quantised.of(model) is first
    with torch.no_grad():
        model.layers[0].attention.out.weight.mul_(2)
    second = writer.quantised.of(model)
    assert second is not first
    scales = [each.layers[0].attention.out.scale for each in (first, second)]
    torch.testing.assert_close(scales[1], 2 * scales[0])


def test_nothing_is_kept_of_a_model_that_is_gone() -> None:
    model, writer = small_model(), decode()
    made = weakref.ref(writer.quantised.of(model))
    del model
    gc.collect()
    assert made() is None


def test_weights_made_under_inference_mode_are_quantised_for_use_outside() -> None:
    with torch.inference_mode():
        model = small_model(dtype=torch.float32)
        made = decode().quantised.of(model)
    assert not made.layers[0].attention.out.matrix.is_inference()
