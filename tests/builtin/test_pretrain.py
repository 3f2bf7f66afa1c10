"""The trainer: its length and batch, gradients in parts, the weights that it keeps, and a loss that is not finite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from llm_build import (
    Config,
    Context,
    GenerationError,
    NonFiniteLoss,
    SpecError,
    component,
    load,
    open_run,
    part,
    size,
    train,
)
from llm_build.run import Job, Measured, RunDirectory
from llm_build_plugins import train as parts
from tests.small import small_spec, small_tokenizer, spec_text, write_texts

CALM = "schedule = none, samples = 0"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts"))


def trained(texts: Path, out: Path, extra: str = CALM, seed: int = 0, dtype: str = "float64", **options: Any) -> Any:
    config = small_spec(texts, train=extra, **options)
    return train(config, out=out, device="cpu", dtype=dtype, seed=seed)


def records(result: Any, name: str) -> list[float]:
    return [each[name] for each in result.run.directory.records() if name in each]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch": 2}, "pretrain takes exactly one of steps, epochs or tokens; none arrived"),
        ({"steps": 2, "tokens": 9, "batch": 2}, "exactly one of steps, epochs or tokens; steps and tokens arrived"),
        ({"steps": 2}, "pretrain takes exactly one of batch or batch_tokens; none arrived"),
        ({"steps": 2, "batch": 2, "batch_tokens": 32}, "one of batch or batch_tokens; batch and batch_tokens arrived"),
        ({"steps": 2, "batch_tokens": 40}, "batch_tokens must be a multiple of the context, 16; 40 arrived"),
        ({"steps": 2, "batch_tokens": 8}, "batch_tokens must be a multiple of the context, 16; 8 arrived"),
        ({"steps": 2, "batch": 6, "accumulate": 4}, "accumulate must divide the batch of 6 sequences; 4 arrived"),
        ({"steps": 2, "batch": 2, "eval_every": 0}, "eval_every must be at least one step; 0 arrived"),
        ({"steps": 2, "batch": 2, "keep_every": 0}, "keep_every must be at least one step; 0 arrived"),
    ],
)
def test_faulty_configs_are_refused(options: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        parts.pretrain(**options).build(Context(context=16))
    assert expected in str(caught.value)


PAIRED = "counts tokens of windows as long as the context; pairs have lengths of their own"


@pytest.mark.parametrize(
    ("options", "expected", "advice"),
    [
        ({"tokens": 64, "batch": 2}, f"tokens {PAIRED}", "write steps = 1_000, or epochs = 10"),
        ({"steps": 2, "batch_tokens": 40}, f"batch_tokens {PAIRED}", "write batch = 64, which counts pairs"),
        ({"batch": 2}, "pretrain takes exactly one of steps or epochs; none arrived", "write steps = 1_000"),
        ({"steps": 2}, "pretrain takes batch; none arrived", "write batch = 8"),
        (
            {"steps": 2, "batch": 6, "accumulate": 4},
            "accumulate must divide the batch of 6 sequences; 4 arrived",
            "every part of a batch holds as many sequences as the others",
        ),
    ],
)
def test_what_means_nothing_for_pairs_is_refused(options: Any, expected: str, advice: str) -> None:
    problems = parts.pretrain(**options).problems(Context(context=16, paired=True))
    assert [(each.message, each.help) for each in problems] == [(expected, advice)]


def test_steps_or_epochs_and_a_batch_are_right_for_pairs() -> None:
    for length in ({"steps": 2}, {"epochs": 0.5}):
        assert parts.pretrain(**length, batch=2).problems(Context(context=16, paired=True)) == []


@pytest.mark.parametrize(
    ("length", "steps"),
    [("steps = 3, batch = 4", 3), ("tokens = 257, batch_tokens = 64", 5), ("epochs = 0.5, batch = 8", None)],
)
def test_the_length_is_in_steps_tokens_or_epochs(texts: Path, tmp_path: Path, length: str, steps: int | None) -> None:
    config = small_spec(texts, train=CALM, length=length)
    outcome = train(config, out=tmp_path / "run", device="cpu").outcome
    expected = math.ceil(0.5 * windows(tmp_path / "run", texts) / 8) if steps is None else steps
    assert outcome.steps == expected
    assert outcome.tokens == outcome.steps * (8 if "epochs" in length else 4) * 16


def windows(run: Path, texts: Path) -> int:
    from llm_build.corpus import prepare
    from tests.small import small_part

    tokenizer = small_part("tokenizer")
    tokenizer.load(run / "tokenizer.json")
    return prepare(small_part("data", data=texts), tokenizer, 16, 0).train.count


def test_a_batch_in_parts_is_the_same_batch(texts: Path, tmp_path: Path) -> None:
    whole = trained(texts, tmp_path / "whole")
    cut = trained(texts, tmp_path / "cut", f"accumulate = 4, {CALM}")
    assert records(cut, "loss") == pytest.approx(records(whole, "loss"), rel=1e-9)
    assert records(cut, "norm") == pytest.approx(records(whole, "norm"), rel=1e-9)


def test_equal_seeds_train_the_same_and_others_do_not(texts: Path, tmp_path: Path) -> None:
    losses = []
    for index, seed in enumerate((1, 1, 2)):
        torch.manual_seed(index)  # what was drawn before does not matter
        losses.append(records(trained(texts, tmp_path / str(index), seed=seed, dropout=0.1), "loss"))
    assert losses[0] == losses[1] != losses[2]


def test_it_learns_a_pattern(texts: Path, tmp_path: Path) -> None:
    result = trained(texts, tmp_path / "run", CALM, length="steps = 60, batch = 8", dtype="float32")
    losses = records(result, "loss")
    assert losses[-1] < losses[0] / 2


def test_the_gradient_is_clipped_to_its_norm(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    step = torch.optim.AdamW.step

    def spy(self: Any, *args: Any) -> Any:
        gradients = [each.grad for group in self.param_groups for each in group["params"]]
        norms.append(float(torch.stack([each.norm() for each in gradients]).norm()))
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    trained(texts, tmp_path / "run", f"clip = 0.125, {CALM}")
    assert norms == pytest.approx([0.125] * 6, rel=1e-4)


def test_the_schedule_sets_the_rate(texts: Path, tmp_path: Path) -> None:
    result = trained(texts, tmp_path / "run", "schedule = warmup_cosine { warmup = 2, start = 50%, floor = 10% }")
    assert records(result, "lr") == pytest.approx([0.005, 0.0075, 0.01, 0.00775, 0.00325, 0.001])


def test_a_loss_that_is_not_finite_stops_before_the_step(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    step = torch.optim.AdamW.step

    def spy(self: Any, *args: Any) -> Any:
        steps.append(1)
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    config = small_spec(texts, train=f"{CALM}, eval_every = 100%", lr="1e300")
    with pytest.raises(NonFiniteLoss) as caught:
        train(config, out=tmp_path / "run", device="cpu")
    assert "loss and gradient must be finite; at step 2 the loss is nan" in str(caught.value)
    assert "The weights are those of step 1" in str(caught.value)
    assert len(steps) == 1


@component("objective:test.sour", module="tests.builtin.test_pretrain:Sour")
class sour(Config):
    """The loss of next_token, but for one step whose loss is no number."""

    at: int = size(doc="the step")
    of: Any = part("objective", default="next_token")


class Sour:
    def __init__(self, config: sour, context: Context) -> None:
        self.config, self.inner, self.calls = config, config.part("of", context), 0

    def loss(self, model: Any, batch: Any) -> Any:
        self.calls += 1
        loss, found = self.inner.loss(model, batch)
        return (loss * math.nan if self.calls == self.config.at else loss), found


def test_what_was_kept_before_a_loss_that_is_not_finite_is_whole_and_named(texts: Path, tmp_path: Path) -> None:
    config = small_spec(texts, train=f"{CALM}, eval_every = 2")
    bad = attrs.evolve(config, train=attrs.evolve(config.train, objective=sour(at=6)))
    with pytest.raises(NonFiniteLoss) as caught:
        train(bad, out=tmp_path / "run", device="cpu")
    last = tmp_path / "run" / "checkpoints" / "step-000004"
    assert "at step 6 the loss is nan" in str(caught.value)
    assert str(caught.value).endswith(f"or start from what is kept: --init {last}")
    assert [each["step"] for each in RunDirectory.existing(tmp_path / "run").records() if "loss" in each] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert RunDirectory.existing(tmp_path / "run").checkpoints.names == ["step-000002", "step-000004"]
    kept = open_run(tmp_path / "run", config=config, checkpoint=last.name, device="cpu")
    assert all(each.isfinite().all() for each in kept.model.parameters())


def test_a_gradient_that_is_not_finite_stops_too(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *args: torch.tensor(float("inf")))
    with pytest.raises(NonFiniteLoss, match="at step 1 the norm of the gradient is inf"):
        trained(texts, tmp_path / "run")


def test_the_best_weights_are_kept(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 1.0, 2.0])
    kept: list[list[torch.Tensor]] = []
    measure, keep = Job.measure, Job.keep

    def measured(job: Job, limit: int | None = None) -> Measured:
        return measure(job) if limit is None else Measured(next(losses), 0.0, 1, False)

    def note(job: Job, step: int, held_out_nats: float | None, state: Any) -> None:
        kept.append([each.detach().clone() for each in job.model.parameters()])
        keep(job, step, held_out_nats, state)

    monkeypatch.setattr(Job, "measure", measured)
    monkeypatch.setattr(Job, "keep", note)
    result = trained(texts, tmp_path / "run", f"eval_every = 2, {CALM}")
    assert len(kept) == 3
    assert result.outcome.best_step == 4
    assert all(map(torch.equal, result.run.model.parameters(), kept[1]))
    assert not all(map(torch.equal, result.run.model.parameters(), kept[2]))


def test_further_checkpoints_are_kept_between_held_out_losses(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[int, bool]] = []
    keep = Job.keep

    def note(job: Job, step: int, held_out_nats: float | None, state: Any) -> None:
        kept.append((step, held_out_nats is not None))
        keep(job, step, held_out_nats, state)

    monkeypatch.setattr(Job, "keep", note)
    trained(texts, tmp_path / "run", f"eval_every = 3, keep_every = 20%, {CALM}", length="steps = 10, batch = 4")
    assert kept == [(2, False), (3, True), (4, False), (6, True), (8, False), (9, True), (10, True)]


def test_metrics_and_samples_are_written(texts: Path, tmp_path: Path) -> None:
    result = trained(texts, tmp_path / "run", "eval_every = 50%, samples = 2, sample_tokens = 4")
    lines = list(result.run.directory.records())
    assert [each["step"] for each in lines if "loss" in each] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "nll", "norm", "lr", "seconds", "speed"} <= set(lines[0])
    assert [each["step"] for each in lines if "held_out_nats" in each] == [3, 6]
    samples = (tmp_path / "run" / "samples.txt").read_text(encoding="utf-8")
    headers = [f"==== step {step}, sample {number} ====" for step in (3, 6) for number in (1, 2)]
    assert [line for line in samples.splitlines() if line.startswith("====")] == headers


def test_dropout_acts_while_training_only(texts: Path, tmp_path: Path) -> None:
    result = trained(texts, tmp_path / "run", "samples = 1", dropout=0.5)
    assert not result.run.model.training
    first = result.outcome.held_out
    config = result.run.config
    again = train(config, out=tmp_path / "again", device="cpu", dtype="float64").outcome.held_out
    assert first == again


def test_samples_on_the_way_change_nothing(texts: Path, tmp_path: Path) -> None:
    """Neither dropout nor what it draws."""
    losses = [
        records(trained(texts, tmp_path / str(count), f"eval_every = 1, samples = {count}", dropout=0.5), "loss")
        for count in (0, 2)
    ]
    assert losses[0] == losses[1]


def test_loggers_are_told_that_the_run_is_over_well_or_not(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def end(logger: object) -> None:
        told.append(logger)

    monkeypatch.setattr("llm_build_plugins.train.jsonl_module.JsonLines.end", end)
    trained(texts, tmp_path / "well")
    with pytest.raises(NonFiniteLoss):
        trained(texts, tmp_path / "not", f"{CALM}, eval_every = 1", lr="1e300")
    assert len(told) == 2


def test_a_held_out_loss_that_is_not_finite_names_its_step(texts: Path, tmp_path: Path) -> None:
    config = small_spec(texts, train=f"{CALM}, eval_every = 1", lr="1e300")
    with pytest.raises(NonFiniteLoss, match="the held-out loss must be finite; after step 1 it is nan"):
        train(config, out=tmp_path / "run", device="cpu")


def test_a_prompt_that_does_not_fit_is_refused_before_training(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="a prompt must hold from 0 to 16 tokens"):
        train(small_spec(texts, train=CALM), out=tmp_path / "run", device="cpu", prompts=["word " * 40])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["sinks = true", "softcap = 30"])
def test_what_only_the_eager_kernel_has_trains_in_bfloat16(texts: Path, tmp_path: Path, option: str) -> None:
    name, _, value = option.partition(" = ")
    config = load(
        spec_text(texts, train=CALM, length="steps = 1, batch = 2"), [f"model.layers.attention.{name}={value}"]
    )
    assert train(config, out=tmp_path / "run", device="cpu", dtype="bfloat16").outcome.steps == 1


def test_a_run_needs_nothing_but_itself(texts: Path, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    small_tokenizer().save(tokenizer)
    text = spec_text(texts, train=CALM, length="steps = 1, batch = 2").replace("dim = 16", "dim = 16, vocab = 300")
    named = f'pretrained {{ file = "{tokenizer}", eos = "[eos]", pad = "[pad]" }}'
    train(load(text.replace("bpe { vocab = 300 }", named)), out=tmp_path / "run", device="cpu")
    tokenizer.unlink()
    assert open_run(tmp_path / "run", device="cpu").generate("one", max_new=2).startswith("one")
