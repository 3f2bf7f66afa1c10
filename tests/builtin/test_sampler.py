"""Samplers: the order of their steps, what each one leaves, and how tokens are drawn."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Context, id_of
from llm_build_plugins import generate
from llm_build_plugins.generate._draw import Draw
from llm_build_plugins.generate._nucleus import ONE, _narrowed, nucleus
from tests.conformance.references import REFERENCES
from tests.laws import law

LOGITS = st.tuples(st.integers(1, 4), st.integers(1, 12)).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=st.integers(-40, 40).map(lambda each: each / 4))
)
SHARES = st.integers(1, 100).map(lambda percent: percent / 100)
HEATS = st.sampled_from([0.25, 0.7, 1.0, 3.0])


def scores(config: Any, logits: Tensor, seen: Tensor | None = None) -> Tensor:
    held = torch.zeros_like(logits, dtype=torch.bool) if seen is None else seen
    before = logits.clone(), held.clone()
    found: Tensor = config.build(Context()).scores(logits, held)
    assert torch.equal(logits, before[0])
    assert torch.equal(held, before[1])
    return found


def kept(found: Tensor) -> Tensor:
    return found > float("-inf")


@law
@given(LOGITS, HEATS)
def test_temperature_divides(drawn: Any, heat: float) -> None:
    logits = torch.from_numpy(drawn)
    assert torch.equal(scores(generate.temperature(temperature=heat), logits), logits / heat)


@law
@given(LOGITS)
def test_greedy_leaves_the_largest(drawn: Any) -> None:
    logits = torch.from_numpy(drawn)
    found = scores(generate.greedy(), logits)
    assert torch.equal(kept(found).sum(-1), torch.ones(len(logits), dtype=torch.int64))
    assert torch.equal(found.argmax(-1), logits.argmax(-1))


@law
@given(LOGITS, st.integers(1, 15), HEATS)
def test_top_k_leaves_the_k_largest_and_their_equals(drawn: Any, k: int, heat: float) -> None:
    logits = torch.from_numpy(drawn)
    found = scores(generate.top_k(k=k, temperature=heat), logits)
    for row, mask in zip(logits, kept(found), strict=True):
        least = sorted(row.tolist(), reverse=True)[min(k, len(row)) - 1]
        assert torch.equal(mask, row >= least)
    assert torch.equal(found[kept(found)], (logits / heat)[kept(found)])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@law
@given(LOGITS, st.integers(1, 15), st.integers(1, 9_000), st.integers(0, 2**16))
def test_top_k_leaves_the_same_on_a_gpu(drawn: Any, k: int, wide: int, seed: int) -> None:
    config, chance = generate.top_k(k=k), torch.Generator().manual_seed(seed)
    few = torch.from_numpy(drawn).float()
    many = torch.randn(3, wide, generator=chance).masked_fill(torch.rand(wide, generator=chance) < 0.3, float("-inf"))
    for logits in (few, -few, many, torch.zeros(2, wide)):
        assert torch.equal(scores(config, logits.cuda()).cpu(), scores(config, logits))


@law
@given(LOGITS, SHARES, HEATS)
def test_top_p_leaves_the_fewest_that_hold_p(drawn: Any, p: float, heat: float) -> None:
    """The token that crosses p is kept, and without the least of those kept p would not be reached."""
    logits = torch.from_numpy(drawn)
    found = scores(generate.top_p(p=p, temperature=heat), logits)
    for chances, mask in zip((logits / heat).softmax(-1), kept(found), strict=True):
        held = chances[mask].sum()
        assert held >= p - 1e-9
        assert held - chances[mask].min() < p + 1e-9
        assert mask.all() or chances[mask].min() >= chances[~mask].max()


@law
@given(
    st.sampled_from([torch.float32, torch.float64]),
    st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 5, 12, 3_000])),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.2, 0.9]),
    st.one_of(st.sampled_from([1e-9, 1 - 1e-9, 1.0]), st.floats(0.01, 1)),
    st.sampled_from([0.0, 1e-6, 0.5, 9.0]),
)
def test_the_nucleus_is_what_sorting_finds(
    dtype: torch.dtype, shape: tuple[int, int], seed: int, never: float, p: float, wide: float
) -> None:
    """Whichever are equal or never drawn; of equal ones the first are taken."""
    random = torch.Generator().manual_seed(seed)
    found = torch.randn(shape, generator=random, dtype=dtype) * wide
    found = torch.where(torch.rand(shape, generator=random) < 0.5, (found * 2).round() / 2, found)
    found[:, 1:] = found[:, 1:].masked_fill(torch.rand(shape, generator=random)[:, 1:] < never, float("-inf"))
    for scores, mask in zip(found, nucleus(found, p).tolist(), strict=True):
        weights = [int(each * ONE) for each in scores.softmax(-1).tolist()]
        held, left = set(), min(math.ceil(p * ONE), sum(weights))
        for token in scores.sort(descending=True, stable=True).indices.tolist():
            if left <= 0:
                break
            held.add(token)
            left -= weights[token]
        assert {token for token, kept in enumerate(mask) if kept} == held


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("width", [1, 700, 9_000])
def test_the_kernels_of_a_gpu_narrow_a_nucleus_as_torch_does(width: int) -> None:
    random = torch.Generator().manual_seed(width)
    chances = torch.randint(0, 2**40, (3, width), generator=random) * torch.randint(0, 2, (3, width), generator=random)
    left = (chances.sum(-1, keepdim=True) * torch.tensor([[0.1], [0.9], [1.0]])).long().clamp(min=1)
    ranks = torch.randint(-(2**31), 2**31, (3, width), generator=random, dtype=torch.int32)
    for rank, shift, digits in itertools.product((ranks, ranks[0], ranks.long() << 24), (0, 11, 22), (2**4, 2**11)):
        expected = _narrowed(chances, left, rank, shift, digits)
        found = _narrowed(chances.cuda(), left.cuda(), rank.cuda(), shift, digits)
        assert all(torch.equal(one.cpu(), other) for one, other in zip(found, expected, strict=True))


@law
@given(LOGITS, SHARES, HEATS)
def test_min_p_compares_with_the_likeliest(drawn: Any, p: float, heat: float) -> None:
    logits = torch.from_numpy(drawn)
    found = scores(generate.min_p(p=p, temperature=heat), logits)
    chances = (logits / heat).softmax(-1)
    ratio = chances / chances.amax(-1, keepdim=True)
    assert (kept(found) | (ratio < p * (1 + 1e-9))).all()
    assert (~kept(found) | (ratio > p * (1 - 1e-9))).all()


@law
@given(LOGITS, st.data(), st.sampled_from([1.0, 1.3, 2.0]))
def test_the_penalty_makes_seen_tokens_less_likely(drawn: Any, data: st.DataObject, penalty: float) -> None:
    logits = torch.from_numpy(drawn)
    seen = torch.tensor(data.draw(arrays.arrays(np.bool_, drawn.shape)))
    found = scores(generate.temperature(repetition=penalty), logits, seen)
    assert torch.equal(found[~seen], logits[~seen])
    assert (found[seen] <= logits[seen]).all()
    moved = seen & (logits != 0)
    assert penalty == 1 or (found[moved] < logits[moved]).all()


def test_the_penalty_comes_before_the_filter() -> None:
    logits, seen = torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([[True, False, False]])
    assert kept(scores(generate.top_k(k=1, repetition=2), logits, seen)).tolist() == [[False, True, False]]
    assert kept(scores(generate.greedy(repetition=2), logits, seen)).tolist() == [[False, True, False]]


def test_the_temperature_comes_before_the_filter() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    assert kept(scores(generate.top_p(p=0.7, temperature=1), logits)).tolist() == [[True, True, False]]
    assert kept(scores(generate.top_p(p=0.7, temperature=0.25), logits)).tolist() == [[True, False, False]]


def test_half_precision_is_scored_in_float32() -> None:
    assert scores(generate.top_p(), torch.zeros(1, 3, dtype=torch.bfloat16)).dtype == torch.float32


def draw(
    config: Any,
    vocab: int,
    seeds: list[int],
    entries: int | None = None,
    pad: int | None = None,
    eos: int | None = None,
) -> Draw:
    tokenizer: Any = SimpleNamespace(vocab_size=entries or vocab, pad=pad, eos=eos)
    made = Draw(config.build(Context()), tokenizer, vocab, len(seeds), torch.device("cpu"))
    made.begin(range(len(seeds)), seeds, [[]] * len(seeds))
    return made


def drawn(source: Draw, logits: Tensor) -> Tensor:
    """Tokens [B, 1], one of each row."""
    return source.next(logits, torch.ones(len(logits), dtype=torch.int64))


@pytest.mark.parametrize(
    "config",
    [
        generate.temperature(temperature=1.4),
        generate.top_k(k=3, temperature=0.8),
        generate.top_p(p=0.85),
        generate.min_p(p=0.1, temperature=1.2),
    ],
    ids=id_of,
)
def test_draws_follow_the_distribution(config: Any) -> None:
    """Pearson's chi-square of 200_000 tokens, 100 of each of 2_000 rows, against what the sampler's equations leave."""
    logits = torch.tensor([[1.0, 0.0, -1.0, 2.0, -3.0, 1.5, 0.5]])
    nothing = torch.zeros_like(logits, dtype=torch.bool)
    chances = REFERENCES[id_of(config)](config.build(Context()), logits.double(), nothing).softmax(-1)[0]
    source = draw(config, 7, list(range(2_000)))
    tokens = torch.cat([drawn(source, logits.expand(2_000, -1)) for _ in range(100)])
    found, expected = tokens.flatten().bincount(minlength=7).double(), len(tokens) * chances
    possible = chances > 0
    assert possible.sum() > 2
    assert not found[~possible].any()
    distance = ((found - expected)[possible] ** 2 / expected[possible]).sum()
    # the chance that a right draw lies so far off; the seeds are fixed, so it never changes
    assert torch.special.gammaincc((possible.sum() - 1) / 2, distance / 2) > 1e-3


@law
@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=5), st.integers(0, 2**16))
def test_a_row_draws_the_same_among_others(seeds: list[int], noise: int) -> None:
    logits = torch.randn(6, len(seeds), 20, generator=torch.Generator().manual_seed(noise))
    together = draw(generate.temperature(), 20, seeds)
    rows = torch.cat([drawn(together, step) for step in logits], dim=1)
    for row, seed in enumerate(seeds):
        alone = draw(generate.temperature(), 20, [seed])
        assert torch.equal(rows[row], torch.cat([drawn(alone, step[row : row + 1]) for step in logits], dim=1)[0])


def test_padding_and_rows_without_a_token_are_never_drawn() -> None:
    source = draw(generate.temperature(), 8, [0], entries=5, pad=2)
    logits = torch.tensor([[0.0, 0.0, 9.0, 0.0, 0.0, 9.0, 9.0, 9.0]])
    assert {int(drawn(source, logits)) for _ in range(200)} == {0, 1, 3, 4}


def test_a_token_that_is_padding_and_the_end_can_be_drawn() -> None:
    source = draw(generate.greedy(), 4, [0], pad=2, eos=2)
    assert int(drawn(source, torch.tensor([[0.0, 0.0, 9.0, 0.0]]))) == 2


def test_what_was_seen_is_penalised() -> None:
    source = draw(generate.greedy(repetition=2), 4, [0, 0])
    source.begin([0, 1], [0, 0], [[3], [1]])
    logits = torch.tensor([[0.0, 1.0, 0.0, 1.5]] * 2)
    assert drawn(source, logits).tolist() == [[1], [3]]
    assert drawn(source, logits).tolist() == [[3], [3]]


@law
@given(LOGITS, SHARES)
def test_temperature_0_leaves_the_likeliest_whatever_the_filter(drawn: Any, p: float) -> None:
    logits = torch.from_numpy(drawn)
    largest = logits == logits.amax(-1, keepdim=True)
    found = scores(generate.temperature(temperature=0), logits)
    assert torch.equal(kept(found), largest)
    assert torch.allclose(found.softmax(-1), largest.double() / largest.sum(-1, keepdim=True))
    for sampler in (generate.top_k(k=1, temperature=0), generate.min_p(p=p, temperature=0)):
        assert torch.equal(kept(scores(sampler, logits)), largest)
    # as many of the equals as hold p
    nucleus = kept(scores(generate.top_p(p=p, temperature=0), logits))
    assert bool((nucleus <= largest).all())
    assert bool(nucleus.any(-1).all())
