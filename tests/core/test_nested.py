"""The state of training on disk: what is read is what was written, to the bit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import PluginError
from llm_build.run.nested import outlined, read_state, write_tensors
from tests.laws import law

KINDS = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Of any kind and shape; some are views that share their memory or skip parts of it."""
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    found = torch.testing.make_tensor(*shape, dtype=draw(st.sampled_from(KINDS)), device="cpu")
    view = draw(st.sampled_from(["whole", "turned", "part"]))
    if view == "turned":
        return found.movedim(0, -1) if found.ndim > 1 else found
    return found[::2] if view == "part" and found.ndim else found


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text()
states: st.SearchStrategy[Any] = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


def through_files(state: Any) -> Any:
    with tempfile.TemporaryDirectory() as place:
        outline, tensors = outlined(state)
        Path(place, "a.json").write_text(outline, encoding="utf-8")
        write_tensors(tensors, Path(place, "a.safetensors"))
        return read_state(Path(place, "a.json"), Path(place, "a.safetensors"))


@law
@given(states)
def test_what_is_read_is_what_was_written(state: Any) -> None:
    assert_same(through_files(state), state)


def assert_same(found: Any, stated: Any) -> None:
    assert type(found) is type(stated)
    if isinstance(stated, torch.Tensor):
        assert found.dtype == stated.dtype
        torch.testing.assert_close(found, stated, rtol=0, atol=0, equal_nan=True)
    elif isinstance(stated, dict):
        assert list(found) == list(stated)
        for key in stated:
            assert_same(found[key], stated[key])
    elif isinstance(stated, list | tuple):
        assert len(found) == len(stated)
        for pair in zip(found, stated, strict=True):
            assert_same(*pair)
    else:
        assert found == stated or (found != found and stated != stated)


def test_a_tensor_that_stands_twice_is_read_twice() -> None:
    one = torch.arange(6.0)
    found = through_files({"a": one, "b": one, "c": one[2:4], 3: one.view(2, 3).t()})
    assert_same(found, {"a": one, "b": one, "c": one[2:4], 3: one.view(2, 3).t()})


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"optimizer": {0: {"lr": lambda: 1}}}, "state['optimizer'][0]['lr'] is function"),
        ([1, (2, {3, 4})], "state[1][1] is set"),
        ({(1, 2): 3}, "state is dict"),
    ],
)
def test_what_no_file_can_hold_is_named(state: Any, place: str) -> None:
    with pytest.raises(PluginError) as caught:
        outlined(state)
    assert str(caught.value).endswith(place)
