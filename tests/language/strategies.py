"""Drawn configs of every built-in of the model, with fields stated and left out at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from llm_build import Config, Share, Spec
from llm_build_plugins import attention, data, embedding, ffn, generate, head, model, norm, position, tokenizer, train

floats = st.floats(min_value=1e-9, max_value=0.999, allow_nan=False)
names = st.text(min_size=1, max_size=8).filter(lambda each: each.encode(errors="replace").decode() == each)
paths = names.filter(lambda each: "\\" not in each)


def made(cls: type[Config], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Configs of a class: each field is stated with a drawn value, or left out."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda stated: cls(**stated))


def always(cls: type[Config], required: dict[str, Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=fields).map(lambda stated: cls(**stated))


norms = st.one_of(made(norm.rms, eps=floats, offset=st.booleans()), made(norm.layer, eps=floats, bias=st.booleans()))
ropes = st.none() | made(position.rope, theta=st.integers(2, 10**7).map(float), interleaved=st.booleans())
attentions = st.one_of(
    always(
        attention.gqa,
        {"heads": st.just(4)},
        kv_heads=st.sampled_from([1, 2, 4]),
        bias=st.booleans(),
        position=ropes,
        qk_norm=st.none() | norms,
        softcap=st.none() | floats,
        dropout=floats,
    ),
    always(attention.mha, {"heads": st.sampled_from([1, 2, 4])}, scale=floats),
    always(attention.mqa, {"heads": st.sampled_from([1, 2, 4])}, sinks=st.booleans()),
)
ffns = st.one_of(
    made(ffn.swiglu, hidden=st.integers(1, 64), bias=st.booleans()),
    made(ffn.mlp, activation=st.sampled_from([ffn.relu(), ffn.gelu(), ffn.gelu(approximate="tanh")])),
)
blocks = always(
    model.block,
    {"attention": attentions, "ffn": ffns},
    placement=st.sampled_from([model.pre(), model.post()]),
    norm=norms,
    share=st.none(),
)
layer_lists = st.lists(blocks, min_size=1, max_size=3).flatmap(
    lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=12).map(tuple)
)
decoders = always(
    model.decoder,
    {
        "dim": st.sampled_from([16, 32]),
        "context": st.integers(1, 2**20),
        "layers": layer_lists,
        "norm": norms,
        "vocab": st.integers(1_000, 2**20),
    },
    dropout=floats,
    position=ropes,
    embedding=made(embedding.token, scale=floats),
    head=made(head.linear, tie=st.booleans(), bias=st.booleans()),
)
trainers = always(
    train.pretrain,
    {"steps": st.integers(1, 10**12), "batch": st.just(8)},
    clip=st.none() | floats,
    eval_every=st.integers(1, 100) | st.fractions(min_value="1/1000", max_value=1, max_denominator=1000).map(Share),
    optimizer=always(train.adamw, {"lr": floats}, betas=st.tuples(floats, floats), decay=floats),
    schedule=made(train.warmup_cosine, warmup=st.integers(0, 100) | st.integers(0, 100).map(Share.percent)),
)
specs = always(
    Spec,
    {"model": decoders},
    tokenizer=always(tokenizer.bpe, {"vocab": st.integers(300, 900)}, special=st.lists(names, unique=True, max_size=3)),
    data=st.none() | always(data.files, {"paths": st.lists(paths, min_size=1, max_size=3)}),
    train=trainers,
    generate=made(generate.decode, max_new=st.integers(1, 10**6)),
)
