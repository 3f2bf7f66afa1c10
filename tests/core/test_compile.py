"""One graph: training and 50 cached steps compile whole, once, and no buffer moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from llm_build import Config, build, make_state
from llm_build_plugins import attention, ffn, model, norm, position
from tests.builtin.caches import CACHES, full_pass, state_of, tensors_of

ROWS, PROMPT, STEPS = 2, 5, 50


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def decoder(request: pytest.FixtureRequest) -> torch.nn.Module:
    masks = ({}, {"mask": attention.sliding(window=6)})
    cycle = tuple(model.block(attention=attention.gqa(heads=2, kv_heads=1, **mask), ffn=ffn.swiglu()) for mask in masks)
    config = model.decoder(
        dim=8,
        vocab=11,
        context=256,
        position=position.rope(),
        norm=norm.rms(),
        layers=getattr(request, "param", 2) // 2 * cycle,
    )
    made: torch.nn.Module = build(config, dtype=torch.float64)
    return made


def test_training_is_one_graph(decoder: torch.nn.Module) -> None:
    counter, tokens = CompileCounter(), torch.randint(11, (ROWS, 7))
    compiled = torch.compile(decoder, fullgraph=True, backend=counter)
    for _ in range(3):
        torch.testing.assert_close(compiled(tokens), decoder(tokens), rtol=0, atol=0)
    compiled(tokens).sum().backward()
    assert counter.frame_count == 1


MANY = [pytest.param(12, True, "paged-int8", id="12 layers, paged-int8", marks=pytest.mark.slow)]
"""More layers than dynamo compiles one function for."""


@pytest.mark.parametrize(
    ("decoder", "ragged", "cache"),
    [*((2, ragged, cache) for ragged in (False, True) for cache in CACHES), *MANY],
    indirect=["decoder"],
)
def test_fifty_steps_are_one_graph_after_the_prompt(cache: str, decoder: torch.nn.Module, ragged: bool) -> None:
    counter, tokens = CompileCounter(), torch.randint(11, (ROWS, PROMPT + STEPS))
    compiled = torch.compile(decoder, fullgraph=True, backend=counter)
    state = state_of(decoder, ROWS, cache, capacity=PROMPT + STEPS, max_step=PROMPT)
    places = [each.data_ptr() for each in (*tensors_of(state), state.lengths)]
    count = torch.ones(ROWS, dtype=torch.int64) if ragged else None
    with torch.no_grad():
        state.reserve(PROMPT)
        steps = [compiled(tokens[:, :PROMPT], state)]
        for place in range(PROMPT, PROMPT + STEPS):
            state.reserve(1)
            steps.append(compiled(tokens[:, place : place + 1], state, count=count))
    torch.testing.assert_close(torch.cat(steps, 1), full_pass(decoder, tokens, cache), rtol=1e-10, atol=1e-12)
    assert counter.frame_count == 2
    assert places == [each.data_ptr() for each in (*tensors_of(state), state.lengths)]


@pytest.mark.parametrize("cache", CACHES)
def test_lengths_that_grow_past_many_spans_compile_once_more(cache: str, decoder: torch.nn.Module) -> None:
    counter, tokens = CompileCounter(), torch.randint(11, (ROWS, 250))
    compiled = torch.compile(decoder, fullgraph=True, backend=counter)
    state, steps = state_of(decoder, ROWS, cache, capacity=250, max_step=10), []
    with torch.no_grad():
        for part in tokens.split(10, 1):
            state.reserve(10)
            steps.append(compiled(part, state))
    torch.testing.assert_close(torch.cat(steps, 1), full_pass(decoder, tokens, cache), rtol=1e-10, atol=1e-12)
    assert state.span == 250
    assert counter.frame_count == 2, "one graph for the first length in use, one for any other"


MIXERS = {
    "latent": attention.mla(heads=2, kv_rank=8, nope=2, rope=2),
    "recurrent": attention.gated_delta(heads=2, value_heads=4),
}


@pytest.mark.parametrize("name", MIXERS)
def test_so_it_is_with_what_keeps_no_keys(name: str) -> None:
    block = model.block(attention=MIXERS[name], ffn=ffn.swiglu())
    decoder = build(
        model.decoder(dim=8, vocab=11, context=128, position=position.rope(), norm=norm.rms(), layers=2 * block),
        dtype=torch.float64,
    )
    counter, tokens = CompileCounter(), torch.randint(11, (ROWS, PROMPT + STEPS))
    compiled = torch.compile(decoder, fullgraph=True, backend=counter)
    torch.testing.assert_close(compiled(tokens), decoder(tokens), rtol=0, atol=0)
    compiled(tokens).sum().backward()
    state, count = make_state(decoder, ROWS, PROMPT + STEPS), torch.ones(ROWS, dtype=torch.int64)
    kept = [each.data_ptr() for layer in state.views for view in layer.values() for each in view.sequence.values()]
    with torch.no_grad():
        state.reserve(PROMPT)
        steps = [compiled(tokens[:, :PROMPT], state)]
        for place in range(PROMPT, PROMPT + STEPS):
            state.reserve(1)
            steps.append(compiled(tokens[:, place : place + 1], state, count=count))
        torch.testing.assert_close(torch.cat(steps, 1), decoder(tokens), rtol=1e-9, atol=1e-10)
    assert counter.frame_count == 3
    assert kept == [
        each.data_ptr() for layer in state.views for view in layer.values() for each in view.sequence.values()
    ]


def layers(cross: bool) -> tuple[Config, ...]:
    read = {"cross": attention.mha(heads=2)} if cross else {}
    return 2 * model.block(attention=attention.mha(heads=2), ffn=ffn.mlp(), **read)


def test_a_memory_that_arrives_with_the_prompt_leaves_the_steps_one_graph() -> None:
    stacks = {"encoder": model.stack(layers=layers(False)), "decoder": model.stack(layers=layers(True))}
    translator = build(model.encoder_decoder(dim=8, vocab=11, context=64, **stacks), dtype=torch.float64)
    counter, tokens = CompileCounter(), torch.randint(11, (ROWS, PROMPT + 20))
    compiled = torch.compile(translator, fullgraph=True, backend=counter)
    state = make_state(translator, ROWS, PROMPT + 20, memory=7)
    kept = [view.memory["k"].data_ptr() for layer in state.views for name, view in layer.items() if name == "cross"]
    with torch.no_grad():
        memory, count = translator.encode(torch.randint(11, (ROWS, 5))), torch.tensor([5, 3])
        state.reserve(PROMPT)
        steps = [compiled(tokens[:, :PROMPT], state, memory=memory, memory_count=count)]
        for place in range(PROMPT, PROMPT + 20):
            state.reserve(1)
            steps.append(compiled(tokens[:, place : place + 1], state))
        full = translator(tokens, memory=memory, memory_count=count)
    torch.testing.assert_close(torch.cat(steps, 1), full, rtol=1e-10, atol=1e-12)
    assert counter.frame_count == 2
    assert kept == [
        view.memory["k"].data_ptr() for layer in state.views for name, view in layer.items() if name == "cross"
    ]


def test_a_mixture_of_experts_is_one_graph_in_training_and_in_decoding() -> None:
    sparse = ffn.moe(experts=4, router=ffn.topk_softmax(k=2, balance=0.1), expert=ffn.swiglu(hidden=8))
    block = model.block(attention=attention.mha(heads=2), ffn=sparse)
    config = model.decoder(dim=8, vocab=11, context=64, position=position.rope(), norm=norm.rms(), layers=2 * block)
    decoder = build(config, dtype=torch.float64)
    counter, tokens = CompileCounter(), torch.randint(11, (ROWS, PROMPT + 20))
    compiled = torch.compile(decoder, fullgraph=True, backend=counter)
    compiled(tokens[:, :PROMPT]).sum().backward()
    assert counter.frame_count == 1
    state = make_state(decoder, ROWS, PROMPT + 20)
    with torch.no_grad():
        state.reserve(PROMPT)
        steps = [compiled(tokens[:, :PROMPT], state)]
        for place in range(PROMPT, PROMPT + 20):
            state.reserve(1)
            steps.append(compiled(tokens[:, place : place + 1], state))
        torch.testing.assert_close(torch.cat(steps, 1), decoder(tokens), rtol=1e-10, atol=1e-12)
    assert counter.frame_count == 3
