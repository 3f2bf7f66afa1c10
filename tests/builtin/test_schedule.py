"""The schedules: their end points, their continuity, and runs that are too short for them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, Share, SpecError
from llm_build_plugins import train
from tests.laws import law

PERCENT = st.integers(0, 100).map(Share.percent)
ALL = ["constant", "inverse_sqrt", "linear", "warmup_cosine", "wsd"]


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int]:
    """Steps, and a warm-up from none to the whole run."""
    steps = draw(st.integers(1, 300))
    return steps, draw(st.integers(0, steps))


def factors(config: Any, steps: int) -> list[float]:
    schedule = config.build(Context())
    return [schedule.factor(step, steps) for step in range(steps)]


def differences(values: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


@law
@given(st.sampled_from(ALL), runs(), PERCENT)
def test_warm_up_is_a_straight_line_from_start_to_the_peak(name: str, run: tuple[int, int], start: Share) -> None:
    steps, warmup = run
    options = {"decay": max(1, steps - 1 - warmup)} if name == "wsd" else {}
    found = factors(getattr(train, name)(warmup=warmup, start=start, **options), steps)
    rising = min(warmup, steps - 1)
    assert found[:rising] == pytest.approx(
        [float(start) + (1 - float(start)) * step / warmup for step in range(rising)]
    )
    assert warmup >= steps - 1 or found[warmup] == pytest.approx(1)


@law
@given(st.sampled_from(ALL), runs(), PERCENT)
def test_every_factor_is_a_share_of_the_peak(name: str, run: tuple[int, int], start: Share) -> None:
    steps, warmup = run
    assert all(0 <= each <= 1 for each in factors(getattr(train, name)(warmup=warmup, start=start), steps))


@law
@given(st.sampled_from(["linear", "warmup_cosine"]), runs(), PERCENT, PERCENT)
def test_the_way_down_ends_at_the_floor_without_a_jump(
    name: str, run: tuple[int, int], start: Share, floor: Share
) -> None:
    steps, warmup = run
    found = factors(getattr(train, name)(warmup=warmup, start=start, floor=floor), steps)
    falling = steps - 1 - warmup
    if falling > 0:
        assert found[-1] == pytest.approx(float(floor))
    steepest = max((1 - float(start)) / max(1, warmup), (1 - float(floor)) * math.pi / 2 / max(1, falling))
    assert all(abs(each) <= steepest + 1e-9 for each in differences(found))
    assert all(each <= 1e-12 for each in differences(found[warmup:]))


@law
@given(st.data(), st.sampled_from(["linear", "1-sqrt"]), runs(), PERCENT, PERCENT)
def test_a_stable_rate_decays_in_the_last_steps(
    data: st.DataObject, shape: str, run: tuple[int, int], start: Share, floor: Share
) -> None:
    steps, warmup = run[0] + 1, run[1]
    decay = data.draw(st.integers(1, steps - warmup))
    found = factors(train.wsd(warmup=warmup, start=start, decay=decay, shape=shape, floor=floor), steps)
    assert found[-1] == pytest.approx(float(floor))
    assert found[warmup : steps - decay] == pytest.approx([1] * (steps - decay - warmup))
    fall = (1 - float(floor)) / (decay if shape == "linear" else math.sqrt(decay))
    assert all(abs(each) <= max((1 - float(start)) / max(1, warmup), fall) + 1e-9 for each in differences(found))
    assert all(each <= 1e-12 for each in differences(found[warmup:]))


@law
@given(runs())
def test_the_inverse_root_halves_the_rate_in_four_warm_ups(run: tuple[int, int]) -> None:
    steps, warmup = run
    found = factors(train.inverse_sqrt(warmup=warmup), steps)
    first = max(1, warmup)
    assert found[4 * first :: 4 * first] == pytest.approx(
        [math.sqrt(1 / (4 * each)) for each in range(1, (steps - 1) // (4 * first) + 1)]
    )
    steepest = max(0.99 / first, 1 / (2 * first))
    assert all(-steepest - 1e-9 <= each <= steepest + 1e-9 for each in differences(found))


@law
@given(runs())
def test_a_constant_rate_stays_at_the_peak(run: tuple[int, int]) -> None:
    steps, warmup = run
    assert factors(train.constant(warmup=warmup), steps)[warmup:] == [1] * (steps - warmup)


@pytest.mark.parametrize("name", ALL)
def test_a_share_is_of_all_steps(name: str) -> None:
    found = factors(getattr(train, name)(warmup=Share.percent(10), start=Share.percent(0)), 200)
    assert found[:1] + found[10:11] + found[20:21] == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize(
    ("config", "half"),
    [
        (train.warmup_cosine(warmup=0, floor=Share.percent(20)), 0.6),
        (train.warmup_cosine(warmup=0), 0.5),
        (train.linear(warmup=0, floor=Share.percent(20)), 0.6),
        (train.wsd(warmup=0, decay=100, shape="linear", floor=Share.percent(20)), 0.6),
        (train.wsd(warmup=0, decay=100, shape="1-sqrt"), 1 - math.sqrt(0.5)),
        (train.inverse_sqrt(warmup=2), 0.2),
    ],
)
def test_half_way_down(config: Any, half: float) -> None:
    assert factors(config, 101)[50] == pytest.approx(half)


def test_a_quarter_down_a_cosine_is_nearer_to_the_peak_than_a_line() -> None:
    assert factors(train.warmup_cosine(warmup=0), 101)[25] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert factors(train.linear(warmup=0), 101)[25] == pytest.approx(0.75)


@pytest.mark.parametrize("name", ["constant", "inverse_sqrt", "linear", "warmup_cosine"])
def test_a_warmup_that_outlasts_the_run_is_cut_off_with_it(name: str) -> None:
    found = factors(getattr(train, name)(warmup=40, start=Share.percent(0)), 30)
    assert [found[step] for step in (0, 10, 29)] == [0, 0.25, 0.725]


def test_where_a_run_is_too_short_for_both_warm_up_and_decay_meet() -> None:
    found = factors(train.wsd(warmup=8, start=Share.percent(0), decay=8, shape="linear"), 9)
    assert found == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.375, 0.25, 0.125, 0])


@pytest.mark.parametrize(
    ("options", "steps", "expected"),
    [
        ({"warmup": 60, "decay": 41}, 100, "must fit into the run of 100 steps together; 60 and 41 arrived"),
        ({"warmup": Share.percent(60), "decay": 41}, 100, "the run of 100 steps together; 60% and 41 arrived"),
        ({"warmup": Share.percent(60), "decay": Share.percent(41)}, None, "the run together; 60% and 41% arrived"),
        ({"decay": 0}, None, "decay must take at least one step; 0 arrived"),
        ({"decay": Share.percent(0)}, None, "decay must take at least one step; 0% arrived"),
        ({"shape": "cosine"}, None, 'shape takes one of "1-sqrt", "linear"'),
        ({"warmup": -1}, None, "warmup takes a count"),
        ({"start": Share.percent(101)}, None, "start takes a share from 0% to 100%"),
    ],
)
def test_a_decay_that_cannot_be_is_refused(options: Any, steps: int | None, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        train.wsd(**options).build(Context(steps=steps))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"warmup": 60, "decay": 40}, 100),
        ({"warmup": 60, "decay": 41}, None),
        # rounded, both shares take two steps of three
        ({"warmup": Share.percent(50), "decay": Share.percent(50)}, 3),
    ],
)
def test_a_decay_that_fits_or_may_fit_is_taken(options: Any, steps: int | None) -> None:
    assert train.wsd(**options).build(Context(steps=steps)).factor(0, 100) <= 1
