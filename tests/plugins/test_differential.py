"""Differential attention, a plugin that never speaks of a cache: what it computes, and that it decodes all the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from acme_differential.config import differential
from llm_build import Config, Context, Step, build
from llm_build.conformance import conformance
from llm_build_plugins import ffn, model, norm, position
from tests.builtin.caches import caches, full_pass
from tests.builtin.machine import Machine, run
from tests.builtin.strategies import CONTEXT, VOCAB, Case, changed, feed, fresh, norms, plain_ffns, random_tokens, ropes
from tests.builtin.strategies import attentions as built_in_attentions
from tests.laws import law
from tests.packages import build_wheel, install
from tests.processes import ROOT, finished, llm_build, python
from tests.small import spec_text, write_texts

PROJECT = ROOT / "tests" / "plugins" / "acme_differential"
DIM = 6
CLOSE = {"rtol": 1e-10, "atol": 1e-11}

attentions = st.builds(
    differential,
    heads=st.integers(1, 3),
    head_dim=st.sampled_from([2, 4]),
    lambda_init=st.sampled_from([0.2, 0.8]),
    window=st.none() | st.integers(1, 5),
)


test_it_conforms = conformance(differential)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A decoder with differential attention in one layer at least, and tokens for it."""
    mixers = [draw(attentions), *draw(st.lists(attentions | built_in_attentions(), max_size=2))]
    config = model.decoder(
        dim=draw(st.integers(2, 9)),
        vocab=VOCAB,
        context=CONTEXT,
        position=draw(st.none() | ropes),
        layers=tuple(model.block(norm=draw(norms), attention=each, ffn=draw(plain_ffns)) for each in mixers),
        norm=draw(norms),
        initialiser=model.normal(std=0.7, residual=False),
    )
    seed, rows, length = draw(st.integers(0, 2**16)), draw(st.integers(1, 3)), draw(st.integers(1, 8))
    return Case(config, build(config, dtype=torch.float64, seed=seed).eval(), random_tokens(rows, length, seed))


def by_hand(module: Any, config: Config, x: Tensor, rotary: nn.Module | None) -> Tensor:
    """x [T, D] → [T, D]: equations 1 to 3 of the paper, head by head and query by query."""
    length, width, projected = len(x), config.head_dim, []
    for each in (module.q, module.k):
        heads = (x @ each.weight.T).view(1, length, 2 * config.heads, width)
        projected.append(heads if rotary is None else rotary.rotate(heads, torch.arange(length)[None]))
    q, k = (each[0].view(length, config.heads, 2, width) for each in projected)
    v = (x @ module.v.weight.T).view(length, config.heads, 2 * width)
    scale = (module.q1 @ module.k1).exp() - (module.q2 @ module.k2).exp() + config.lambda_init
    rows = []
    for t in range(length):
        seen = slice(0 if config.window is None else max(0, t + 1 - config.window), t + 1)
        heads = []
        for head in range(config.heads):
            first, second = (torch.softmax(k[seen, head, i] @ q[t, head, i] / math.sqrt(width), 0) for i in (0, 1))
            mixed = (first - scale * second) @ v[seen, head]
            normed = mixed / (mixed.square().mean() + 1e-5).sqrt() * module.norm.weight
            heads.append((1 - config.lambda_init) * normed)
        rows.append(module.out.weight @ torch.cat(heads))
    return torch.stack(rows)


@law
@given(attentions, st.booleans(), st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**16))
def test_it_is_the_equations_of_the_paper(config: Config, rotates: bool, rows: int, length: int, seed: int) -> None:
    context = Context(dim=DIM, position=position.rope() if rotates else None)
    module = build(config, context=context, dtype=torch.float64, seed=seed)
    nn.init.uniform_(module.norm.weight, 0.5, 1.5)
    x = torch.randn(rows, length, DIM, dtype=torch.float64)
    out = module(x, Step.begin(torch.zeros(rows, length, dtype=torch.int64)))
    for row in range(rows):
        expected = by_hand(module, config, x[row], module.position)
        torch.testing.assert_close(out[row], expected, rtol=1e-9, atol=1e-10)


@law
@given(cache=caches, case=cases(), data=st.data())
def test_pieces_of_any_length_on_every_cache_equal_the_full_pass(cache: str, case: Case, data: st.DataObject) -> None:
    full, done, most = full_pass(case.model, case.tokens, cache), 0, data.draw(st.integers(1, case.length))
    state = fresh(case, None, cache, most)
    while done < case.length:
        width = data.draw(st.integers(1, min(most, case.length - done)))
        found = feed(case, state, case.tokens[:, done : done + width], [width] * case.rows)
        torch.testing.assert_close(found, full[:, done : done + width], **CLOSE)
        done += width


@law
@given(cache=caches, case=cases(), data=st.data())
def test_rows_in_any_schedule_equal_themselves_alone(cache: str, case: Case, data: st.DataObject) -> None:
    run(Machine(case.model, case.rows, VOCAB, cache=cache), data, calls=4)


@law
@given(cases(), st.data())
def test_a_change_never_moves_what_came_before(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, case.length - 1))
    before, after = case.model(case.tokens), case.model(changed(case.tokens, slice(None), place))
    torch.testing.assert_close(before[:, :place], after[:, :place], rtol=0, atol=0)


def test_what_writes_into_the_residual_stream_is_drawn_smaller() -> None:
    layers = 18 * model.block(norm=norm.rms(), attention=differential(heads=2), ffn=ffn.mlp())
    made = build(model.decoder(dim=64, vocab=VOCAB, context=CONTEXT, norm=norm.rms(), layers=layers))
    mixer = made.layers[0].attention
    assert mixer.out.weight.std().item() / mixer.v.weight.std().item() == pytest.approx(1 / 6, rel=0.1)


def test_it_keeps_two_keys_and_one_value_a_head() -> None:
    module = build(differential(heads=3), context=Context(dim=24), device="meta")
    assert {name: each.shape for name, each in module.state_spec.items()} == {"k": (6, 4), "v": (3, 8)}


@pytest.mark.parametrize(
    ("config", "context", "message"),
    [
        (differential(heads=4), Context(dim=12), "2 · heads must divide dim = 12; 2 · 4 arrived"),
        (differential(heads=1), Context(dim=12, memory=8), "mixes its own sequence; here a memory is to be read"),
        (
            differential(heads=1),
            Context(dim=12, position=position.learned(), context=8),
            "takes a position that rotates queries and keys; this one does not",
        ),
    ],
)
def test_a_faulty_config_is_refused(config: Config, context: Context, message: str) -> None:
    (problem,) = config.problems(context)
    assert message in problem.message


# --- as it is installed ---


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("differential")
    return install(folder / "installed", build_wheel(PROJECT, folder / "wheel"))


def spec_with_it(folder: Path, train: str = "clip = 1.0") -> Path:
    text = spec_text(write_texts(folder / "data"), length="steps = 12, batch = 4", train=train)
    spec = folder / "spec.llm"
    attention = "acme.differential { heads = 2, window = 12 }"
    spec.write_text(text.replace("gqa { heads = 4, kv_heads = 2 }", attention), encoding="utf-8")
    return spec


def test_a_spec_names_it_and_no_torch_comes_in(plugins: Path, tmp_path: Path) -> None:
    spec = spec_with_it(tmp_path)
    assert finished(llm_build("check", spec, PYTHONPATH=plugins)) == f"{spec}: fine\n"
    program = f"import sys; from llm_build import load; load({str(spec)!r}); print('torch' in sys.modules)"
    assert python(program, PYTHONPATH=plugins) == "False\n"


@pytest.mark.slow
def test_a_spec_with_it_trains_and_writes(plugins: Path, tmp_path: Path) -> None:
    spec, run = spec_with_it(tmp_path), tmp_path / "run"
    finished(llm_build("train", spec, "--out", run, "--quiet", "--device", "cpu", PYTHONPATH=plugins))
    losses = python(LOSSES.format(metrics=str(run / "metrics.jsonl")))
    first, last = map(float, losses.split())
    assert last < first - 0.1
    written = finished(llm_build("generate", run, "--prompt", "one ", "--max-new", "8", PYTHONPATH=plugins))
    assert "one " in written


LOSSES = """
import json
lines = [json.loads(line) for line in open({metrics!r})]
losses = [line["loss"] for line in lines if "loss" in line]
print(losses[0], losses[-1])
"""
