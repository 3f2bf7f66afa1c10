"""Drawn configs of nearly every built-in, with fields stated and left out at random."""

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


windows = st.builds(attention.sliding, window=st.integers(1, 2**20))
warmups = st.integers(0, 100) | st.integers(0, 100).map(Share.percent)
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
        mask=windows | st.just(attention.causal()),
    ),
    always(attention.mha, {"heads": st.sampled_from([1, 2, 4])}, scale=floats),
    always(attention.mqa, {"heads": st.sampled_from([1, 2, 4])}, sinks=st.booleans()),
)
ffns = st.one_of(
    made(ffn.swiglu, hidden=st.integers(1, 64), bias=st.booleans()),
    made(ffn.geglu, hidden=st.integers(1, 64)),
    made(ffn.mlp, activation=st.sampled_from([ffn.relu(), ffn.gelu(), ffn.gelu(approximate="tanh")])),
)
routers = st.one_of(
    always(ffn.topk_softmax, {"k": st.integers(1, 4)}, balance=floats, bias=st.booleans()),
    always(ffn.softmax_topk, {"k": st.integers(1, 4)}, normalise=st.booleans()),
)
ffns |= always(ffn.moe, {"experts": st.integers(4, 9), "router": routers, "expert": ffns}, shared=st.none() | ffns)


def stacked(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Config, ...]]:
    """Layers of one to three kinds of block."""
    blocks = always(
        model.block,
        {"attention": attentions, "ffn": ffns, **more},
        placement=st.sampled_from([model.pre(), model.post()]),
        norm=norms,
        share=st.none(),
        checkpoint=st.booleans(),
    )
    return st.lists(blocks, min_size=1, max_size=3).flatmap(
        lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=12).map(tuple)
    )


decoders = always(
    model.decoder,
    {
        "dim": st.sampled_from([16, 32]),
        "context": st.integers(1, 2**20),
        "layers": stacked(),
        "norm": norms,
        "vocab": st.integers(1_000, 2**20),
    },
    dropout=floats,
    position=ropes | st.sampled_from([position.learned(), position.sinusoidal()]),
    embedding=made(embedding.token, scale=floats),
    head=made(head.linear, tie=st.booleans(), bias=st.booleans()),
)
readers = always(
    model.encoder_decoder,
    {
        "dim": st.sampled_from([16, 32]),
        "context": st.integers(1, 2**20),
        "encoder": always(
            model.stack, {"layers": st.just(model.block(attention=attention.mha(heads=4), ffn=ffn.mlp()))}
        ),
        "decoder": always(
            model.stack, {"layers": stacked(cross=st.just(attention.mha(heads=4)))}, norm=st.none() | norms
        ),
        "vocab": st.integers(1_000, 2**20),
    },
    embedding=made(embedding.token, shared=st.booleans()),
    position=ropes | st.just(position.sinusoidal(theta=100)),
)
optimizers = st.one_of(
    always(train.adamw, {"lr": floats}, betas=st.tuples(floats, floats), decay=floats),
    made(train.sgd, lr=floats, decay=floats),
    made(train.adafactor, lr=floats),
    made(train.lion, lr=floats),
    made(train.muon, lr=floats, others=st.builds(train.lion, lr=floats)),
)
schedules = st.one_of(
    *(made(each, warmup=warmups) for each in (train.warmup_cosine, train.linear, train.constant)),
    made(train.inverse_sqrt, start=st.integers(0, 100).map(Share.percent)),
    made(train.wsd, floor=st.integers(0, 100).map(Share.percent)),
)
trainers = always(
    train.pretrain,
    {"steps": st.integers(1, 10**12), "batch": st.just(8)},
    clip=st.none() | floats,
    eval_every=st.integers(1, 100) | st.fractions(min_value="1/1000", max_value=1, max_denominator=1000).map(Share),
    objective=made(train.next_token, smoothing=floats, z_loss=floats),
    optimizer=optimizers,
    schedule=schedules,
)
tokenizers = st.one_of(
    always(tokenizer.bpe, {"vocab": st.integers(300, 900)}, prefix_space=st.booleans()),
    always(tokenizer.wordpiece, {"vocab": st.integers(300, 900)}, lowercase=st.booleans()),
)
texts = st.one_of(
    always(data.files, {"paths": st.lists(paths, min_size=1, max_size=3)}),
    always(data.gutenberg, {"books": st.lists(st.integers(1, 10**6), min_size=1, max_size=3, unique=True)}),
)
texts |= st.lists(texts, min_size=1, max_size=3).map(lambda each: data.mixture(of=tuple(each)))
pairs = always(data.pairs, {"paths": st.lists(paths, min_size=1, max_size=3)}, seed=st.integers(0, 9))


def whole(models: st.SearchStrategy[Config], sources: st.SearchStrategy[Config]) -> st.SearchStrategy[Any]:
    return always(
        Spec,
        {"model": models},
        tokenizer=tokenizers,
        data=st.none() | sources,
        train=trainers,
        generate=made(generate.decode, max_new=st.integers(1, 10**6), capture=st.booleans()),
    )


specs = whole(decoders, texts) | whole(readers, pairs)
