"""`llm-build bench`: its figures against clocks and counts, what it refuses, and which kernels it sees."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from llm_build import Context, GenerationError, Piece, build, load
from llm_build.bench import Shape, bench, memory, shapes
from llm_build.bench.cells import Bench, write
from llm_build.bench.clock import Spread, compiling, now
from llm_build.bench.kernels import attending
from llm_build.bench.numbers import Numbers
from llm_build.bench.passes import Passes
from llm_build.cli import main
from llm_build.resolve import resolve
from llm_build.run import Compute
from tests.processes import ROOT
from tests.runs import make_run

SPEC = """llm 1
model = decoder {{
  dim = 16, vocab = 40, context = {context}, dropout = {dropout}, norm = rms
  layers = 2 * block {{ attention = gqa {{ heads = 4, kv_heads = 2{attention} }}, ffn = swiglu {{ hidden = 24 }} }}
}}
{more}
"""
CPU = Compute.choose("cpu", "float32")
SHAPE = Shape(prompt=4, new=3, batch=2)


@pytest.fixture(autouse=True)
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of the memory is not what these tests are about."""
    monkeypatch.setattr(memory, "COPIED", 2**16)


def spec_of(attention: str = "", more: str = "", context: int = 16, dropout: float = 0) -> Any:
    text = SPEC.format(attention=attention, more=more, context=context, dropout=dropout)
    return resolve(load(text), Context())


def spec_file(folder: Path, **options: Any) -> Path:
    file = folder / "spec.llm"
    given = {"attention": "", "more": "", "context": 16, "dropout": 0, **options}
    file.write_text(SPEC.format(**given), encoding="utf-8")
    return file


def say(*words: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(["bench", *map(str, words), "--device", "cpu", "--dtype", "float32"])
    return int(done.value.code or 0)


SMALL = ("--prompt", "4", "--new", "3")


def test_json_has_every_figure_of_every_shape(tmp_path: Path, capsys: Any) -> None:
    words = ("--prompt", "3,5", "--new", "3", "--batch", "1,2", "--json", "-q")
    assert say(spec_file(tmp_path), *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["generator"], found["quantizer"]) == ("model:decoder", "generator:decode", None)
    assert found["parameters"] == sum(each.numel() for each in build(spec_of()).parameters())
    assert {"processor", "torch", "llm_build", "python", "device", "dtype", "threads", "seed"} == set(found["machine"])
    asked = [(each["prompt"], each["new"], each["batch"]) for each in found["cells"]]
    assert asked == [(3, 3, 1), (3, 3, 2), (5, 3, 1), (5, 3, 2)]
    for cell in found["cells"]:
        for name in ("prefill", "decode", "first_token"):
            assert 0 < cell[name]["low"] <= cell[name]["median"] <= cell[name]["high"]
        assert cell["compile"] == 0
        assert cell["warm_up"] >= 0
        assert cell["peak_memory"] > 2**20
        a_token = cell["bytes_a_token"]
        for name in ("weights", "state"):
            assert a_token[name] == pytest.approx(sum(each["count"] * each[name] for each in a_token["parts"]))
        assert cell["limit"] == pytest.approx(found["memory_rate"]["median"] / (a_token["weights"] + a_token["state"]))
        assert cell["fraction"] == pytest.approx(cell["decode"]["median"] / cell["limit"])
        assert [each["mixer"] for each in cell["attention"]] == ["layers.0.attention", "layers.1.attention"]


def test_a_batch_shares_the_weights_and_keeps_its_own_state(tmp_path: Path, capsys: Any) -> None:
    assert say(spec_file(tmp_path), *SMALL, "--batch", "1,2", "--json", "-q") == 0
    one, two = (each["bytes_a_token"] for each in json.loads(capsys.readouterr().out)["cells"])
    row = 16 * 4  # of the embedding: each text looks up its own
    assert two["weights"] - row == pytest.approx((one["weights"] - row) / 2)
    tokens = (5 + 6) / 2  # in use at the two steps behind the first token
    assert two["state"] == one["state"] == 2 * tokens * 2 * 2 * 4 * 4


def test_the_table_names_what_a_person_asks_for(tmp_path: Path, capsys: Any) -> None:
    assert say(spec_file(tmp_path), *SMALL) == 0
    said = capsys.readouterr().out
    for expected in (
        "GB/s",
        "decode tokens/s",
        "reached",
        "attention of 2 mixers",
        "bytes a token: weights",
        "layers.0-1",
    ):
        assert expected in said
    assert say(spec_file(tmp_path), *SMALL, "-q") == 0
    assert "layers.0" not in capsys.readouterr().out


def test_a_run_is_measured_with_its_own_weights(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", {3: 1.0})
    monkeypatch.setattr("llm_build.bench.measuring.build", None)  # what draws random ones
    assert say(run, *SMALL, "--json", "-q") == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(run)


def test_a_quantiser_is_counted_and_used(tmp_path: Path, capsys: Any) -> None:
    file = spec_file(tmp_path, more="generate = decode { sampler = greedy }")
    cells = []
    for words in ((), ("--set", "generate.quantizer=int8")):
        assert say(file, *SMALL, *words, "--json", "-q") == 0
        cells.append(json.loads(capsys.readouterr().out))
    assert [each["quantizer"] for each in cells] == [None, "quantizer:int8"]
    assert cells[0]["parameters"] == cells[1]["parameters"]
    plain, less = (each["cells"][0]["bytes_a_token"]["weights"] for each in cells)
    assert less < 0.4 * plain


def test_what_a_cache_codes_counts_as_it_is_stored(tmp_path: Path, capsys: Any) -> None:
    file, state = spec_file(tmp_path, more="generate = decode { sampler = greedy }"), []
    for codec in ("raw", "int8"):
        assert say(file, *SMALL, "--set", f"generate.cache.codec={codec}", "--json", "-q") == 0
        state.append(json.loads(capsys.readouterr().out)["cells"][0]["bytes_a_token"]["state"])
    assert state[1] == state[0] / (4 * 4) * (4 + 4)  # heads of 4 numbers: a byte each, and a scale


@pytest.mark.parametrize("spec", ["translation", "experts"])
def test_other_kinds_of_models_are_measured(spec: str, capsys: Any) -> None:
    assert say(ROOT / "tests" / "specs" / f"{spec}.llm", *SMALL, "--batch", "2") == 0
    assert "decode tokens/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--prompt", "1"), 2, "takes whole numbers of at least 2, as 128,1024; '1' arrived"),
        (("--batch", "1,x"), 2, "takes whole numbers of at least 1, as 128,1024; '1,x' arrived"),
        (("--new", str(2**40)), 2, "takes whole numbers of at least 2"),
        (("--prompt", "12", "--new", "8"), 1, "must fit into the model's context of 16; they are 20"),
        (("--plot", "figures.txt"), 1, "a plot ends in .png, .pdf, .svg; figures.txt arrived: write figures.png"),
        (("--plot", "nowhere/figures.png"), 1, "a plot is written into a folder that exists; nowhere is none"),
        (("--set", "model.vocab=default"), 1, "vocab"),
    ],
)
def test_what_cannot_be_measured_is_named(
    words: tuple[str, ...], code: int, message: str, tmp_path: Path, capsys: Any
) -> None:
    assert say(spec_file(tmp_path), *words) == code
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_without_matplotlib_the_pip_line_is_shown(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert say(spec_file(tmp_path), *SMALL, "--plot", tmp_path / "a.png") == 1
    assert 'pip install "llm-build[plot]"' in capsys.readouterr().err


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "figures.svg"
    assert say(spec_file(tmp_path), "--prompt", "3,5", "--new", "3", "--batch", "1,2", "--plot", file, "-q") == 0
    assert file.read_text(encoding="utf-8").count("<svg") == 1


def test_what_does_not_fit_is_refused_with_the_figures_and_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(context=2**20)
    monkeypatch.setattr("llm_build.bench.measuring.memory_rate", None)
    monkeypatch.setattr("llm_build.bench.measuring.build", None)
    monkeypatch.setattr(memory, "memory_of", lambda _: 2**30)
    big = Shape(prompt=2**18, new=2**18, batch=64)
    with pytest.raises(
        GenerationError, match=r"64 prompts of 262_144 tokens .* take [\d_.]+ GiB \(weights 0\.0, state 4\.0"
    ):
        bench(spec, [SHAPE, big], CPU)


def test_what_is_needed_is_weights_state_and_activations() -> None:
    spec, shape = spec_of(context=256), Shape(prompt=128, new=64, batch=8)
    needed = memory._rehearsed(spec, CPU, shape, "dense")
    weights = sum(each.nbytes for each in build(spec).parameters())
    state = 2 * 8 * (128 + 64) * 2 * 2 * 4 * 4
    activations = 8 * 128 * 2 * 24 * 4  # both halves of SwiGLU
    assert needed is not None
    assert weights + state + activations < needed < 8 * (weights + state + activations)


def test_dropout_takes_nothing_of_what_is_needed_to_write() -> None:
    shape = Shape(prompt=128, new=2, batch=1)
    needed = [memory._rehearsed(spec_of(context=256, dropout=each), CPU, shape, "dense") for each in (0, 0.5)]
    assert needed[0] == needed[1]


class Scripted:
    """A generator that waits before its first step and between steps, and writes one token after another."""

    prompt = ""

    def __init__(self, before: float, between: float) -> None:
        self.before, self.between = before, between

    def generate(
        self, model: Any, tokenizer: Any, prompts: Any, *, max_new: int | None = None, seed: int = 0
    ) -> Iterator[Piece]:
        time.sleep(self.before)
        for step in range(max_new or 0):
            time.sleep(self.between if step else 0)
            yield from (Piece(row=row, text="1 ", token=1) for row in range(len(prompts)))
        yield from (Piece(row=row, text="", finish="length") for row in range(len(prompts)))


def scripted(before: float, between: float, new: int) -> Any:
    model: Any = nn.Identity()
    model.vocab = 10
    made = Bench(model=model, config=spec_of().model, generator=Scripted(before, between), compute=CPU, rate=1.0)
    return write(made, Numbers(model), ["1", "1", "1"], new)


def test_decode_is_timed_from_each_text_s_first_token_on() -> None:
    found = scripted(0.6, 0.01, new=5)
    assert found.first >= 0.6
    assert 30 < found.rate <= 3 / 0.01  # three rows a step; with the first step it would be below 25
    assert found.whole >= 0.64


def test_a_generator_that_writes_one_token_has_no_speed() -> None:
    with pytest.raises(GenerationError, match="must write a second token"):
        scripted(0, 0, new=1)


def test_every_combination_is_a_shape_and_each_stands_once() -> None:
    found = shapes([8, 4, 8], [2], [1, 16])
    assert [(each.prompt, each.batch) for each in found] == [(4, 1), (4, 16), (8, 1), (8, 16)]


def test_the_median_and_the_spread_are_those_of_the_repeats() -> None:
    found = Spread.of([3.0, 1.0, 5.0, 2.0, 4.0])
    assert found.as_json() == {"median": 3.0, "low": 1.0, "high": 5.0}


@pytest.mark.slow
def test_what_torch_compiles_is_timed_and_nothing_else() -> None:
    with compiling() as taken:
        torch.ones(2).sin()
        assert taken() == 0
        begun = now(CPU.device)
        torch.compile(torch.sin, backend="eager")(torch.ones(2))
        assert 0 < taken() < now(CPU.device) - begun


def taken_by(attention: str = "", backend: SDPBackend | None = None) -> Any:
    spec = spec_of(attention)
    model = build(spec).eval()
    passes = Passes(model, SHAPE, CPU)
    if backend is None:
        first, *_ = attending(model, passes)
    else:
        with sdpa_kernel(backend):
            first, *_ = attending(model, passes)
    return first


def test_the_kernel_and_the_backend_of_each_mixer_are_seen() -> None:
    found = taken_by()
    assert found.mixer == "layers.0.attention"
    assert [str(each) for each in (*found.prefill, *found.decode)] == ["masked (flash)"] * 2
    assert not found.decode[0].slow


def test_a_slow_kernel_is_said_to_be_and_why() -> None:
    (kernel,) = taken_by(", softcap = 5").decode
    assert (kernel.name, kernel.why, kernel.slow, kernel.backend) == ("eager", "SDPA has no softcap", True, "")


def test_the_math_path_is_never_taken_in_silence() -> None:
    (kernel,) = taken_by(backend=SDPBackend.MATH).decode
    assert (str(kernel), kernel.slow) == ("masked (math)", True)


def test_a_source_model_s_encoder_attends_in_prefill_alone() -> None:
    spec: Any = resolve(load(ROOT / "tests" / "specs" / "translation.llm"), Context())
    model = build(spec).eval()
    found = {each.mixer: each for each in attending(model, Passes(model, SHAPE, CPU))}
    assert found["encoder.layers.0.attention"].prefill
    assert not found["encoder.layers.0.attention"].decode
    assert found["decoder.layers.0.cross"].decode


def test_hooks_are_gone_behind_the_look() -> None:
    model = build(spec_of()).eval()
    attending(model, Passes(model, SHAPE, CPU))
    assert not [each for each in model.modules() if each._forward_hooks or each._forward_pre_hooks]
