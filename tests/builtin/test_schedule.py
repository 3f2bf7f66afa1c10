"""The schedule: its end points, its continuity, and a warm-up that outlasts the run."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_build import Context, Share
from llm_build_plugins import train
from tests.laws import law

PERCENT = st.integers(0, 100).map(Share.percent)


@law
@given(st.integers(2, 400), st.integers(0, 399), PERCENT, PERCENT)
def test_warm_up_then_cosine(steps: int, warmup: int, start: Share, floor: Share) -> None:
    assume(warmup < steps - 1)
    schedule = train.warmup_cosine(warmup=warmup, start=start, floor=floor).build(Context())
    factors = [schedule.factor(step, steps) for step in range(steps)]
    assert factors[warmup] == pytest.approx(1)
    assert factors[-1] == pytest.approx(float(floor))
    assert warmup == 0 or factors[0] == pytest.approx(float(start))
    assert all(rise >= -1e-12 for rise in differences(factors[: warmup + 1]))
    assert all(rise <= 1e-12 for rise in differences(factors[warmup:]))
    steepest = max((1 - float(start)) / max(1, warmup), math.pi / 2 / (steps - 1 - warmup))
    assert all(abs(each) <= steepest + 1e-9 for each in differences(factors))


def differences(values: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


def test_a_share_is_of_all_steps() -> None:
    schedule = train.warmup_cosine(warmup=Share.percent(10), start=Share.percent(0)).build(Context())
    assert schedule.factor(0, 200) == 0
    assert schedule.factor(10, 200) == pytest.approx(0.5)
    assert schedule.factor(20, 200) == 1


def test_half_way_down_is_half_way_between_peak_and_floor() -> None:
    schedule = train.warmup_cosine(warmup=0, floor=Share.percent(20)).build(Context())
    assert schedule.factor(50, 101) == pytest.approx(0.6)


def test_a_warmup_that_outlasts_the_run_is_cut_off_with_it() -> None:
    schedule = train.warmup_cosine(warmup=40, start=Share.percent(0)).build(Context())
    assert [schedule.factor(step, 30) for step in (0, 10, 29)] == [0, 0.25, 0.725]
