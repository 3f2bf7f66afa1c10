"""What is offered instead of a name that is not there: the nearest one, or the place where the field belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language.reading import BLOCK, decoder, fault

TRAIN = "pretrain {{ {}, optimizer = adamw {{ lr = 1 }} }}"


def train(fields: str) -> str:
    return decoder() + f"train = {TRAIN.format(fields)}\n"


@pytest.mark.parametrize(
    ("number", "instead"),
    [
        ("2K", "write 2k or 2Ki"),
        ("2KB", "write 2k or 2Ki"),
        ("2kb", "write 2k"),
        ("2KiB", "write 2Ki"),
        ("2ki", "write 2Ki"),
        ("2MI", "write 2Mi"),
        ("2GB", "write 2B or 2Gi"),
        ("2Tb", "write 2T"),
    ],
)
def test_a_unit_that_is_spelt_differently(number: str, instead: str) -> None:
    assert fault(decoder().replace("vocab = 64", f"vocab = {number}")).help == instead


def test_a_choice_that_is_misspelt() -> None:
    ffn = 'mlp { hidden = 8, activation = gelu { approximate = "tahn" } }'
    assert fault(decoder(layers=f"block {{ attention = gqa {{ heads = 4 }}, ffn = {ffn} }}")).help == 'write "tanh"'
    far = ffn.replace("tahn", "x")
    found = fault(decoder(layers=f"block {{ attention = gqa {{ heads = 4 }}, ffn = {far} }}"))
    assert found.help == 'write "none"'


def test_a_let_that_is_misspelt_where_a_component_is_taken() -> None:
    found = fault(decoder(above=f"let dense = {BLOCK}", layers="2 * dnse"))
    assert found.help == "a name that is in scope is similar: `dense`"
    # the nearer one is offered
    assert fault(decoder(above="let rmss = layer").replace("norm = rms", "norm = rmsss")).help.endswith("`rmss`")
    assert fault(decoder(above="let room = layer").replace("norm = rms", "norm = rmz")).help.endswith("exists: `rms`")


def test_a_let_below_is_not_offered() -> None:
    found = fault(decoder(layers="2 * dnse") + f"let dense = {BLOCK}\n")
    assert "dense" not in found.help


def test_a_param_that_a_setting_misspells() -> None:
    spec = decoder(above="param width = 32").replace("dim = 32", "dim = width")
    assert fault(spec, ["widht=64"]).help == "a param with a similar name exists: `width`"
    assert fault(spec, ["modle.dim=64"]).help == "a field with a similar name exists: `model`"


def test_a_param_that_is_set_like_a_field(tmp_path: Path) -> None:
    spec = decoder(above="param width = 32").replace("dim = 32", "dim = width")
    (tmp_path / "base.llm").write_text(spec, encoding="utf-8")
    (tmp_path / "child.llm").write_text('llm 1\nextends "base.llm"\nwidth = 64\n', encoding="utf-8")
    assert fault(tmp_path / "child.llm").help == "to give the param another value: `param width = …`"


@pytest.mark.parametrize(
    ("field", "help"),
    [
        ("lr = 1", "`lr` is a field of what `optimizer` holds: write it in the braces of `optimizer`"),
        ("floor = 1%", "`floor` is a field of what `schedule` holds: write it as `schedule { floor = … }`"),
        ("nowhere = 1", "its fields are `steps`"),
    ],
)
def test_a_field_that_belongs_further_in(field: str, help: str) -> None:
    assert fault(train(f"steps = 1, batch = 1, {field}")).help.startswith(help)
