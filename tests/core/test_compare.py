"""Where two specs differ, as a person is told."""

from __future__ import annotations

from typing import Any

import pytest

from llm_build import Context, load
from llm_build.components.compare import differences
from llm_build.resolve import resolve
from tests.small import spec_text


def filled(old: str = "", new: str = "") -> Any:
    text = spec_text("texts")
    assert old in text
    return resolve(load(text.replace(old, new)), Context())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("dim = 16", "dim = 4 * 4", []),
        ("dim = 16", "dim = 32", ["model.dim is 32, not 16"]),  # not the head_dim of each layer, which follows from it
        ("norm = rms\n", "norm = layer\n", ["model.norm is layer, not rms"]),
        ("position = rope", "position = rope { theta = 5e4 }", ["model.position.theta is 50000.0, not 10000.0"]),
        (
            "ffn = swiglu { hidden = 32 }",
            "ffn = mlp",
            [f"model.layers[{each}].ffn is mlp, not swiglu" for each in (0, 1)],
        ),
        ("2 * block", "3 * block", ["model.layers is 3 components, not 2 components"]),
        ("schedule = warmup_cosine { warmup = 2 }", "schedule = none", ["train.schedule is none, not warmup_cosine"]),
        ("generate = decode { sampler = greedy, cache = dense, max_new = 8 }", "", ["generate is none, not decode"]),
        ("max_new = 8", 'max_new = 8, prompt = "a"', ['generate.prompt is "a", not none']),
        ("tie = true", "tie = false", ["model.head.tie is false, not true"]),
        (
            "adamw { lr = 1e-2 }",
            "adamw { lr = 1e-2, betas = [0.8, 0.5] }",
            ["train.optimizer.betas is [0.8, 0.5], not [0.9, 0.999]"],
        ),
    ],
)
def test_each_difference_is_named_once(old: str, new: str, expected: list[str]) -> None:
    assert [str(each) for each in differences(filled(old, new), filled())] == expected


def test_what_is_stated_on_one_side_alone_is_compared() -> None:
    stated = filled("kv_heads = 2", "kv_heads = 2, head_dim = 8")
    assert str(next(differences(stated, filled()))) == "model.layers[0].attention.head_dim is 8, not 4"
    assert str(next(differences(filled(), stated))) == "model.layers[0].attention.head_dim is 4, not 8"


def test_where_files_lie_is_told_apart() -> None:
    (found,) = differences(filled('"texts/', '"../texts/'), filled())
    assert (found.path, found.of_paths) == ("data.paths", True)
    (found,) = differences(filled("dim = 16", "dim = 32"), filled())
    assert not found.of_paths
