"""The checks around models, of samplers, tokenizers, data, training: each fails for a bug of its kind.

The bugs are those of tools/bench/catches.py, which seeds all of them, each in a process of its own. Here the modules
that a bug touches are run again with it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_build.conformance import Outcome, Subject, checks, run
from tests.conformance.references import REFERENCES

ROOT = Path(__file__).parents[2]
SLOTS = ("data", "generator", "objective", "optimizer", "sampler", "schedule", "tokenizer")
CASES = {
    "texts": ("data:files", "empty files are documents"),
    "leak": ("data:files", "what is the same stands on both sides"),
    "complete": ("data:files", "what stands twice is taken once"),
    "nothing-there": ("data:files", "without text there is no error"),
    "mixture": ("data:mixture", "weights are floats"),
    "seed": ("generator:decode", "all rows share a source"),
    "distribution": ("generator:decode", "the seed is ignored"),
    "nll": ("objective:next_token", "bits in place of nats"),
    "uncounted": ("objective:next_token", "padding is counted in the z-loss"),
    "divided": ("objective:next_token", "the z-loss is a sum"),
    "none-counted": ("objective:next_token", "no target divides by zero"),
    "direction": ("objective:next_token", "the loss has the wrong sign"),
    "layer-losses": ("objective:next_token", "the losses of the layers are told and not added"),
    "narrow": ("objective:next_token", "the softmax is in bfloat16"),
    "descent": ("optimizer:lion", "steps go up"),
    "rate": ("optimizer:lion", "the decay is not multiplied with the rate"),
    "groups": ("optimizer:adamw", "a wish for a rate is not heard"),
    "decay": ("optimizer:adamw", "norms and biases decay"),
    "resume": ("optimizer:lion", "the momentum is lost on resume"),
    "late": ("optimizer:lion", "every gradient is taken to be there"),
    "scores": ("sampler:top_k", "scores in the dtype of the logits"),
    "pure": ("sampler:temperature", "the scores are divided in place"),
    "barred": ("sampler:min_p", "a large number in place of infinity"),
    "sampler-rows": ("sampler:top_k", "one threshold for the whole batch"),
    "renumbered": ("sampler:top_p", "sorted scores are not put back"),
    "likeliest": ("sampler:temperature", "positive logits that were seen are negated"),
    "constant": ("sampler:min_p", "logits are compared in place of probabilities"),
    "seen": ("sampler:temperature", "the penalty has the wrong sign on negative logits"),
    "nucleus": ("sampler:top_p", "the crossing token is dropped"),
    "reference-scores": ("sampler:temperature", "the temperature multiplies"),
    "factor": ("schedule:constant", "the warm-up goes beyond the peak"),
    "repeatable": ("schedule:constant", "its own calls are counted"),
    "jump": ("schedule:warmup_cosine", "the cosine begins at step 0"),
    "peak": ("schedule:linear", "the way down begins at step 0"),
    "tokens": ("tokenizer:bpe", "a batch is padded"),
    "plain-text": ("tokenizer:pretrained", "special tokens are found in text"),
    "words": ("tokenizer:wordpiece", "spaces are lost"),
    "lossless": ("tokenizer:bpe", "spaces are lost"),
    "streaming": ("tokenizer:pretrained", "text is cleaned up"),
    "saved": ("tokenizer:bpe", "what is loaded learns again"),
    "fit": ("tokenizer:wordpiece", "numbers depend on the order of a set"),
}
"""Check → the component and the bug that it catches; `again` looks at another process, which these do not reach."""


@pytest.fixture
def bugs(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Any]:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "bench"))
    modules = [importlib.import_module(f"bugs.{slot}") for slot in SLOTS]
    return {(bug.component, bug.name): bug for module in modules for bug in module.BUGS}


@pytest.fixture
def rerun() -> Iterator[Callable[[ModuleType, str], None]]:
    """Runs a module again, from other source; afterwards it is what it was."""
    before: list[tuple[ModuleType, dict[str, Any]]] = []

    def run_again(module: ModuleType, source: str) -> None:
        before.append((module, dict(vars(module))))
        exec(compile(source, str(module.__file__), "exec"), vars(module))

    yield run_again
    for module, was in before:
        vars(module).update(was)


def named(file: Path) -> str:
    return ".".join(file.relative_to(ROOT / "plugins").with_suffix("").parts)


@pytest.mark.parametrize("check", CASES)
def test_a_check_fails_for_a_bug_of_its_kind(
    check: str, bugs: dict[tuple[str, str], Any], rerun: Callable[[ModuleType, str], None]
) -> None:
    component, bug = CASES[check][0], bugs[CASES[check]]
    subject = Subject.of(component, REFERENCES.get(component))
    assert not run(subject, checks()[check]).bad
    seeded = sys.modules[named(ROOT / bug.file)]
    source = text_of(seeded)
    assert source.count(bug.old) == 1
    rerun(seeded, source.replace(bug.old, bug.new))
    for module in users(seeded, subject.info.module.partition(":")[0]):
        rerun(module, text_of(module))
    found = run(subject, checks()[check])
    assert found.outcome is Outcome.FAILED
    assert found.failure is not None
    assert found.failure.case


def text_of(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def users(seeded: ModuleType, last: str) -> list[ModuleType]:
    """The modules that took something from it by name, or from one that did, each behind those that it took it from."""
    folder = seeded.__name__.rpartition(".")[0]
    beside = {name: text_of(each) for name, each in sys.modules.items() if name.startswith(f"{folder}.")}
    found, new = [], [seeded.__name__]
    while new:
        new = [name for name, text in beside.items() if any(f"from {each} import" in text for each in new)]
        # what is reached again later stands behind what it was reached from
        found = [*(each for each in found if each not in new), *new]
    return [sys.modules[each] for each in sorted(found, key=lambda each: each == last)]
