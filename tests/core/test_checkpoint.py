"""Weights on disk: what was saved comes back, and a file that does not fit changes nothing."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from llm_build import RunError, load_weights, save_weights
from tests.small import small_model


def test_weights_come_back(tmp_path: Path) -> None:
    first, second = small_model(seed=0), small_model(seed=1)
    save_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    tokens = torch.arange(16)[None]
    assert torch.equal(first(tokens), second(tokens))
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_tied_weight_is_stored_once_under_its_first_name(tmp_path: Path) -> None:
    model = small_model(tie=True)
    save_weights(model, tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(dict(model.named_parameters()))
        assert "embedding.weight" in file.keys()  # noqa: SIM118
    other = small_model(tie=True, seed=1)
    load_weights(other, tmp_path / "w.safetensors")
    assert other.head.weight is other.embedding.weight


def test_weights_are_converted_to_the_dtype_of_the_model(tmp_path: Path) -> None:
    save_weights(small_model(dtype=torch.float32), tmp_path / "w.safetensors")
    model = small_model(dtype=torch.bfloat16, seed=1)
    load_weights(model, tmp_path / "w.safetensors")
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}


def test_buffers_that_belong_in_a_file_are_kept(tmp_path: Path) -> None:
    first, second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    first(torch.randn(8, 3))
    save_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    torch.testing.assert_close(second.running_mean, first.running_mean)


def refused(tmp_path: Path, content: bytes | dict[str, torch.Tensor]) -> str:
    """The message, for a file that a model of one 2 × 3 weight and a bias cannot take; the model is unchanged."""
    file = tmp_path / "w.safetensors"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        save_file(content, file)
    model = nn.Linear(3, 2)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(RunError) as caught:
        load_weights(model, file)
    for name, each in model.state_dict().items():
        assert torch.equal(each, before[name])
    return str(caught.value)


def test_a_missing_weight_is_named(tmp_path: Path) -> None:
    assert "it lacks bias" in refused(tmp_path, {"weight": torch.zeros(2, 3)})


def test_a_foreign_weight_is_named(tmp_path: Path) -> None:
    content = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "extra": torch.zeros(1)}
    assert "the model has no extra" in refused(tmp_path, content)


def test_another_shape_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)})
    assert "weight is F32 [3, 2], must be float32 [2, 3]" in message


def test_another_kind_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, {"weight": torch.zeros(2, 3, dtype=torch.int64), "bias": torch.zeros(2)})
    assert "weight is I64 [2, 3], must be float32 [2, 3]" in message


def test_many_faults_are_counted(tmp_path: Path) -> None:
    content = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)} | {f"x{n}": torch.zeros(1) for n in range(9)}
    assert "the model has no x0, x1, x2, x3, x4 and 4 more" in refused(tmp_path, content)


def header(content: object) -> bytes:
    raw = json.dumps(content).encode()
    return struct.pack("<Q", len(raw)) + raw


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not weights",
        struct.pack("<Q", 2**62) + b"{}",
        header({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 10**12]}}),
        header({"weight": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 24]}}) + bytes(24),
        header([1, 2, 3]),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "must be a safetensors file; it cannot be read" in refused(tmp_path, content)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(3, 2), tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    assert "it cannot be read" in refused(tmp_path, content[:-4])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"weights must exist; there is no file .*none\.safetensors"):
        load_weights(nn.Linear(3, 2), tmp_path / "none.safetensors")


def test_a_save_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"weight": torch.ones(1)}, file)
    monkeypatch.setattr(Path, "replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(RunError, match="disk full; what was there is whole"):
        save_weights(nn.Linear(3, 2), file)
    assert load_file(file)["weight"].tolist() == [1]
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]
