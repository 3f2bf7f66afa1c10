"""The checks of every slot are seen to fail: what is slow to list, what cannot be written, what raises, what stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from llm_build import Config, Context, Problem, component, size
from llm_build.conformance import Outcome, Subject, checks, run
from tests.processes import llm_build

HERE = "tests.conformance.test_every_law"
PLUGIN = """{top}
from llm_build import Config, component, hookimpl

@component("norm:acme.heavy", module="llm_build_plugins.norm.rms_module:RMSNorm")
class heavy(Config):
    '''A norm.'''

    def check(self, context):
        {inside}
        return iter(())

@hookimpl
def llm_components():
    return [heavy]
"""


@pytest.mark.parametrize(
    ("top", "inside", "right"),
    [("", "", True), ("import torch", "", False), ("", "import torch", False)],
    ids=["lean", "at the top", "in a check"],
)
def test_a_component_that_is_listed_with_torch_fails(top: str, inside: str, right: bool, tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text(PLUGIN.format(top=top, inside=inside or "pass"), encoding="utf-8")
    done = llm_build("verify", "norm:acme.heavy", "--check", "listing", "--plugin", tmp_path / "heavy.py")
    assert (done.returncode == 0) is right, done.stdout
    assert ("listing and checking norm:acme.heavy imports torch" in done.stdout) is not right


class Stack(nn.Module):
    """A model's gain, which is on the CPU whatever was asked for."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__()
        self.causal, self.window, self.allowed = True, None, None
        self.gain = nn.Parameter(torch.ones(2, device="cpu"))

    def forward(self, x: Tensor) -> Tensor:
        return x


@component("mask:acme.staying", module=f"{HERE}:Stack")
class staying(Config):
    """Is not on meta."""


@component("mask:acme.raising", module=f"{HERE}:Stack")
class raising(Config):
    """Takes for granted what nobody may have said."""

    def check(self, context: Context) -> Iterator[Problem]:
        if context.dim > 10**9:  # type: ignore[operator]
            yield Problem(field="dim", message="too wide", help="less")


@component("mask:acme.silent", module=f"{HERE}:Stack")
class silent(Config):
    """Says nothing of what is wrong."""

    width: int = size(doc="of something")

    def check(self, context: Context) -> Iterator[Problem]:
        yield Problem(field="width", message=" ", help="")


@pytest.mark.parametrize(
    ("check", "cls"),
    [("builds", staying), ("problems", raising), ("problems", silent)],
    ids=["stays", "raises", "silent"],
)
def test_what_is_wrong_in_any_slot_fails(check: str, cls: type[Config]) -> None:
    assert run(Subject.of(cls), checks()[check]).outcome is Outcome.FAILED


def test_a_config_whose_text_is_another_config_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_build.components.kinds import NumberKind

    subject = Subject.of("norm:rms")
    assert run(subject, checks()["text"]).outcome is Outcome.PASSED
    monkeypatch.setattr(NumberKind, "write", lambda self, value: f"{value:.1g}1")
    assert run(subject, checks()["text"]).outcome is Outcome.FAILED
