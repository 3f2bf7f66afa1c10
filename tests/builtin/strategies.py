"""What the laws draw: models of every kind, and tokens for them. Everything is float64 on the CPU."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Config, State, build, walk
from llm_build_plugins import attention, embedding, ffn, head, model, norm, position
from tests.builtin.caches import state_of

VOCAB = 11
CONTEXT = 64

norms = st.sampled_from([norm.rms(), norm.rms(offset=True), norm.layer(), norm.layer(bias=False)])
placements = st.sampled_from([model.pre(), model.post(), model.parallel()])
scalings = st.sampled_from(
    [
        None,
        position.linear(factor=4),
        position.llama3(factor=8, original=16),
        position.yarn(factor=4, original=16),
        position.yarn(factor=4, original=16, mscale_all=1, truncate=False),
    ]
)
ropes = st.builds(position.rope, theta=st.sampled_from([100.0, 10_000.0]), interleaved=st.booleans(), scaling=scalings)
additive = st.builds(position.sinusoidal, theta=st.sampled_from([100.0, 10_000.0])) | st.just(position.learned())
plain_ffns = st.one_of(
    st.builds(ffn.swiglu, hidden=st.integers(1, 9), bias=st.booleans()),
    st.builds(ffn.geglu, hidden=st.integers(1, 9), bias=st.booleans()),
    st.builds(
        ffn.mlp,
        hidden=st.integers(1, 9),
        activation=st.sampled_from([ffn.relu(), ffn.gelu(approximate="tanh"), ffn.silu()]),
        bias=st.booleans(),
    ),
)


@st.composite
def routers(draw: st.DrawFn, experts: int) -> Config:
    """Every router for so many experts, with every option on and off."""
    common = {
        "k": draw(st.integers(1, experts)),
        "bias": draw(st.booleans()),
        "balance": draw(st.sampled_from([0.0, 0.1])),
    }
    kind = draw(st.sampled_from([ffn.topk_softmax, ffn.softmax_topk, ffn.sigmoid_groups]))
    if kind is ffn.softmax_topk:
        return kind(normalise=draw(st.booleans()), **common)
    return kind(**common, **(draw(grouped(experts, common["k"])) if kind is ffn.sigmoid_groups else {}))


@st.composite
def grouped(draw: st.DrawFn, experts: int, k: int) -> dict[str, float]:
    """Equal groups of experts, as few of them kept as hold k."""
    groups = draw(st.sampled_from([each for each in range(1, experts + 1) if experts % each == 0]))
    keep = draw(st.integers(-(-k * groups // experts), groups))
    return {"groups": groups, "keep": keep, "scale": draw(st.sampled_from([1.0, 2.5]))}


@st.composite
def moes(draw: st.DrawFn, expert: st.SearchStrategy[Config] = plain_ffns) -> Config:
    """Mixtures of one to five experts, with and without a shared one."""
    experts = draw(st.integers(1, 5))
    router = draw(routers(experts))
    return ffn.moe(experts=experts, router=router, expert=draw(expert), shared=draw(st.none() | plain_ffns))


ffns = plain_ffns | moes()
masks = st.none() | st.builds(attention.sliding, window=st.integers(1, 5))


@st.composite
def attentions(draw: st.DrawFn, masks: st.SearchStrategy[Config | None] = masks) -> Config:
    """Multi-head, multi-query and grouped-query attention with every option on and off."""
    mask = draw(masks)
    common = ({} if mask is None else {"mask": mask}) | {
        "head_dim": draw(st.sampled_from([2, 4, 6])),
        "bias": draw(st.booleans()),
        "sinks": draw(st.booleans()),
        "softcap": draw(st.sampled_from([None, None, 2.0])),
        "qk_norm": draw(st.none() | norms),
    }
    kv_heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    if kv_heads == 1 and draw(st.booleans()):
        return attention.mqa(heads=group, **common)
    if group == 1 and draw(st.booleans()):
        return attention.mha(heads=kv_heads, **common)
    return attention.gqa(heads=kv_heads * group, kv_heads=kv_heads, **common)


@st.composite
def latents(draw: st.DrawFn) -> Config:
    """Multi-head latent attention, with narrow latents and wide ones: those are absorbed, these expanded."""
    mask = draw(masks)
    return attention.mla(
        heads=draw(st.integers(1, 3)),
        q_rank=draw(st.none() | st.integers(1, 4)),
        kv_rank=draw(st.integers(1, 6)),
        nope=draw(st.integers(1, 3)),
        rope=draw(st.sampled_from([2, 4])),
        v=draw(st.integers(1, 3)),
        norm=draw(norms),
        **({} if mask is None else {"mask": mask}),
    )


@st.composite
def recurrences(draw: st.DrawFn) -> Config:
    """The gated delta rule with heads of all widths."""
    heads = draw(st.integers(1, 2))
    return attention.gated_delta(
        heads=heads,
        value_heads=heads * draw(st.integers(1, 2)),
        head_dim=draw(st.integers(1, 3)),
        value_dim=draw(st.integers(2, 3)),
        conv=draw(st.integers(2, 4)),
        norm=draw(norms),
    )


def mixers() -> st.SearchStrategy[Config]:
    """All that mixes a sequence of its own and sees nothing of what comes after."""
    return attentions() | latents() | recurrences()


blocks = st.builds(
    model.block,
    placement=placements,
    norm=norms,
    attention=mixers(),
    ffn=ffns,
)


@st.composite
def decoders(draw: st.DrawFn) -> Config:
    """A decoder of one to three unlike blocks, with weights large enough for every part to matter."""
    return model.decoder(
        dim=draw(st.integers(2, 9)),
        vocab=VOCAB,
        context=CONTEXT,
        position=draw(st.none() | ropes | additive),
        layers=tuple(draw(st.lists(blocks, min_size=1, max_size=3))),
        norm=draw(norms),
        head=draw(st.sampled_from([head.linear(), head.linear(tie=True), head.linear(bias=True, scale=0.5)])),
        initialiser=model.normal(std=0.7, residual=False),
    )


@st.composite
def encoder_decoders(draw: st.DrawFn) -> Config:
    """An encoder–decoder of one or two layers a stack; some of the decoder's read the source, one at least."""
    shared = {"placement": draw(placements), "norm": draw(norms)}
    encoder = [
        model.block(attention=draw(attentions() | latents()), ffn=draw(plain_ffns), **shared)
        for _ in range(draw(st.integers(1, 2)))
    ]
    first = model.block(attention=draw(mixers()), cross=draw(attentions(st.none())), ffn=draw(plain_ffns), **shared)
    decoder = [
        first,
        *([model.block(attention=draw(mixers()), ffn=draw(plain_ffns), **shared)] if draw(st.booleans()) else []),
    ]
    return model.encoder_decoder(
        dim=draw(st.integers(2, 9)),
        vocab=VOCAB,
        context=CONTEXT,
        position=draw(st.none() | ropes | additive),
        embedding=embedding.token(shared=draw(st.booleans())),
        encoder=model.stack(layers=tuple(encoder), norm=draw(st.none() | norms)),
        decoder=model.stack(layers=tuple(decoder), norm=draw(st.none() | norms)),
        head=draw(st.sampled_from([head.linear(), head.linear(tie=True)])),
        initialiser=model.normal(std=0.7, residual=False),
    )


@attrs.frozen
class Case:
    """A model in evaluation mode and tokens [B, T] for it."""

    config: Config
    model: Any
    tokens: Tensor

    @property
    def rows(self) -> int:
        return self.tokens.shape[0]

    @property
    def length(self) -> int:
        return self.tokens.shape[1]


def random_tokens(rows: int, length: int, seed: int) -> Tensor:
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


@st.composite
def cases(draw: st.DrawFn, max_length: int = 8) -> Case:
    config = draw(decoders())
    rows, length, seed = draw(st.integers(1, 3)), draw(st.integers(1, max_length)), draw(st.integers(0, 2**16))
    made = build(config, dtype=torch.float64, seed=seed).eval()
    return Case(config, made, random_tokens(rows, length, seed))


def exact(case: Case) -> dict[str, float]:
    """Tolerances: bit for bit, but where an expert's product takes more rows or fewer as other tokens choose it."""
    mixed = any(isinstance(each, ffn.moe) for each in walk(case.config))
    return {"rtol": 1e-10, "atol": 1e-11} if mixed else {"rtol": 0, "atol": 0}


def changed(tokens: Tensor, *where: Any) -> Tensor:
    """The same tokens with another one at each of the places `where`."""
    other = tokens.clone()
    other[where] = (other[where] + 1) % VOCAB
    return other


def feed(case: Case, state: State, tokens: Tensor, counts: list[int]) -> Tensor:
    """One call on a state: row b appends the first counts[b] of tokens [B, T]."""
    state.reserve(counts)
    with torch.no_grad():
        logits: Tensor = case.model(tokens, state, count=torch.tensor(counts))
    return logits


def fresh(case: Case, capacity: int | None = None, cache: str | None = None, max_step: int | None = None) -> State:
    """An empty state for a case: as long as its texts, and taking them in one call, unless told otherwise."""
    capacity = capacity or case.length
    return state_of(case.model, case.rows, cache, capacity=capacity, max_step=max_step or capacity)
