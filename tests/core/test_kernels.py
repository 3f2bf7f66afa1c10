"""What a kernel asks before it is launched: whether anybody looks at operations."""

from __future__ import annotations

import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from llm_build import is_traced, launches_early


def test_plain_tensors_are_not_traced() -> None:
    assert not is_traced(torch.zeros(1))
    assert not is_traced(nn.Parameter(torch.zeros(1)))


def test_who_counts_operations_sees_each() -> None:
    x = torch.zeros(1)
    with TorchDispatchMode():
        assert is_traced(x)
    assert not is_traced(x)


def test_tensors_without_numbers_are_traced() -> None:
    with FakeTensorMode():
        x = torch.zeros(1)
    assert is_traced(x)


def test_a_compiler_traces() -> None:
    def step(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if is_traced(x) else x - 1

    assert torch.compile(step, backend="eager", fullgraph=True)(torch.zeros(1)).item() == 1


def test_only_a_gpu_launches_early() -> None:
    assert not launches_early(torch.device("cpu"))
