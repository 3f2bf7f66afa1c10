"""What `summary` says that training takes, against the peak of training as it really runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from llm_build import Config, Context, choice, component, load, train
from llm_build.cli import main
from llm_build.cost import repeats
from llm_build.cost.unmeasured import Unmeasured
from llm_build.resolve import resolve
from llm_build.run import Compute, TrainingMemory, training_memory
from tests.processes import QUICKSTART, ROOT, finished, llm_build
from tests.small import small_tokenizer

CLOSE = 0.1
WORDS = ("one", "two", "three", "def", "return", "class", "self")
LETTERS = "abcdefghijklmnop"
SPEC = """llm 1
tokenizer = bpe {{ vocab = 300 }}
model = decoder {{
  dim = {dim}, context = {context}, dropout = {dropout}, position = rope, norm = rms
  layers = {layers} * block {{
    norm = rms, checkpoint = {checkpoint}
    attention = gqa {{ heads = 4, kv_heads = 2{attention} }}
    ffn = {ffn}
  }}
}}
data = files {{ paths = ["{texts}/*.txt"], held_out = 20% }}
train = pretrain {{ steps = {steps}, {train} }}
"""
SWIGLU = "swiglu {{ hidden = {} }}"
MOE = """moe {{
      experts = 8, router = topk_softmax {{ k = 3, bias = true }}, expert = swiglu {{ hidden = {}, bias = true }}
    }}"""
MANY = {
    "context": 32,
    "ffn": "moe { experts = 32, router = topk_softmax { k = 1 }, expert = swiglu { hidden = 512 } }",
}
"""So many weights that they and what belongs to them take more than the activations do."""
SMALLEST: dict[str, Any] = {
    "dim": 16,
    "context": 32,
    "layers": 2,
    "dropout": 0,
    "checkpoint": "false",
    "attention": "",
    "steps": 2,
    "ffn": SWIGLU.format(32),
}
SLOW = frozenset({"dropout", "experts made again", "sinks", "smoothed targets", "tokens a batch", "one step"})
SMALL: dict[str, dict[str, Any]] = {
    "a batch that is smaller than what is held out": {"train": "batch = 1"},
    "a large batch": {"train": "batch = 24"},
    "parts of a batch": {"train": "batch = 96, accumulate = 3", **MANY},
    "tokens a batch": {"train": "batch_tokens = 3072, accumulate = 12"},
    "activations made again": {"train": "batch = 24", "checkpoint": "true"},
    "dropout": {"train": "batch = 12", "dropout": 0.1},
    "experts": {"train": "batch = 16", "ffn": MOE.format(128)},
    "experts made again": {"train": "batch = 16", "ffn": MOE.format(128), "checkpoint": "true"},
    "a window": {"train": "batch = 16", "attention": ", mask = sliding { window = 16 }"},
    "sinks": {"train": "batch = 12", "attention": ", sinks = true"},
    "smoothed targets": {"train": "batch = 16, objective = next_token { smoothing = 0.1, z_loss = 1e-4 }"},
    "one step": {"train": "batch = 16", "steps": 1},
    "bfloat16 products": {"train": "batch = 16", "dtype": "bfloat16"},
}
OTHERS = ["adamw", "lion", "sgd { lr = 0.1 }", "sgd { lr = 0.1, momentum = 0.9 }"]
LARGER: dict[str, dict[str, Any]] = {
    "bfloat16": {"train": "batch = 64"},
    "float32": {"train": "batch = 64", "dtype": "float32"},
    "parts of a batch": {"train": "batch = 128, accumulate = 4"},
    "activations made again": {"train": "batch = 64", "checkpoint": "true", "dropout": 0.1},
    "experts": {"train": "batch = 32", "ffn": MOE.format(1024)},
    "experts in float32": {"train": "batch = 32", "ffn": MOE.format(1024), "dtype": "float32"},
    "a window": {"train": "batch = 32", "attention": ", mask = sliding { window = 64 }"},
    "muon": {"train": "batch = 16, optimizer = muon", "dim": 1024},
    "adafactor": {"train": "batch = 16, optimizer = adafactor", "dim": 1024},
}
PAIRED = ["model.dim=64", "train.batch=96"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, pairs as long as the context of tests/specs/translation.llm, and a tokenizer."""
    folder, source = tmp_path_factory.mktemp("texts"), random.Random(0)
    for number in range(24):
        lines = (" ".join(source.choices(WORDS, k=8)) for _ in range(150))
        (folder / f"{number:02}.txt").write_text("\n".join(lines), encoding="utf-8")
    sides = [" ".join(source.choices(LETTERS, k=31)) for _ in range(400)]
    pairs = (f"{one}\t{other}\n" for one, other in zip(sides[::2], sides[1::2], strict=True))
    (folder / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")
    small_tokenizer().save(folder / "tokenizer.json")
    return folder


def spec_of(
    folder: Path | str = ".",
    dim: int = 64,
    context: int = 128,
    layers: int = 3,
    dropout: float = 0.0,
    checkpoint: str = "false",
    attention: str = "",
    ffn: str = "",
    train: str = "batch = 4",
    steps: int = 3,
) -> Any:
    """A spec of the texts in a folder."""
    fed = ffn or SWIGLU.format(4 * dim)
    stated = {"dim": dim, "context": context, "layers": layers, "dropout": dropout, "checkpoint": checkpoint}
    return load(SPEC.format(texts=folder, attention=attention, ffn=fed, train=train, steps=steps, **stated))


def said(spec: Any, device: str = "cpu", dtype: str = "auto") -> TrainingMemory:
    return training_memory(resolve(spec, Context()), Compute.choose(device, dtype))


def peak_of_tensors(work: Callable[[], object]) -> int:
    """The most bytes that the CPU's allocator had handed out at one time while `work` was done, by torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [each for each in found.profiler.kineto_results.events() if each.name() == "[memory]"]
    live = peak = 0
    for each in sorted(events, key=lambda event: event.start_ns()):
        live += each.nbytes()
        peak = max(peak, live)
    return peak


def check(spec: Any, out: Path, dtype: str = "auto") -> None:
    memory = said(spec, "cpu", dtype)
    real = peak_of_tensors(lambda: train(spec, out=out, device="cpu", dtype=dtype))
    assert memory.peak == pytest.approx(real, rel=CLOSE)
    assert memory.weights < memory.peak


@pytest.mark.parametrize(
    "options", [pytest.param(case, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, case in SMALL.items()]
)
def test_training_on_a_cpu_takes_what_is_said(options: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    stated = dict(options)
    dtype = stated.pop("dtype", "auto")
    check(spec_of(folder, **stated), tmp_path / "run", dtype)


@pytest.mark.parametrize("optimizer", ["adafactor", "muon", *(pytest.param(x, marks=pytest.mark.slow) for x in OTHERS)])
def test_an_optimiser_takes_what_is_said(optimizer: str, folder: Path, tmp_path: Path) -> None:
    check(spec_of(folder, **MANY, train=f"batch = 4, accumulate = 4, optimizer = {optimizer}"), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("experts", ["model.dim=64", "train.batch=96"]),
        ("gpt", ["model.dim=64", "train.batch=96", "model.vocab=300"]),
        ("sinusoids", ["model.dim=64", "train.batch=96"]),
        ("translation", PAIRED),
    ],
)
def test_a_spec_of_ours_takes_what_is_said(name: str, settings: list[str], folder: Path, tmp_path: Path) -> None:
    text = (ROOT / "tests" / "specs" / f"{name}.llm").read_text(encoding="utf-8")
    (folder / f"{name}.llm").write_text(text.replace("texts/", ""), encoding="utf-8")
    mixed = ['data=files { paths = ["*.txt"], held_out = 20% }'] if name == "gpt" else []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        check(load(folder / f"{name}.llm", [*settings, *mixed]), tmp_path / "run")


@pytest.mark.slow
def test_the_quickstart_takes_what_is_said(tmp_path: Path) -> None:
    # little text, since all that is held out is measured
    text = f'files {{ paths = ["{ROOT / "plugins" / "SLOTS.md"}"] }}'
    check(load(QUICKSTART, ["train.steps=2", "train.schedule=none", f"data={text}"]), tmp_path / "run")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("options", list(LARGER.values()), ids=list(LARGER))
def test_training_on_a_gpu_takes_what_is_said(options: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    stated = {"dim": 512, "context": 256, **options}
    dtype = stated.pop("dtype", "auto")
    spec = spec_of(folder, **stated)
    memory = said(spec, "cuda", dtype)
    torch.cuda.empty_cache()
    torch._C._cuda_clearCublasWorkspaces()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    train(spec, out=tmp_path / "run", device="cuda", dtype=dtype)
    assert memory.peak == pytest.approx(torch.cuda.max_memory_allocated() - before, rel=CLOSE)


@pytest.mark.parametrize(
    "options",
    [
        {**SMALL["experts made again"], "dropout": 0.1},
        pytest.param({"train": "batch = 24"}, marks=pytest.mark.slow),
        pytest.param({"train": "batch = 1, optimizer = muon"}, marks=pytest.mark.slow),
    ],
)
def test_a_long_run_of_layers_is_as_large_as_all_of_them(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(**{**options, "layers": repeats.LONG + 1})
    short = said(spec)
    monkeypatch.setattr(repeats, "LONG", 10**6)
    whole = said(spec)
    assert short.peak == pytest.approx(whole.peak, rel=1e-4)
    for kind in ("weights", "gradients", "optimizer"):
        assert getattr(short, kind) == getattr(whole, kind)


def test_shared_layers_are_counted_once() -> None:
    layers = repeats.LONG + 4
    text = SPEC.replace("checkpoint = {checkpoint}", 'share = "a"')
    # the batch is large, so that no held-out loss takes more than a step
    stated = {**SMALLEST, "texts": ".", "train": "batch = 256"}
    many, one = (said(load(text.format(**{**stated, "layers": count}))) for count in (layers, 1))
    assert (many.weights, many.gradients) == (one.weights, one.gradients)
    assert many.peak > one.peak


def test_two_sizes_of_batch_differ_in_activations_alone() -> None:
    small, large = (said(spec_of(train=f"batch = {batch}")) for batch in (24, 48))
    assert (small.weights, small.gradients, small.optimizer) == (large.weights, large.gradients, large.optimizer)
    assert large.activations == pytest.approx(2 * small.activations, rel=0.05)
    assert small.gradients == pytest.approx(small.weights, rel=0.01)


def test_what_is_held_out_counts_however_late_it_is_looked_at() -> None:
    soon, late = (said(spec_of(train="batch = 1", steps=steps)) for steps in (3, 1_000))
    assert soon.peak == late.peak


def test_summary_says_what_training_takes(capsys: pytest.CaptureFixture[str]) -> None:
    say("summary", QUICKSTART, "--json", "--device", "cpu")
    found = json.loads(capsys.readouterr().out)
    memory = said(load(QUICKSTART))
    assert found["training_memory"] == json.loads(json.dumps(memory.as_json()))
    assert found["training_memory"]["bytes"]["optimizer"] == found["bytes"]["optimizer"]
    say("summary", "-q", QUICKSTART, "--device", "cpu")
    shown = capsys.readouterr().out
    assert "training takes 157.5 MiB at its peak on cpu, with products in float32: weights 4.8 MiB" in shown


def test_without_a_trainer_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    say("summary", "-q", ROOT / "specs" / "gpt2.llm")
    assert "training" not in capsys.readouterr().out


def say(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return int(left.value.code or 0)


@component("norm:acme.looks", module="tests.core.test_training_memory:Looks")
class looks(Config):
    """A norm that looks at the numbers it is given."""

    way: str = choice("share", "fault", "shape", doc="how it looks")


class Looks(nn.Module):
    def __init__(self, config: looks, context: Context) -> None:
        super().__init__()
        self.way = config.way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "share":
            return x / max(1.0, float(x.detach().abs().max()))
        if self.way == "fault" and (x.isnan().any() or not x.isfinite().all()):
            raise ValueError("a number is none")
        return x if self.way == "fault" else x + len(x.nonzero())


@component("trainer:acme.endless", module="tests.core.test_training_memory:Endless")
class endless(Config):
    """A trainer that never says how far it is."""


class Endless:
    def __init__(self, config: endless, context: Context) -> None:
        pass

    def train(self, job: Any) -> None:
        while True:
            job.corpus.train.batch(0, 1)


def with_norm(way: str) -> Any:
    spec = load(QUICKSTART)
    return attrs.evolve(spec, model=attrs.evolve(spec.model, norm=looks(way=way)))


@pytest.mark.parametrize("way", ["share", "fault"])
def test_a_look_at_a_number_is_no_hindrance(way: str) -> None:
    assert said(with_norm(way)).peak == pytest.approx(said(load(QUICKSTART)).peak, rel=0.05)


def test_where_shapes_hang_on_numbers_the_reason_is_given() -> None:
    with pytest.raises(Unmeasured, match=r"a rehearsal of training, without numbers, fails: aten\.nonzero"):
        said(with_norm("shape"))


def test_what_cannot_be_rehearsed_is_shown_without_its_activations(tmp_path: Path) -> None:
    (tmp_path / "looks.py").write_text(PLUGIN, encoding="utf-8")
    words = ("--plugin", tmp_path / "looks.py", "--set", "model.norm=acme.shape", "--device", "cpu")
    shown = finished(llm_build("summary", "-q", QUICKSTART, *words))
    assert "what training takes is not known: a rehearsal of training, without numbers, fails: aten.nonzero" in shown
    assert shown.startswith("parameters: ")
    assert "training keeps " in shown


PLUGIN = """
import torch
from llm_build import Config, component, hookimpl

@component("norm:acme.shape", module="looks:Shape")
class shape(Config):
    pass

class Shape(torch.nn.Module):
    def __init__(self, config, context):
        super().__init__()

    def forward(self, x):
        return x + len(x.nonzero())

@hookimpl
def llm_components():
    return [shape]
"""


def test_a_trainer_that_never_ends_is_left() -> None:
    with pytest.raises(Unmeasured, match="drew 10_000 batches and recorded no second step"):
        said(attrs.evolve(load(QUICKSTART), train=endless()))
