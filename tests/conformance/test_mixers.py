"""Checks of attention and of caches: each fails for what is wrong in its way, and passes for what is right."""

from __future__ import annotations

import pytest

from llm_build.conformance import Outcome, Subject, checks, checks_for, run
from tests.conformance import mixers

ATTENTIONS = {
    mixers.Ahead: ["causal", "future", "chunks"],
    mixers.Faint: ["future"],
    mixers.Strict: ["own"],
    mixers.TooFar: ["reach"],
    mixers.TooNear: ["reach"],
    mixers.Unpadded: ["padding"],
    mixers.Together: ["documents"],
    mixers.Restarting: ["schedule", "poison", "chunks"],
    mixers.Keeping: ["interleaved", "chunks"],
    mixers.Wide: ["state"],
    mixers.Looking: ["graph"],
}
CACHES = {
    mixers.Stale: ["poison-kept"],
    mixers.Backwards: ["kept"],
    mixers.Shared: ["separate"],
    mixers.Short: ["long"],
    mixers.Widened: ["dtypes"],
    mixers.Moving: ["still", "one-graph"],
}
LAWS = ("attention", "decoding", "caches")


def cases(found: dict[type, list[str]]) -> list[tuple[type, str]]:
    return [(module, check) for module, names in found.items() for check in names]


def outcome(cls: type, check: str) -> Outcome:
    return run(Subject.of(cls), checks()[check], shrink=False).outcome


@pytest.mark.parametrize(("module", "check"), cases(ATTENTIONS))
def test_an_attention_that_is_wrong_fails(module: type, check: str) -> None:
    assert outcome(mixers.attention(module), check) is Outcome.FAILED


def test_a_mixer_that_is_given_a_memory_and_reads_none_of_it_fails() -> None:
    assert outcome(mixers.attention(mixers.Attention, mixers.Anywhere), "memory") is Outcome.FAILED


@pytest.mark.parametrize(("module", "check"), cases(CACHES))
def test_a_cache_that_is_wrong_fails(module: type, check: str) -> None:
    assert outcome(mixers.cache(module), check) is Outcome.FAILED


@pytest.mark.parametrize(
    "cls", [mixers.attention(mixers.Attention), mixers.cache(mixers.Cache)], ids=lambda cls: cls.__name__
)
def test_a_right_one_passes(cls: type) -> None:
    subject = Subject.of(cls)
    held = [each for each in checks_for(subject) if each.law.__module__.rpartition(".")[2] in LAWS]
    assert {each.id for each in held if run(subject, each, shrink=False).outcome is not Outcome.PASSED} == set()
