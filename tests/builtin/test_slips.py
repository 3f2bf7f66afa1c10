"""Slips that are easily made and hardly seen: each test fails if its slip is made here.

Rotary positions over heads in place of time; attention dropout in evaluation; a generation loop that sees what comes
after; a loss from bfloat16 logits; a cached pass that is not the full pass's arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from llm_build import Batch, Config, Context, Step, build, can, make_state
from llm_build.components import field_specs
from llm_build.registry import installed
from llm_build_plugins import attention, ffn, model, norm, position, train
from tests.laws import law
from tests.small import small_model, small_part, small_tokenizer

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
EXACT = {"rtol": 0, "atol": 0}
THETA = 100.0
VOCAB = 11
TOKENIZER = small_tokenizer()


def mixers() -> list[str]:
    """Every mixer that stands and can continue what it has read."""
    every = installed()
    return [name for name in every.names("attention") if can(every.config("attention", name), "cache")]


def mixer(name: str, **options: Any) -> Config:
    """A small config of a mixer; sizes that it does not have are left out."""
    config = installed().config("attention", name)
    sizes = {"heads": 4, "kv_heads": 2, "kv_rank": 8, "nope": 4, "rope": 4}
    return config(**{field: value for field, value in sizes.items() if field in field_specs(config)}, **options)


def decoder(mixer: Config, dropout: float = 0.0) -> Any:
    block = model.block(attention=mixer, ffn=ffn.swiglu())
    return model.decoder(
        dim=16,
        vocab=VOCAB,
        context=16,
        dropout=dropout,
        position=position.rope(),
        norm=norm.rms(),
        layers=2 * block,
        initialiser=model.normal(std=0.5),
    )


def encoder_decoder(mixer: Config, dropout: float = 0.0) -> Any:
    """With the mixer wherever it can stand; the others are `mha`."""
    reading = model.block(attention=standing(mixer, causal=False), ffn=ffn.swiglu())
    writing = model.block(attention=mixer, cross=standing(mixer, causal=False, memory=16), ffn=ffn.swiglu())
    return model.encoder_decoder(
        dim=16,
        vocab=VOCAB,
        context=16,
        dropout=dropout,
        position=position.sinusoidal(),
        encoder=model.stack(layers=reading, norm=norm.rms()),
        decoder=model.stack(layers=2 * writing, norm=norm.rms()),
        initialiser=model.normal(std=0.5),
    )


def standing(mixer: Config, **surroundings: Any) -> Config:
    return attention.mha(heads=4) if mixer.problems(Context(dim=16, **surroundings)) else mixer


every_mixer = pytest.mark.parametrize("name", mixers())
every_model = pytest.mark.parametrize("around", [decoder, encoder_decoder])


def made(config: Config, **options: Any) -> Any:
    return build(config, dtype=torch.float64, seed=1, **options)


def source_of(config: Config, rows: int) -> dict[str, Tensor]:
    """What a model's `memory` is made of, where it reads one."""
    return {"source": torch.randint(VOCAB, (rows, 5))} if can(config, "encoder") else {}


def through(module: Any, tokens: Tensor, source: Tensor | None = None) -> Tensor:
    """The logits of the full pass."""
    memory = {} if source is None else {"memory": module.encode(source)}
    logits: Tensor = module(tokens, **memory)
    return logits


def step_by_step(module: Any, tokens: Tensor, source: Tensor | None = None) -> Tensor:
    """The same logits on a state: a prompt of two tokens, then one at a time."""
    state, logits = make_state(module, len(tokens), tokens.shape[1], memory=5), []
    with torch.no_grad():
        memory = {} if source is None else {"memory": module.encode(source)}
        for part in tokens.split([2] + [1] * (tokens.shape[1] - 2), dim=1):
            state.reserve(part.shape[1])
            logits.append(module(part, state, **memory))
            memory = {}  # from now on the rows read what they have stored
    return torch.cat(logits, dim=1)


def test_the_mixers_that_stand_are_looked_at() -> None:
    assert {"gated_delta", "gqa", "mha", "mla", "mqa"} <= set(mixers())


# rotation over heads


def turned(x: Tensor, places: Tensor) -> Tensor:
    """One head [T, E], each row turned by its own place, as complex numbers: dimension i with i + E / 2."""
    half = x.shape[1] // 2
    speeds = THETA ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = places[:, None] * speeds
    pairs = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat((pairs.real, pairs.imag), dim=1)


def by_hand(module: Any, x: Tensor, places: Tensor) -> Tensor:
    """[T, D], places [T] → [T, D]: head by head, every query and key turned by its place in time."""
    heads, kv_heads = module.heads, module.kv_heads
    q, k, v = module.qkv(x).view(len(x), -1, module.head_dim).split((heads, kv_heads, kv_heads), dim=1)
    hidden = torch.ones(len(x), len(x)).triu(1).bool()
    outs = []
    for head in range(heads):
        shared = head // (heads // kv_heads)
        scores = turned(q[:, head], places) @ turned(k[:, shared], places).T / module.head_dim**0.5
        outs.append(scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v[:, shared])
    result: Tensor = module.out(torch.cat(outs, dim=1))
    return result


@law
@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 4, 6]), st.integers(1, 3), st.integers(1, 6))
def test_attention_turns_queries_and_keys_by_their_time(
    kv_heads: int, group: int, head_dim: int, rows: int, length: int
) -> None:
    config = attention.gqa(heads=kv_heads * group, kv_heads=kv_heads, head_dim=head_dim)
    module = made(config, context=Context(dim=5, position=position.rope(theta=THETA)))
    x, places = torch.randn(rows, length, 5, dtype=torch.float64), torch.randint(0, 50, (rows, length))
    out = module(x, Step.begin(torch.zeros(rows, length, dtype=torch.int64), positions=places))
    for row in range(rows):
        torch.testing.assert_close(out[row], by_hand(module, x[row], places[row]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("heads", [2, 4])
def test_heads_with_equal_weights_are_turned_alike(heads: int) -> None:
    module = made(decoder(attention.gqa(heads=heads, kv_heads=2, head_dim=4)))
    qkv = module.layers[0].attention.qkv
    with torch.no_grad():
        qkv.weight.copy_(qkv.weight[:4].repeat(heads + 4, 1))
        state = make_state(module, 1, capacity=6)
        state.reserve(6)
        module(torch.full((1, 6), 3), state)
    keys = state.views[0]["attention"].cells["k"][0, :6]  # [T, K, E], all of one token
    torch.testing.assert_close(keys[:, 0], keys[:, 1], **EXACT)
    assert all(not torch.allclose(keys[time, 0], keys[0, 0], rtol=1e-3) for time in range(1, 6))


# dropout in evaluation


@every_model
@pytest.mark.parametrize("name", [name for name in mixers() if "dropout" in field_specs(mixer(name))])
def test_in_evaluation_dropout_of_the_attention_is_off(name: str, around: Any) -> None:
    config = around(mixer(name, dropout=0.5))
    tokens, source = torch.randint(VOCAB, (2, 7)), source_of(config, 2)
    dropped, plain = made(config), made(around(mixer(name))).eval()
    assert not torch.allclose(through(dropped, tokens, **source), through(plain, tokens, **source))
    dropped.eval()
    torch.testing.assert_close(through(dropped, tokens, **source), through(plain, tokens, **source), **EXACT)
    torch.testing.assert_close(step_by_step(dropped, tokens, **source), step_by_step(plain, tokens, **source), **EXACT)


@every_model
def test_in_evaluation_every_dropout_of_a_model_is_off(around: Any) -> None:
    config = around(attention.gqa(heads=4, kv_heads=2), dropout=0.5)
    tokens, source = torch.randint(VOCAB, (2, 7)), source_of(config, 2)
    dropped, plain = made(config).eval(), made(around(attention.gqa(heads=4, kv_heads=2))).eval()
    torch.testing.assert_close(through(dropped, tokens, **source), through(plain, tokens, **source), **EXACT)


def test_a_generator_writes_the_same_whatever_the_dropout_was() -> None:
    dropped, plain = (small_model(dropout=dropout, scale=30) for dropout in (0.5, 0))
    assert written(dropped, ["def", "(a"]) == written(plain, ["def", "(a"])


# a generation loop that sees what comes after


def written(module: Any, prompts: list[str]) -> list[list[int]]:
    """The tokens that the generator fed or would feed to the model, row by row: the prompt, then its own."""
    rows = [TOKENIZER.encode(each) for each in prompts]
    for piece in small_part("generate").generate(module, TOKENIZER, prompts):
        if piece.token is not None and piece.finish != "eos":
            rows[piece.row].append(piece.token)
    return rows


@contextmanager
def listening(module: nn.Module) -> Iterator[list[Tensor]]:
    """What a module gave out, call by call."""
    heard: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, out: heard.append(out))
    yield heard
    handle.remove()


@law
@given(
    st.lists(st.text(alphabet="adefl(: \n", min_size=1, max_size=7), min_size=1, max_size=3),
    st.integers(0, 3),
    st.sampled_from([0, 0.5]),
)
def test_the_generator_computes_what_the_training_forward_does(prompts: list[str], seed: int, dropout: float) -> None:
    module = small_model(seed=seed, scale=30, dropout=dropout)
    for prompt in prompts:
        with listening(module.norm) as heard:
            (tokens,) = written(module, [prompt])
        count = len(TOKENIZER.encode(prompt))
        # the prompt, and from then on a token a call
        found = torch.cat([heard[0][0, :count], *[each[0, :1] for each in heard[1:]]])
        expected, _ = module.hidden(torch.tensor([tokens]))
        fed = max(count, len(tokens) - 1)  # the last one is written, and not read again
        torch.testing.assert_close(found[:fed], expected[0, :fed], rtol=1e-9, atol=1e-9)


# a loss from coarse logits


@pytest.mark.parametrize("coarse", ["autocast", "weights"])
def test_a_model_in_bfloat16_has_its_loss_from_float32_logits(coarse: str) -> None:
    module = small_model(dtype=torch.float32 if coarse == "autocast" else torch.bfloat16, scale=3, tie=False)
    tokens, targets = torch.randint(300, (2, 4, 16), generator=torch.Generator().manual_seed(0))
    objective = train.next_token().build(Context())
    with torch.autocast("cpu", dtype=torch.bfloat16) if coarse == "autocast" else nullcontext():
        hidden, _ = module.hidden(tokens)
        logits = module.head(hidden)
        loss, parts = objective.loss(module, Batch(tokens=tokens, targets=targets))
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == parts["nll"].dtype == torch.float32
    fine = cross_entropy((hidden.float() @ module.head.weight.float().T).flatten(0, 1), targets.flatten())
    slip = cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert abs(slip - fine) > 5e-3
    assert abs(loss - fine) < 5e-4


# a cached pass of its own


@every_model
@every_mixer
def test_the_cached_pass_is_the_full_pass_by_the_same_projections(name: str, around: Any) -> None:
    config = around(mixer(name))
    module, tokens, source = made(config).eval(), torch.randint(VOCAB, (2, 7)), source_of(config, 2)
    with projections_of(module) as full:
        expected = through(module, tokens, **source)
    with projections_of(module) as cached:
        found = step_by_step(module, tokens, **source)
    torch.testing.assert_close(found, expected, **CLOSE)
    assert cached == full
    assert any("attention" in each for each in full)


@contextmanager
def projections_of(module: nn.Module) -> Iterator[set[str]]:
    """The names of the linear maps that are called."""
    called: set[str] = set()
    handles = [
        each.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, each in module.named_modules()
        if isinstance(each, nn.Linear)
    ]
    yield called
    for handle in handles:
        handle.remove()
