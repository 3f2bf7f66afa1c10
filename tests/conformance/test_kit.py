"""The kit itself: what it draws, how it tells a failure, and how strict it is."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from llm_build import Config, PluginError, cache_folder
from llm_build.conformance import EDITION, Outcome, Subject, checks, conformance, run, verify
from tests.conformance import parts
from tests.processes import ROOT, finished, llm_build, start


def verdict(cls: type[Config], check: str, **options: Any) -> Any:
    return run(Subject.of(cls), checks()[check], **options)


def test_a_right_component_passes() -> None:
    found = verdict(parts.scaled, "random")
    assert (found.outcome, found.cases, found.failure) == (Outcome.PASSED, 10, None)


def test_a_full_run_draws_ten_times_as_many_cases() -> None:
    assert verdict(parts.scaled, "random", full=True).cases == 100


def test_a_wrong_component_fails_and_its_case_is_shrunk() -> None:
    found = verdict(parts.random, "random")
    assert found.outcome is Outcome.FAILED
    assert "a second call, at another random state" in found.failure.message
    assert {name: found.failure.case[name] for name in ("rows", "length", "config")} == {
        "rows": "1",
        "length": "1",
        "config": "acme.random",
    }


def test_what_a_component_raises_is_a_failure_with_its_smallest_case_and_where() -> None:
    found = verdict(parts.raising, "random", full=True)
    assert found.failure.message == "ValueError: three rows"
    assert found.failure.case["rows"] == "3"
    assert "tests/conformance/parts.py" in found.failure.raised
    assert "hypothesis" not in found.failure.raised


def test_an_opt_out_that_is_needed_is_none_of_the_failures() -> None:
    report = verify(Subject.of(parts.noisy), only=["random"])
    assert report.passed
    assert [each.outcome for each in report.verdicts] == [Outcome.OPTED_OUT]
    assert "noise is what it is for" in "\n".join(report.lines())


def test_an_opt_out_that_is_not_needed_fails() -> None:
    report = verify(Subject.of(parts.timid), only=["random"])
    assert not report.passed
    assert "take it out of opt_outs" in "\n".join(report.lines())


def test_an_opt_out_of_no_check_fails() -> None:
    report = verify(Subject.of(parts.stray))
    assert report.unknown == ["randm"]
    assert not report.passed


def test_a_component_without_a_case_fails_and_says_what_to_give() -> None:
    found = verdict(parts.undrawn, "random")
    assert found.outcome is Outcome.FAILED
    assert "specimens(folder)" in found.failure.message


def test_a_check_of_the_edition_to_come_warns() -> None:
    new = attrs.evolve(checks()["random"], since=EDITION + 1)
    found = run(Subject.of(parts.random), new)
    assert (found.outcome, found.bad) == (Outcome.WARNED, False)


def test_a_pass_says_that_it_is_no_proof_and_a_failure_how_to_see_it_again() -> None:
    passed, failed = (verify(Subject.of(each), only=["random"]) for each in (parts.scaled, parts.random))
    assert "not a proof" in "\n".join(passed.lines())
    # nobody installed it, so its own test alone can draw it again
    assert "again: pytest -k random" in "\n".join(failed.lines())


def test_the_same_seed_draws_the_same_cases() -> None:
    def cases(seed: int) -> Any:
        failure = verdict(parts.raising, "random", full=True, seed=seed).failure
        return dict(failure.case)

    assert cases(3) == cases(3)


def test_the_random_state_of_whoever_asks_stays() -> None:
    import torch

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    verdict(parts.random, "random")
    assert torch.equal(torch.random.get_rng_state(), before)


# --- the door for test files ---

TEST = """
from llm_build.conformance import conformance
from tests.conformance import parts

test_scaled = conformance(parts.scaled)
test_noisy = conformance(parts.noisy)
test_timid = conformance(parts.timid)
test_stray = conformance(parts.stray)
test_random = conformance(parts.random)
"""


def test_a_test_file_of_two_lines_has_a_test_a_check(tmp_path: Path) -> None:
    file = tmp_path / "test_parts.py"
    file.write_text(TEST, encoding="utf-8")
    options = ("-q", "-rA", "-p", "no:cacheprovider", "-k", "random or opt-out")
    result = start(sys.executable, "-m", "pytest", *options, file, cwd=tmp_path, PYTHONPATH=ROOT)
    found = re.findall(r"^([A-Z]+) \S+::(test_\S+\[(?:random|opt-out-\w+)\])", result.stdout, re.MULTILINE)
    assert {name: outcome for outcome, name in found} == {
        "test_scaled[random]": "PASSED",
        "test_noisy[random]": "XFAIL",
        "test_timid[random]": "FAILED",
        "test_stray[random]": "PASSED",
        "test_stray[opt-out-randm]": "FAILED",
        "test_random[random]": "FAILED",
    }


def test_a_component_that_is_not_installed_is_refused() -> None:
    with pytest.raises(PluginError, match='no component "norm:nothing" is installed'):
        conformance("norm:nothing")


# --- the command line ---

PLUGIN = '''
import torch
from llm_build import Config, component, hookimpl

@component("norm:acme.bad", module="bad:Bad")
class bad(Config):
    """Adds noise."""

class Bad(torch.nn.Module):
    def __init__(self, config, context):
        super().__init__()

    def forward(self, x):
        return x + torch.rand(())

def right(norm, x):
    return x

@hookimpl
def llm_components():
    return [bad]
'''


def test_verify_prints_a_report_as_json() -> None:
    found = json.loads(finished(llm_build("verify", "norm:rms", "--json", "--check", "shape")))
    assert (found["component"], found["passed"], found["edition"]) == ("norm:rms", True, EDITION)
    assert [each["id"] for each in found["checks"]] == ["shape"]


@pytest.mark.parametrize("options", [("random",), ("reference", "--reference", "bad:right")])
def test_verify_fails_with_a_command_that_fails_again(options: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "a folder" / "bad.py"
    file.parent.mkdir()
    file.write_text(PLUGIN, encoding="utf-8")
    first = llm_build("verify", "norm:acme.bad", "--plugin", file, "--check", *options)
    assert first.returncode == 1
    (again,) = (line.partition("again: llm-build ")[2] for line in first.stdout.splitlines() if "again: " in line)
    second = llm_build(*shlex.split(again))
    assert second.returncode == 1
    assert second.stdout.splitlines()[2:] == first.stdout.splitlines()[2:]


def test_a_reference_without_a_name_is_left_to_be_named() -> None:
    subject = Subject.of("norm:rms", lambda norm, x: x + 1)
    report = verify(subject, only=["reference"])
    assert report.rerun(report.verdicts[0]).endswith("--check reference --reference MODULE:FUNCTION")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("norm:rm",), 'no component "norm:rm" is installed'),
        (("norm:rms", "--check", "shap"), "norm:rms is not held to a check shap; its checks are listing"),
        (("norm:rms", "--reference", "nowhere:at"), "nowhere:at cannot be imported"),
    ],
)
def test_verify_refuses_what_it_does_not_know(arguments: tuple[str, ...], message: str) -> None:
    result = llm_build("verify", *arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_what_panics_is_a_failure() -> None:
    found = verdict(parts.panicking, "random")
    assert found.outcome is Outcome.FAILED
    assert found.failure.message == "RuntimeError: Panic: index out of bounds"


def test_where_no_small_config_is_right_the_examples_are_taken() -> None:
    assert verdict(parts.large, "random").outcome is Outcome.PASSED


def test_what_is_kept_in_the_cache_folder_is_thrown_away() -> None:
    before = cache_folder()
    assert verdict(parts.keeping, "random").outcome is Outcome.PASSED
    assert cache_folder() == before
    assert not (before / "kept").exists()
