"""Scaled rotary positions: each published formula pair by pair, what it does to scores, and where it holds."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Config, Context, SpecError, build
from llm_build_plugins import attention, ffn, model, norm, position
from tests.language.reading import decoder, reading
from tests.laws import law

FACTORS = st.sampled_from([1.0, 1.5, 4.0, 8.0, 40.0])
THETAS = st.sampled_from([10.0, 1e4, 5e5])
CONTEXTS = st.sampled_from([64, 500, 4_096, 8_192])
HALVES = st.integers(1, 64)


def frequencies(theta: float, half: int) -> list[float]:
    return [theta ** -(2 * pair / (2 * half)) for pair in range(half)]


def found(scaling: Config, theta: float, half: int) -> torch.Tensor:
    """What a rope of head_dim 2 · half turns by, pair by pair, in float64."""
    config = position.rope(theta=theta, scaling=scaling)
    made = build(config, context=Context(head_dim=2 * half), dtype=torch.float64)
    return made.frequencies[half:]  # type: ignore[no-any-return]


def assert_pairs(actual: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


@law
@given(THETAS, HALVES, FACTORS)
def test_linear_is_position_interpolation(theta: float, half: int, factor: float) -> None:
    made = found(position.linear(factor=factor), theta, half)
    assert_pairs(made, [each / factor for each in frequencies(theta, half)])


def llama3_by_hand(turn: float, factor: float, low: float, high: float, original: int) -> float:
    """`apply_scaling` of Llama 3.1, as it was released, for one pair."""
    wavelength = 2 * math.pi / turn
    if wavelength < original / high:
        return turn
    if wavelength > original / low:
        return turn / factor
    smooth = (original / wavelength - low) / (high - low)
    return (1 - smooth) * turn / factor + smooth * turn


@law
@given(THETAS, HALVES, FACTORS, CONTEXTS, st.sampled_from([(1.0, 4.0), (0.5, 0.75), (2.0, 32.0)]))
def test_llama3_is_what_llama_3_1_does(
    theta: float, half: int, factor: float, original: int, bounds: tuple[float, float]
) -> None:
    low, high = bounds
    made = found(position.llama3(factor=factor, low=low, high=high, original=original), theta, half)
    assert_pairs(made, [llama3_by_hand(each, factor, low, high, original) for each in frequencies(theta, half)])


def yarn_by_hand(
    theta: float, half: int, factor: float, original: int, fast: float, slow: float, truncate: bool
) -> list[float]:
    """The authors' code with plain numbers: the correction range, the ramp, the mix. Bounds that cross slow nothing."""

    def correction_dim(rotations: float) -> float:
        return 2 * half * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = correction_dim(fast), correction_dim(slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * half - 1)
    low = min(low, high)
    mixed = []
    for pair, extrapolated in enumerate(frequencies(theta, half)):
        ramp = min(max((pair - low) / (high - low if high != low else 0.001), 0), 1)
        mixed.append(extrapolated / factor * ramp + extrapolated * (1 - ramp))
    return mixed


@law
@given(THETAS, HALVES, FACTORS, CONTEXTS, st.sampled_from([(32, 1), (8, 2)]), st.booleans())
def test_yarn_is_its_authors(
    theta: float, half: int, factor: float, original: int, betas: tuple[int, int], truncate: bool
) -> None:
    fast, slow = betas
    scaling = position.yarn(factor=factor, original=original, beta_fast=fast, beta_slow=slow, truncate=truncate)
    assert_pairs(found(scaling, theta, half), yarn_by_hand(theta, half, factor, original, fast, slow, truncate))


def test_yarn_leaves_pairs_that_all_turn_fast_as_they_are() -> None:
    """Where the authors' bounds cross, their code slows every pair."""
    made = found(position.yarn(factor=4, original=2**20), 2.0, 8)
    assert_pairs(made, frequencies(2.0, 8))


@pytest.mark.parametrize(
    ("options", "amplitude", "score_factor"),
    [
        ({"factor": 32, "truncate": False}, 0.1 * math.log(32) + 1, 1),  # gpt-oss
        ({"factor": 40, "mscale": 1, "mscale_all": 1}, 1, (0.1 * math.log(40) + 1) ** 2),  # DeepSeek-V3
        ({"factor": 40, "mscale": 0.707, "mscale_all": 0.707}, 1, (0.0707 * math.log(40) + 1) ** 2),  # DeepSeek-V2
        ({"factor": 40, "mscale": 2}, 0.2 * math.log(40) + 1, 1),
        (
            {"factor": 4, "mscale": 2, "mscale_all": 1},
            (0.2 * math.log(4) + 1) / (0.1 * math.log(4) + 1),
            (0.1 * math.log(4) + 1) ** 2,
        ),
        ({"factor": 4, "mscale": 0}, 1, 1),
        ({"factor": 1}, 1, 1),
    ],
)
def test_how_much_yarn_sharpens(options: dict[str, Any], amplitude: float, score_factor: float) -> None:
    rope = build(position.rope(scaling=position.yarn(original=4_096, **options)), context=Context(head_dim=8))
    assert rope.amplitude == pytest.approx(amplitude)
    assert rope.score_factor == pytest.approx(score_factor)


@law
@given(st.integers(0, 99), st.booleans(), st.sampled_from([0.0, 1.0, 3.0]))
def test_what_rotates_is_turned_and_stretched_and_the_rest_is_not(seed: int, interleaved: bool, mscale: float) -> None:
    torch.manual_seed(seed)
    x, places = torch.randn(2, 3, 2, 8, dtype=torch.float64), torch.randint(0, 5_000, (2, 3))
    common = {"theta": 1e3, "interleaved": interleaved, "fraction": 0.5}
    scaling = position.yarn(factor=4, original=512, mscale=mscale)
    made = build(position.rope(**common, scaling=scaling), context=Context(head_dim=8), dtype=torch.float64)
    plain = build(position.rope(**common), context=Context(head_dim=8), dtype=torch.float64)
    plain.frequencies = made.frequencies  # turned by what is scaled, and not stretched
    stretch = torch.tensor([1 + 0.1 * mscale * math.log(4)] * 4 + [1.0] * 4, dtype=torch.float64)
    torch.testing.assert_close(made.rotate(x, places), plain.rotate(x, places) * stretch, rtol=1e-12, atol=1e-13)


def attending(scaling: Config, **options: Any) -> Any:
    config = model.decoder(
        dim=8,
        vocab=11,
        context=64,
        position=position.rope(theta=100, fraction=0.5, scaling=scaling),
        layers=model.block(attention=attention.gqa(heads=2, head_dim=4, **options), ffn=ffn.mlp(hidden=4)),
        norm=norm.rms(),
        initialiser=model.normal(std=0.7, residual=False),
    )
    return build(config, dtype=torch.float64, seed=3).eval()


@pytest.mark.parametrize("scale", [None, 0.3])
def test_the_scores_of_the_whole_head_grow_with_mscale_all(scale: float | None) -> None:
    tokens = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(1))
    stated = {} if scale is None else {"scale": scale}
    found = attending(position.yarn(factor=4, original=16, mscale=1, mscale_all=1), **stated)
    grown = (0.1 * math.log(4) + 1) ** 2
    expected = attending(position.yarn(factor=4, original=16, mscale=0), scale=(scale or 4**-0.5) * grown)
    torch.testing.assert_close(found(tokens), expected(tokens), rtol=1e-11, atol=1e-12)
    plain = attending(position.yarn(factor=4, original=16, mscale=0), **stated)
    assert not torch.allclose(found(tokens), plain(tokens), atol=1e-3)


SCALINGS = [
    position.linear(factor=4),
    position.llama3(factor=4, original=64),
    position.yarn(factor=4, original=64, mscale_all=1),
]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda each: each.__component__.name)
def test_no_cast_rounds_scaled_frequencies_and_no_device_loses_them(scaling: Config) -> None:
    def made(dtype: torch.dtype, device: str = "cpu") -> Any:
        return build(position.rope(scaling=scaling), context=Context(head_dim=16), dtype=dtype, device=device)

    fine, coarse = made(torch.float64).frequencies, made(torch.float32).to(torch.bfloat16)
    assert coarse.frequencies.dtype == torch.float32
    torch.testing.assert_close(coarse.frequencies, fine.float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(coarse.to(torch.float64).frequencies, fine, rtol=0, atol=0)
    meta = made(torch.float32, "meta")
    assert meta.frequencies.is_meta
    meta.to_empty(device="cpu")
    torch.testing.assert_close(meta.frequencies, made(torch.float32).frequencies, rtol=0, atol=0)
    assert not meta.state_dict()


@law
@given(THETAS, HALVES, st.sampled_from([position.linear, position.llama3, position.yarn]))
def test_a_factor_of_1_changes_nothing(theta: float, half: int, kind: Any) -> None:
    options = {} if kind is position.linear else {"original": 512}
    assert_pairs(found(kind(factor=1, **options), theta, half), frequencies(theta, half))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (position.rope(scaling=position.linear(factor=0.5)), "factor takes a number at least 1"),
        (position.rope(theta=1, scaling=position.linear(factor=2)), "theta must be above 1; 1 arrived"),
        (position.rope(scaling=position.llama3(factor=8, low=4, original=8)), "high must be above low = 4; 4 arrived"),
        (
            position.rope(scaling=position.yarn(factor=8, beta_fast=1, original=8)),
            "beta_fast must be above beta_slow = 1; 1 arrived",
        ),
        (position.rope(scaling=position.yarn(factor=8, original=6)), r"original must be above 2π · beta_slow = 6.28"),
    ],
)
def test_what_cannot_be_scaled_is_refused(config: Config, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(config, context=Context(head_dim=8))
    assert message in str(caught.value)


# --- advice ---


def scaled(scaling: str, context: int = 16) -> str:
    spec = decoder(f"position = rope {{ scaling = {scaling} }}")
    return spec.replace("context = 16", f"context = {context}")


@pytest.mark.parametrize("kind", ["yarn", "linear"])
@pytest.mark.parametrize(("context", "warned"), [(512, False), (513, True), (600, True)])
def test_a_context_beyond_the_factor_is_warned_of(kind: str, context: int, warned: bool) -> None:
    (*found,) = reading(scaled(f"{kind} {{ factor = 4, original = 128 }}", context)).diagnostics
    assert [each.code for each in found] == ["W307"] * warned
    for each in found:
        assert each.span is not None
        assert each.span.source.text[each.span.start : each.span.end] == "4"
        assert each.help == "write factor = 5, or a context of 512 at most"
        named = each.help.partition(",")[0].removeprefix("write factor = ")
        assert reading(scaled(f"{kind} {{ factor = {named}, original = 128 }}", context)).diagnostics == ()


@pytest.mark.parametrize("scaling", ["linear { factor = 4 }", "llama3 { factor = 8, original = 8 }"])
def test_who_does_not_say_how_far_a_factor_reaches_warns_of_nothing(scaling: str) -> None:
    assert reading(scaled(scaling, 128)).diagnostics == ()


def test_a_factor_that_is_no_binary_fraction_reaches_as_far_as_it_says() -> None:
    assert reading(scaled("yarn { factor = 1.15, original = 100 }", 115)).diagnostics == ()


def test_a_comment_on_its_line_silences_it() -> None:
    stretched = scaled("yarn {\n  factor = 4 # allow: W307\n  original = 100\n}", 512)
    assert reading(stretched).diagnostics == ()
    assert [each.code for each in reading(stretched.replace("# allow: W307", "")).diagnostics] == ["W307"]
