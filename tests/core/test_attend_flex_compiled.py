"""FlexAttention: what is worked out once a step, what is compiled once for all, and what attends where that fails."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch.nn.attention import flex_attention as torchs

from llm_build.attend import Options, Places, Relation, eager, flex
from tests.core.flexing import Scene, distance, even_distance, packed
from tests.processes import python

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
# the package offers the function under the name of its file
flex_file, blocks_file = (sys.modules[f"llm_build.attend.{name}"] for name in ("flex", "_blocks"))
COMPILE = torch.compile


# --- what is kept of a step ---


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What blocks were worked out for."""
    asked: list[Options] = []
    work_out = blocks_file._made_of

    def noted(places: Places, options: Options, *seen: Any) -> Any:
        asked.append(options)
        return work_out(places, options, *seen)

    monkeypatch.setattr(blocks_file, "_made_of", noted)
    return asked


def mask_of(places: Places, options: Options) -> Any:
    whole = flex_file._whole(places)
    return blocks_file.block_mask(places, whole, options, flex_file._seen(whole, options))


def test_layers_of_a_step_that_ask_the_same_share_their_blocks(made: list[Options]) -> None:
    places = packed()
    for _ in range(3):
        for window in (None, 9):
            mask_of(places, Options(window=window))
    assert [each.window for each in made] == [None, 9]
    mask_of(replace(places, documents=None), Options())
    mask_of(packed(), Options())
    assert len(made) == 4


def test_blocks_of_what_was_written_over_are_worked_out_again(made: list[Options]) -> None:
    places = packed()
    mask_of(places, Options())
    assert places.documents is not None
    places.documents.zero_()
    mask_of(places, Options())
    mask_of(places, Options())
    assert len(made) == 2


@pytest.mark.parametrize("length", [128, 100])
def test_nothing_is_kept_of_a_step_that_is_over(length: int) -> None:
    gc.collect()
    before = len(blocks_file._made)
    places = packed(length)
    mask = mask_of(places, Options())
    assert len(blocks_file._made) == before + 1
    del places, mask
    gc.collect()
    assert len(blocks_file._made) == before


# --- what is compiled ---


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many graphs were compiled: torch traces as for a GPU, and runs what it traced as it is."""
    graphs: list[int] = []
    compile_ = torch.compile

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda function, **told: compile_(function, backend=backend, **told))
    monkeypatch.setattr(flex_file, "_compiled", {})
    monkeypatch.setattr(flex_file, "_refused", set())
    yield graphs
    torch._dynamo.reset()


class Blockwise:
    """A mask that belongs to a part of a model."""

    def __init__(self, size: int) -> None:
        self.size = size

    def allowed(self, q: Tensor, k: Tensor) -> Tensor:
        return q // self.size == k // self.size


def long(mask: Relation | None = None, bias: Relation | None = None, length: int = 140) -> Scene:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, length, heads, 16) for heads in (4, 2, 2))
    return Scene(q, k, v, packed(length), Options(mask=mask, bias=bias))


@torch.no_grad()
def test_layers_and_steps_of_a_kind_are_compiled_once_for_lengths_that_fill_as_many_blocks(
    compilations: list[int],
) -> None:
    for length in (140, 150):
        for _layer in range(2):
            scene = long(Blockwise(7).allowed, distance(4), length)
            expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
            torch.testing.assert_close(flex(scene.q, scene.k, scene.v, scene.places, scene.options), expected)
    assert len(compilations) == 1


@torch.no_grad()
def test_beyond_so_many_sizes_of_a_kind_others_attend_without_flex_and_the_first_with_it(
    compilations: list[int],
) -> None:
    with torch._dynamo.config.patch(recompile_limit=1):
        for length, mask in ((140, None), (300, None), (140, None), (140, even_distance)):
            scene = long(mask, length=length)
            expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
            torch.testing.assert_close(flex(scene.q, scene.k, scene.v, scene.places, scene.options), expected)
    assert len(compilations) == 2
    assert [q[1] for _kind, q, _v in flex_file._refused] == [300]


@torch.no_grad()
def test_in_a_compiled_model_it_is_part_of_the_one_graph(compilations: list[int]) -> None:
    scene = long(even_distance, distance(4))
    compiled = torch.compile(lambda q, k, v, places: flex(q, k, v, places, scene.options), fullgraph=True)
    expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
    torch.testing.assert_close(compiled(scene.q, scene.k, scene.v, scene.places), expected)
    assert len(compilations) == 1


def untraceable(q: Tensor, k: Tensor) -> Tensor:
    torch._dynamo.graph_break()
    return even_distance(q, k)


@pytest.mark.parametrize("reason", ["cannot be traced", "switched off"])
@torch.no_grad()
def test_what_cannot_be_compiled_is_attended_without_flex_and_a_line_says_so_once(
    compilations: list[int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    scene = long(untraceable if reason == "cannot be traced" else even_distance)
    with torch.compiler.set_stance("force_eager" if reason == "switched off" else "default"):
        found = flex(scene.q, scene.k, scene.v, scene.places, scene.options)
    expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
    torch.testing.assert_close(found, expected)
    (line,) = (each for each in caplog.records if each.name == "llm_build.attend")
    assert line.levelno == logging.WARNING
    assert "masked attends instead of flex" in line.getMessage()
    kind = flex_file._kind(scene.q, scene.v, scene.places, scene.options)
    assert (kind, scene.q.shape, scene.v.shape) in flex_file._refused


def test_what_has_no_gradients_is_refused_before_it_runs(
    compilations: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_graph: Any, _inputs: Any) -> Any:
        raise RuntimeError("no tile fits")

    backend = aot_autograd(fw_compiler=lambda graph, _: make_boxed_func(graph), bw_compiler=refuse)
    monkeypatch.setattr(torchs, "_validate_device", lambda *_: None)
    monkeypatch.setattr(flex_file, "_kernel", lambda _kind: COMPILE(flex_file._traced, backend=backend, fullgraph=True))
    scene = long()
    for each in (scene.q, scene.k, scene.v):
        each.requires_grad_()
    for found, expected in zip(scene.by(flex), scene.by(eager), strict=True):
        torch.testing.assert_close(found, expected)
    assert "masked attends instead of flex, which torch could not compile: no tile fits" in caplog.text
    assert not compilations


def test_nobody_waits_for_a_compiler_who_does_not_attend_on_a_gpu() -> None:
    program = """
import sys, torch
from llm_build.attend import Options, Places, attend
x, place = torch.zeros(1, 128, 1, 16), torch.zeros(1, 128).long()
attend(x, x, x, Places(q_index=place, k_index=place, documents=place), Options(window=3))
print([each for each in ("torch._dynamo", "torch.nn.attention.flex_attention") if each in sys.modules])
"""
    assert python(program) == "[]\n"
