"""`llm-build summary`, against counts by hand, real builds and real optimisers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import Context, build, load
from llm_build.cost import Summary, active, summarise
from llm_build.cost.optimizer import optimizer_bytes
from llm_build.errors import PluginError
from llm_build.resolve import resolve
from llm_build_plugins import train
from tests.core.test_specs import COUNTS, SPECS
from tests.processes import QUICKSTART, ROOT, finished, llm_build

ODD = """
import torch
from torch import nn
from llm_build import Config, component, hookimpl

@component("norm:acme.odd", module="odd:Odd")
class odd(Config):
    pass

class Odd(nn.Module):
    def __init__(self, config, context):
        super().__init__()
        self.odd = nn.Parameter(torch.zeros(7, 11))
        self.register_buffer("table", torch.zeros(3))

    def forward(self, x):
        return x * self.odd.sum()

@hookimpl
def llm_components():
    return [odd]
"""
SMALL = """llm 1
model = decoder {{
  dim = 16, vocab = 10, context = 8, norm = rms, position = rope
  layers = {layers}
}}
"""
BLOCK = "block {{ attention = gqa {{ heads = 4, kv_heads = 2{mask} }}, ffn = {ffn} }}"
SWIGLU = "swiglu { hidden = 6 }"


def block(ffn: str = SWIGLU, mask: str = "") -> str:
    return BLOCK.format(ffn=ffn, mask=mask)


def summary(layers: str, dtype: torch.dtype = torch.float32) -> Summary:
    return summarise(resolved(load(SMALL.format(layers=layers))), dtype)


def resolved(spec: Any) -> Any:
    return resolve(spec, Context())


def test_it_shows_the_parameters_of_the_minicourse() -> None:
    said = finished(llm_build("summary", "specs/minicourse.llm"))
    assert "483_033_680" in said
    assert "layers.0-7" in said


def test_json_holds_the_same_figures() -> None:
    found = json.loads(finished(llm_build("summary", QUICKSTART, "--json", "--dtype", "bfloat16")))
    spec = resolved(load(QUICKSTART))
    assert found == {"spec": str(QUICKSTART), **json.loads(json.dumps(summarise(spec, torch.bfloat16).as_json()))}
    assert found["bytes"]["weights"] == 2 * found["parameters"]["total"]
    assert found["bytes"]["trained_weights"] == 4 * found["parameters"]["total"]


def test_quiet_leaves_the_table_out() -> None:
    said = finished(llm_build("summary", "-q", QUICKSTART))
    assert "layers.0" not in said
    assert said.startswith("parameters: ")


def test_a_component_from_elsewhere_moves_the_totals(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD, encoding="utf-8")
    usual = json.loads(finished(llm_build("summary", "--json", QUICKSTART)))
    words = ("--plugin", tmp_path / "odd.py", "--set", "model.norm=acme.odd", "--set", "model.layers[0].norm=rms")
    odd = json.loads(finished(llm_build("summary", "--json", QUICKSTART, *words)))
    more = 77 - 128  # in place of the final norm, an RMSNorm of the quickstart's dim
    assert odd["parameters"] == {name: count + more for name, count in usual["parameters"].items()}
    assert odd["bytes"]["weights"] == usual["bytes"]["weights"] + 4 * more
    assert odd["bytes"]["buffers"] == usual["bytes"]["buffers"] + 4 * 3
    assert odd["bytes"]["optimizer"] == usual["bytes"]["optimizer"] + 8 * more


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_the_rows_sum_to_the_whole_model(spec: Path) -> None:
    found = summarise(resolved(load(spec)))
    assert sum(each.count * each.parameters for each in found.rows) == found.parameters
    assert found.parameters == COUNTS.get(spec.stem, found.parameters)
    assert found.active <= found.parameters


def small_and_large() -> Iterator[Any]:
    for spec in [*SPECS, *sorted((ROOT / "tests" / "specs").glob("*.llm"))]:
        if spec.stem != "llama3_8b":  # 30 GiB
            large = spec.stem in {"minicourse", "gpt2", "seq2seq"}
            yield pytest.param(spec, id=spec.stem, marks=[pytest.mark.slow] * large)


@pytest.mark.parametrize("spec", list(small_and_large()))
def test_it_counts_what_is_really_built(spec: Path) -> None:
    config = load(spec, ["model.vocab=300"] if spec.stem == "gpt" else [])  # where only a file knows it
    found, model = summarise(resolved(config)), build(config)
    assert found.parameters == sum(each.numel() for each in model.parameters())
    assert found.weights == sum(each.nbytes for each in model.parameters())
    assert found.buffers == sum(each.nbytes for each in model.buffers())


def test_equal_neighbours_are_one_row() -> None:
    rows = summary(f"2 * {block()} + {block('mlp { hidden = 6 }')} + {block()}").rows
    assert [(each.name, each.count) for each in rows if "layers" in each.name] == [
        ("layers.0-1", 2),
        ("layers.2", 1),
        ("layers.3", 1),
    ]


def test_layers_that_differ_in_no_weight_are_two_rows() -> None:
    rows = summary(f"{block()} + {block(mask=', mask = sliding { window = 3 }')}").rows
    assert [each.count for each in rows if "layers" in each.name] == [1, 1]


def test_a_shared_block_counts_once() -> None:
    once, twice = (summary(f'{count} * {block()} {{ share = "a" }}') for count in (1, 2))
    assert (once.parameters, once.active) == (twice.parameters, twice.active)


@pytest.mark.parametrize(
    "expert", [SWIGLU, "moe { experts = 4, router = topk_softmax { k = 1 }, expert = mlp { hidden = 6 } }"]
)
def test_of_a_mixture_a_token_uses_k_experts_and_the_shared_one(expert: str) -> None:
    ffn = f"moe {{ experts = 8, router = topk_softmax {{ k = 3 }}, expert = {expert}, shared = {SWIGLU} }}"
    found, usual = summary(block(ffn)), summary(block())
    swiglu, router = 3 * 16 * 6, 16 * 8
    whole = swiglu if expert == SWIGLU else 4 * 2 * 16 * 6 + 16 * 4
    used = swiglu if expert == SWIGLU else 2 * 16 * 6 + 16 * 4
    assert found.parameters == usual.parameters + router + 8 * whole
    assert found.active == usual.active + router + 3 * used


def test_a_share_of_what_is_not_there_is_refused() -> None:
    module = torch.nn.Linear(2, 2)
    module.active = {"experts": 1}  # type: ignore[assignment]
    with pytest.raises(PluginError, match="bias, weight"):
        active(module)


def test_keys_and_values_are_counted_by_kind_of_layer() -> None:
    found = summary(f"2 * {block()} + {block(mask=', mask = sliding { window = 3 }')}", torch.bfloat16)
    token = 2 * 2 * 4 * 2  # k and v, kv_heads, head_dim, bytes
    (plain, kept), (sliding, latest) = found.states
    assert (plain, kept.token, kept.windows) == (2, token, ())
    assert (sliding, latest.token, latest.windows) == (1, 0, ((token, 3),))
    assert found.state == 2 * 8 * token + 3 * token


def test_what_is_kept_of_a_source_stands_apart() -> None:
    found = summarise(resolved(load(ROOT / "tests" / "specs" / "translation.llm")))
    assert all(each.memory > 0 and each.token > 0 for _, each in found.states)
    assert found.state == sum(count * found.context * (each.token + each.memory) for count, each in found.states)


@pytest.mark.parametrize(
    "config",
    [
        train.adamw(),
        train.adafactor(),
        train.lion(),
        train.muon(),
        train.sgd(lr=0.1, momentum=0.9),
        train.sgd(lr=0.1, momentum=0.0),
    ],
    ids=lambda each: f"{type(each).__name__}",
)
def test_an_optimiser_keeps_what_it_says(config: Any) -> None:
    ffn = f"moe {{ experts = 3, router = topk_softmax {{ k = 2, bias = true }}, expert = {SWIGLU} }}"
    spec = load(SMALL.format(layers=f"2 * {block(ffn)}"))
    optimizer, model = config.build(Context()), build(spec)
    made = optimizer.make(model)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    made.step()
    real = sum(each.nbytes for each in tensors(made.state_dict()))
    there = build(spec, device="meta")
    assert optimizer_bytes(optimizer, there) == real
    assert all(each.grad is None for each in there.parameters())


def tensors(held: Any) -> list[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        return [held]
    inside = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
    return [each for one in inside for each in tensors(one)]
