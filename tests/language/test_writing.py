"""Writing a config and loading it again gives the same config."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_build import Share, Spec, load, write
from llm_build.language.numbers import read_number
from llm_build.language.writer import pattern
from tests.language.reading import decoder
from tests.language.strategies import specs


@settings(max_examples=200, deadline=None)
@given(specs)
def test_load_of_write_is_the_same_config(spec: Spec) -> None:
    assert load(write(spec)) == spec


@settings(max_examples=50, deadline=None)
@given(specs)
def test_writing_is_stable(spec: Spec) -> None:
    assert write(load(write(spec))) == write(spec)


def test_a_text_survives_lowering_and_writing() -> None:
    spec = load(decoder("dropout = 1 / 3\nposition = rope { theta = 1e6 }"))
    assert load(write(spec)) == spec


def expanded(text: str) -> list[str]:
    """What an algebra of one-letter layers stands for, by Python's own arithmetic on lists."""
    names = {each: [each] for each in "abc"}

    def cycle(layers: list[str], to: int) -> list[str]:
        return [layers[index % len(layers)] for index in range(to)]

    return list(eval(text, {"cycle": cycle}, names))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_a_pattern_stands_for_the_layers_it_was_made_from(names: list[str]) -> None:
    assert expanded(pattern(names)) == names


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), st.integers(3, 6), st.integers(0, 3))
def test_a_pattern_finds_what_repeats(unit: list[str], times: int, rest: int) -> None:
    names = [unit[index % len(unit)] for index in range(len(unit) * times + min(rest, len(unit) - 1))]
    assert len(pattern(names)) <= len("cycle(, to = 99)") + len(pattern(unit))


@settings(max_examples=200, deadline=None)
@given(st.fractions(min_value=0, max_value=1))
def test_a_share_is_written_as_it_is_read(value: Fraction) -> None:
    assert read_number(str(Share(value))) == Share(value)
