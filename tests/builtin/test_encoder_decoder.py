"""Laws of the encoder–decoder: what reads what, with a state and without, and that it is the published one."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build import (
    CapacityError,
    Config,
    Context,
    GenerationError,
    SpecError,
    Step,
    build,
    component,
    make_state,
    part,
    reads_source,
)
from llm_build_plugins import attention, embedding, ffn, model, norm, position
from tests.builtin.strategies import VOCAB, changed, encoder_decoders, random_tokens
from tests.laws import law

EXACT = {"rtol": 0, "atol": 0}
CLOSE = {"rtol": 1e-10, "atol": 1e-11}
SINUSOIDS = position.sinusoidal()


@attrs.frozen
class Case:
    """A model in evaluation mode, sources [B, M] and tokens [B, T]."""

    model: Any
    source: Tensor
    tokens: Tensor

    @property
    def rows(self) -> int:
        return self.tokens.shape[0]

    def __call__(self, tokens: Tensor, count: Tensor | None = None) -> Tensor:
        logits: Tensor = self.model(tokens, memory=self.model.encode(self.source, count), memory_count=count)
        return logits


@st.composite
def cases(draw: st.DrawFn) -> Case:
    config, rows, seed = draw(encoder_decoders()), draw(st.integers(1, 3)), draw(st.integers(0, 2**16))
    made = build(config, dtype=torch.float64, seed=seed).eval()
    source = random_tokens(rows, draw(st.integers(1, 6)), seed)
    return Case(made, source, random_tokens(rows, draw(st.integers(1, 6)), seed + 1))


@law
@given(cases())
def test_shapes(case: Case) -> None:
    memory, losses = case.model.encoded(case.source)
    assert memory.shape[:2] == case.source.shape
    hidden, more = case.model.hidden(case.tokens, memory=memory)
    assert hidden.shape == (*case.tokens.shape, memory.shape[-1])
    assert all(each.ndim == 0 for each in (*losses.values(), *more.values()))
    logits = case.model(case.tokens, memory=memory)
    assert logits.shape == (*case.tokens.shape, VOCAB)
    torch.testing.assert_close(logits, case.model.head(hidden), **EXACT)


@law
@given(cases(), st.data())
def test_what_is_written_sees_its_past_alone(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, case.tokens.shape[1] - 1))
    after = case(changed(case.tokens, slice(None), place))
    torch.testing.assert_close(after[:, :place], case(case.tokens)[:, :place], **CLOSE)


@law
@given(cases(), st.data())
def test_every_position_reads_every_place_of_the_memory(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, case.tokens.shape[1] - 1))
    memory = case.model.encode(case.source).detach().requires_grad_()
    hidden, _ = case.model.hidden(case.tokens, memory=memory)
    (gradient,) = torch.autograd.grad((hidden[:, place] * torch.randn_like(hidden[:, place])).sum(), memory)
    assert (gradient != 0).any(-1).all()


def test_an_encoder_looks_both_ways() -> None:
    made, source = translator(), random_tokens(1, 4, 0)
    for place in range(4):
        after = made.encode(changed(source, 0, place))
        assert (after != made.encode(source)).any(-1).all()


@law
@given(cases(), st.data())
def test_padding_of_a_source_never_leaks(case: Case, data: st.DataObject) -> None:
    width = case.source.shape[1]
    counts = data.draw(st.lists(st.integers(0, width), min_size=case.rows, max_size=case.rows))
    count = torch.tensor(counts)
    padded = torch.arange(width) >= count[:, None]
    noisy = attrs.evolve(case, source=changed(case.source, padded))
    found = case(case.tokens, count)
    assert found.isfinite().all()
    torch.testing.assert_close(noisy(case.tokens, count), found, **EXACT)
    for row, real in enumerate(counts):
        alone = Case(case.model, case.source[row : row + 1, :real], case.tokens[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], alone(alone.tokens), **CLOSE)


@law
@given(cases(), st.data())
def test_a_memory_is_written_row_by_row_and_a_joining_row_moves_no_other(case: Case, data: st.DataObject) -> None:
    joins = data.draw(st.integers(0, case.rows - 1))
    width = case.source.shape[1]
    state = make_state(case.model, case.rows, capacity=8, memory=width)
    with torch.no_grad():
        state.reserve(1)
        case.model(case.tokens[:, :1], state, memory=case.model.encode(case.source))
        state.reset([joins])
        before = [kept.clone() for kept in memories(state)]
        count = torch.tensor([width if row == joins else -1 for row in range(case.rows)])
        noise = torch.full_like(case.model.encode(case.source), float("nan"))
        noise[joins] = case.model.encode(changed(case.source, joins, 0))[joins]
        state.reserve(1)
        case.model(case.tokens[:, :1], state, memory=noise, memory_count=count)
    others = [row for row in range(case.rows) if row != joins]
    for old, new in zip(before, memories(state), strict=True):
        torch.testing.assert_close(new[others], old[others], **EXACT)
        assert (old[joins] == 0).all()
        assert (new[joins] != 0).any()
    assert state.memory_lengths.tolist() == [width] * case.rows


def test_a_shorter_memory_leaves_nothing_of_the_longer_one_before() -> None:
    made = translator()
    state = make_state(made, 1, capacity=4, memory=5)
    tokens = torch.zeros(1, 1, dtype=torch.int64)
    with torch.no_grad():
        for width in (5, 2):
            state.reserve(1)
            memory = made.encode(random_tokens(1, width, 0))
            made(tokens, state, memory=memory)
    assert state.memory_lengths.tolist() == [2]
    assert all((kept[:, 2:] == 0).all() and (kept[:, :2] != 0).any() for kept in memories(state))


def test_what_a_memory_holds_beyond_its_count_is_never_kept() -> None:
    made = translator()
    state = make_state(made, 1, capacity=4, memory=3)
    memory = made.encode(random_tokens(1, 3, 0)).detach()
    memory[:, 2] = float("nan")
    state.reserve(1)
    with torch.no_grad():
        found = made(torch.zeros(1, 1, dtype=torch.int64), state, memory=memory, memory_count=torch.tensor([2]))
    assert found.isfinite().all()
    assert all((kept[:, 2:] == 0).all() for kept in memories(state))


def memories(state: Any) -> list[Tensor]:
    return [kept for layer in state.views for view in layer.values() for kept in view.memory.values()]


def layers(cross: bool, heads: int = 2, dropout: float = 0, count: int = 1) -> Any:
    block = model.block(
        placement=model.post(dropout=dropout),
        norm=norm.layer(),
        attention=attention.mha(heads=heads, bias=True),
        ffn=ffn.mlp(hidden=10, activation=ffn.relu(), bias=True),
    )
    return count * (attrs.evolve(block, cross=attention.mha(heads=heads, bias=True)) if cross else block)


def translator(**options: Any) -> Any:
    config = model.encoder_decoder(
        dim=8,
        vocab=VOCAB,
        context=16,
        encoder=model.stack(layers=layers(False, **options)),
        decoder=model.stack(layers=layers(True, **options)),
        initialiser=model.normal(std=0.5),
    )
    return build(config, dtype=torch.float64)


def copy_attention(ours: Any, theirs: nn.MultiheadAttention) -> None:
    """Our projections into torch's: queries, keys and values are one matrix there, whatever they are made of."""
    weight = [ours.qkv] if hasattr(ours, "qkv") else [ours.q, ours.kv]
    theirs.in_proj_weight.copy_(torch.cat([each.weight for each in weight]))
    theirs.in_proj_bias.copy_(torch.cat([each.bias for each in weight]))
    theirs.out_proj.weight.copy_(ours.out.weight)
    theirs.out_proj.bias.copy_(ours.out.bias)


def copy_layer(ours: Any, theirs: Any) -> None:
    copy_attention(ours.attention, theirs.self_attn)
    norms = [theirs.norm1, theirs.norm2]
    if ours.cross is not None:
        copy_attention(ours.cross, theirs.multihead_attn)
        norms.append(theirs.norm3)
    for mine, yours in zip(ours.placement.norms.values(), norms, strict=True):
        yours.load_state_dict(mine.state_dict())
    theirs.linear1.load_state_dict(ours.ffn.up.state_dict())
    theirs.linear2.load_state_dict(ours.ffn.down.state_dict())


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@law
@given(st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**16))
def test_it_is_the_transformer_of_2017(depth: int, heads: int, width: int, length: int, seed: int) -> None:
    ours = translator(heads=heads, count=depth)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.normal_(0, 0.5, generator=generator)
    theirs = nn.Transformer(8, heads, depth, depth, 10, dropout=0, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for mine, yours in zip(ours.encoder.layers, theirs.encoder.layers, strict=True):
            copy_layer(mine, yours)
        for mine, yours in zip(ours.decoder.layers, theirs.decoder.layers, strict=True):
            copy_layer(mine, yours)
    theirs.encoder.norm = theirs.decoder.norm = nn.Identity()
    source, tokens = random_tokens(2, width, seed), random_tokens(2, length, seed + 1)
    expected = theirs(
        ours.source_embedding(source),
        ours.embedding(tokens),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64),
    )
    hidden, _ = ours.hidden(tokens, memory=ours.encode(source))
    torch.testing.assert_close(hidden, expected, rtol=1e-9, atol=1e-10)


def test_a_stack_ends_in_its_norm() -> None:
    stacks = {name: model.stack(layers=layers(name == "decoder"), norm=norm.rms()) for name in ("encoder", "decoder")}
    made = build(small(**stacks, initialiser=model.normal(std=0.5)), dtype=torch.float64)
    with torch.no_grad():
        made.encoder.norm.weight.fill_(2)
        made.decoder.norm.weight.fill_(3)
        memory = made.encode(random_tokens(2, 4, 0))
        hidden, _ = made.hidden(random_tokens(2, 3, 1), memory=memory)
    for found, size in ((memory, 2.0), (hidden, 3.0)):
        each = found.square().mean(-1).sqrt()
        torch.testing.assert_close(each, torch.full_like(each, size), rtol=1e-3, atol=0)


@pytest.mark.parametrize("stated", ["encoder", "decoder", "both"])
def test_an_additive_position_is_added_in_the_stacks_that_have_it(stated: str) -> None:
    own = {} if stated == "both" else {stated: model.stack(layers=layers(stated == "decoder"), position=SINUSOIDS)}
    made = build(small(**own, **({"position": SINUSOIDS} if stated == "both" else {})), dtype=torch.float64)
    tokens, entered = random_tokens(1, 5, 0), {}
    for name in ("encoder", "decoder"):
        stack = getattr(made, name)
        stack.layers[0].register_forward_pre_hook(lambda _, inputs, name=name: entered.update({name: inputs[0]}))
        assert (stack.position is None) == (stated not in (name, "both"))
    made(tokens, memory=made.encode(tokens))
    for name, embed in (("encoder", made.source_embedding), ("decoder", made.embedding)):
        waves = getattr(made, name).position
        x = embed(tokens)
        expected = x if waves is None else waves.embed(x, torch.arange(5)[None])
        torch.testing.assert_close(entered[name], expected, **EXACT)
        assert waves is None or not torch.equal(expected, x)


def test_a_rotary_position_reaches_the_attentions_of_its_stack_and_no_cross_attention() -> None:
    slow = model.stack(layers=layers(True), position=position.rope(theta=100))
    made = build(small(position=position.rope(), decoder=slow), device="meta")
    assert made.encoder.layers[0].attention.position.theta == 10_000
    assert made.decoder.layers[0].attention.position.theta == 100
    rotating = [name for name, each in made.named_modules() if hasattr(each, "rotate")]
    assert rotating == ["encoder.layers.0.attention.position", "decoder.layers.0.attention.position"]


@component("block:bare", module="tests.builtin.test_encoder_decoder:Bare")
class bare(Config):
    """A block of another plugin, which knows of no encoder."""

    attention: Config = part("attention")


class Bare(nn.Module):
    def __init__(self, config: bare, context: Context) -> None:
        super().__init__()
        self.attention = config.part("attention", context)
        self.state_spec = {"attention": self.attention.state_spec}

    def forward(self, x: Tensor, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        return self.attention(x, step.at("attention")), {}


@pytest.mark.parametrize("reader", [(), layers(True)])
def test_a_block_that_knows_of_no_encoder_mixes_its_own_sequence(reader: tuple[Config, ...]) -> None:
    stack = model.stack(layers=(bare(attention=attention.mha(heads=2)), *reader))
    made = build(small(decoder=stack), dtype=torch.float64)
    assert hasattr(made.decoder.layers[0].attention, "qkv")
    tokens, memory = random_tokens(1, 4, 0), made.encode(random_tokens(1, 3, 0))
    torch.testing.assert_close(
        made(changed(tokens, 0, 3), memory=memory)[:, :3], made(tokens, memory=memory)[:, :3], **CLOSE
    )


@component("mask:even", module="tests.builtin.test_encoder_decoder:Even")
class even(Config):
    """Hides every other key, before and after."""


def test_one_table_is_shared_where_it_says_so() -> None:
    shared = build(small(embedding=embedding.token(shared=True)), device="meta")
    apart = build(small(), device="meta")
    assert shared.source_embedding is None
    assert apart.source_embedding.weight is not apart.embedding.weight


def small(**options: Any) -> Config:
    fields = {"encoder": model.stack(layers=layers(False)), "decoder": model.stack(layers=layers(True)), **options}
    return model.encoder_decoder(dim=8, vocab=VOCAB, context=16, **fields)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (small(decoder=model.stack(layers=layers(False))), "must read what the encoder made; none has cross"),
        (small(encoder=model.stack(layers=layers(True))), "reads what an encoder made, and there is none here"),
        (
            model.decoder(dim=8, vocab=VOCAB, context=16, norm=norm.rms(), layers=layers(True)),
            "reads what an encoder made, and there is none here",
        ),
        (
            model.decoder(
                dim=8,
                vocab=VOCAB,
                context=16,
                norm=norm.rms(),
                layers=layers(False),
                embedding=embedding.token(shared=True),
            ),
            "shared is for a model with two stacks",
        ),
    ],
)
def test_a_memory_without_a_reader_and_a_reader_without_a_memory_are_refused(config: Config, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build(config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": attention.causal()}, "all of it is seen; this mask hides some"),
        ({"mask": attention.sliding(window=2)}, "all of it is seen; this mask hides some"),
        ({"mask": even()}, "all of it is seen; this mask hides some"),
        ({"position": position.rope()}, "so there is nothing to rotate"),
    ],
)
def test_over_a_memory_nothing_is_hidden_and_nothing_rotates(options: dict[str, Any], message: str) -> None:
    (problem,) = attention.mha(heads=2, **options).problems(Context(dim=8, memory=8, causal=False))
    assert message in problem.message


@pytest.mark.parametrize("stateful", [False, True])
def test_a_call_without_a_source_is_refused(stateful: bool) -> None:
    made = translator()
    state = make_state(made, 1, capacity=1) if stateful else None
    with torch.no_grad(), pytest.raises(GenerationError, match=r"pass memory=model\.encode\(source\)"):
        made(torch.zeros(1, 1, dtype=torch.int64), state)


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize(
    ("rows", "counts", "message"),
    [
        (3, None, "memory must have 2 rows, as the tokens have; 3 arrived"),
        (1, None, "memory must have 2 rows, as the tokens have; 1 arrived"),
        (2, [1], "memory_count must have 2 rows, as the tokens have; 1 arrived"),
        (2, [1, 3], r"memory_count goes from (-1|0) to 2 .* \[1, 3\] arrived"),
        (2, [1, -2], r"memory_count goes from (-1|0) to 2 .* \[1, -2\] arrived"),
    ],
)
def test_a_memory_that_does_not_fit_the_call_is_refused_and_changes_nothing(
    stateful: bool, rows: int, counts: list[int] | None, message: str
) -> None:
    made, tokens = translator(), torch.zeros(2, 1, dtype=torch.int64)
    state = make_state(made, 2, capacity=4, memory=3) if stateful else None
    memory = torch.zeros(rows, 2, 8, dtype=torch.float64)
    count = None if counts is None else torch.tensor(counts)
    with torch.no_grad():
        if state is not None:
            state.reserve(1)
        with pytest.raises(GenerationError, match=message):
            made(tokens, state, memory=memory, memory_count=count)
        made(tokens, state, memory=torch.zeros(2, 2, 8, dtype=torch.float64))


def test_without_a_state_no_row_has_a_memory_to_keep() -> None:
    memory = torch.zeros(2, 2, 8, dtype=torch.float64)
    with pytest.raises(GenerationError, match=r"memory_count goes from 0 to 2 .* \[-1, 2\] arrived"):
        translator()(torch.zeros(2, 1, dtype=torch.int64), memory=memory, memory_count=torch.tensor([-1, 2]))


def test_how_much_is_real_of_no_memory_is_refused() -> None:
    made = translator()
    state = make_state(made, 1, capacity=4, memory=3)
    state.reserve(1)
    with torch.no_grad(), pytest.raises(GenerationError, match="memory_count says how much of a memory is real"):
        made(torch.zeros(1, 1, dtype=torch.int64), state, memory_count=torch.tensor([2]))


def test_a_memory_for_which_no_room_was_reserved_changes_nothing() -> None:
    made = translator()
    state = make_state(made, 1, capacity=4, memory=3)
    with torch.no_grad(), pytest.raises(CapacityError, match=r"call state\.reserve first"):
        made(torch.zeros(1, 1, dtype=torch.int64), state, memory=torch.zeros(1, 3, 8, dtype=torch.float64))
    assert state.memory_lengths.tolist() == [0]


def test_a_memory_that_the_state_has_no_room_for_is_refused_and_changes_nothing() -> None:
    made = translator()
    state = make_state(made, 2, capacity=4, memory=3)
    state.reserve(1)
    tokens = torch.zeros(2, 1, dtype=torch.int64)
    with torch.no_grad():
        with pytest.raises(CapacityError, match="a memory of 3 places a row; 4 arrived: make the state with memory=4"):
            made(tokens, state, memory=torch.zeros(2, 4, 8, dtype=torch.float64))
        assert state.memory_lengths.tolist() == [0, 0]
        made(tokens, state)


def test_a_model_that_reads_a_source_is_known_by_its_encoder() -> None:
    assert reads_source(translator())
    assert not reads_source(build(model.decoder(dim=8, vocab=VOCAB, context=16, norm=norm.rms(), layers=layers(False))))
