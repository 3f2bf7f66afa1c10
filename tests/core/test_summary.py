"""`llm-build summary`, against counts by hand, real builds and real optimisers."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import Context, build, load
from llm_build.assemble import quantised
from llm_build.cost import Summary, active, summarise
from llm_build.cost.optimizer import optimizer_bytes
from llm_build.errors import PluginError
from llm_build.resolve import resolve
from llm_build_plugins import train
from tests.core.test_specs import COUNTS, SPECS
from tests.processes import QUICKSTART, ROOT, finished, llm_build, start

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
LARGE = """llm 1
let mixer = gqa { heads = 128, kv_heads = 4, head_dim = 128 }
let dense = block { attention = mixer, ffn = swiglu { hidden = 18_432 } }
let sparse = block {
  attention = mixer
  ffn = moe {
    experts = 256
    router = softmax_topk { k = 8 }
    expert = swiglu { hidden = 2_048 }
    shared = swiglu { hidden = 2_048 }
  }
}
model = decoder {
  dim = 7_168, vocab = 129_280, context = 4_096, position = rope, norm = rms
  layers = 3 * dense + 58 * sparse
}
train = pretrain { steps = 10, batch = 1, optimizer = muon }
"""
"""As large as DeepSeek-V3, with grouped-query attention in place of its latent one and the dearest optimiser."""
PEAK = r"""
import contextlib, io, json, re, sys
from pathlib import Path
from llm_build.cli import _run
out = io.StringIO()
with contextlib.redirect_stdout(out):
    assert _run(["summary", "--json", sys.argv[1]]) == 0
print(json.dumps(json.loads(out.getvalue())))
# not ru_maxrss, which counts what the process was forked from
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""
PARTS = ("encoder", "decoder", "head")
BLOCK = "block {{ attention = gqa {{ heads = 4, kv_heads = 2{mask} }}, ffn = {ffn} }}"
SWIGLU = "swiglu { hidden = 6 }"


def block(ffn: str = SWIGLU, mask: str = "") -> str:
    return BLOCK.format(ffn=ffn, mask=mask)


def summary(layers: str, dtype: torch.dtype = torch.float32, more: str = "") -> Summary:
    return summarise(resolved(load(SMALL.format(layers=layers) + more)), dtype)


def resolved(spec: Any) -> Any:
    return resolve(spec, Context())


def test_it_shows_the_parameters_of_the_minicourse() -> None:
    said = finished(llm_build("summary", "specs/minicourse.llm"))
    assert "483_033_680" in said
    assert "layers.0-7" in said


def test_json_holds_the_same_figures() -> None:
    found = json.loads(finished(llm_build("summary", QUICKSTART, "--json", "--dtype", "bfloat16")))
    counted = json.loads(json.dumps(summarise(resolved(load(QUICKSTART)), torch.bfloat16).as_json()))
    assert found.keys() - counted.keys() == {"spec", "training_memory", "training_memory_why_not"}
    assert {name: found[name] for name in counted} == counted
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


@pytest.mark.parametrize("layout", ["dense", "paged"])
def test_keys_and_values_are_counted_as_the_cache_stores_them(layout: str) -> None:
    blocks = f"{block()} + {block(mask=', mask = sliding { window = 3 }')}"
    coded = f"generate = decode {{ cache = {layout} {{ codec = int8 }} }}"
    usual, found = summary(blocks, torch.bfloat16), summary(blocks, torch.bfloat16, coded)
    token = 2 * 2 * (4 + 4)  # k and v, kv_heads, head_dim bytes and a scale in float32
    assert [(each.token, each.windows) for _, each in found.states] == [(token, ()), (0, ((token, 3),))]
    assert [each.token for _, each in usual.states] == [2 * 2 * 4 * 2, 0]


def test_what_writes_with_quantised_weights_is_counted_beside_them() -> None:
    text = SMALL.format(layers=f"2 * {block()}")
    spec = resolved(load(f"{text}generate = decode {{ quantizer = int8 }}\n"))
    found, model = summarise(spec, torch.bfloat16), quantised(spec, build(spec, dtype=torch.bfloat16))
    assert found.quantised == sum(each.nbytes for each in (*model.parameters(), *model.buffers()))
    assert found.weights == summarise(resolved(load(text)), torch.bfloat16).weights > found.quantised
    assert summarise(resolved(load(text))).quantised is None


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


LOOKS = """
import torch
from llm_build import Config, component, hookimpl

@component("optimizer:acme.looks", module="looks:Looks")
class looks(Config):
    pass

class Looks:
    def __init__(self, config, context):
        pass

    def make(self, model):
        return Steps(model.parameters(), {"lr": 1.0})

class Steps(torch.optim.Optimizer):
    def step(self):
        for weight in self.param_groups[0]["params"]:
            weight.nonzero()

@hookimpl
def llm_components():
    return [looks]
"""


def test_an_optimiser_that_looks_at_numbers_is_said_to_be_unknown(tmp_path: Path) -> None:
    (tmp_path / "looks.py").write_text(LOOKS, encoding="utf-8")
    words = ("--plugin", tmp_path / "looks.py", "--set", "train.optimizer=acme.looks")
    said = finished(llm_build("summary", QUICKSTART, *words))
    assert "what the optimiser keeps is not known: its step without numbers fails: " in said
    assert "training keeps" not in said


def tensors(held: Any) -> list[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        return [held]
    inside = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
    return [each for one in inside for each in tensors(one)]


def test_the_products_of_a_dense_decoder_are_those_counted_by_hand() -> None:
    found = summary(f"3 * {block()}")
    dim, tokens, vocab, heads, kv_heads, head_dim, hidden = 16, 8, 10, 4, 2, 4, 6
    projections = dim * (heads + 2 * kv_heads) * head_dim + heads * head_dim * dim
    scores = 2 * heads * head_dim * tokens  # with the keys, and with the values
    layer = 2 * (projections + scores + 3 * dim * hidden)
    assert [each.flops for each in found.rows if "layers" in each.name] == [layer]
    assert found.flops == 3 * layer + 2 * dim * vocab


@pytest.mark.parametrize("mask", ["", ", mask = sliding { window = 3 }", ", softcap = 5", ", sinks = true"])
def test_every_kernel_counts_all_scores(mask: str) -> None:
    assert summary(block(mask=mask)).flops == summary(block()).flops


@pytest.mark.parametrize(("k", "bias"), [(1, False), (3, True), (8, False)])
def test_of_a_mixture_only_the_products_of_the_chosen_experts_count(k: int, bias: bool) -> None:
    expert = f"swiglu {{ hidden = 6, bias = {str(bias).lower()} }}"
    ffn = f"moe {{ experts = 8, router = topk_softmax {{ k = {k} }}, expert = {expert}, shared = {SWIGLU} }}"
    swiglu, router = 3 * 16 * 6, 16 * 8
    found, usual = summary(block(ffn)).flops, summary(block()).flops
    assert found is not None
    assert usual is not None
    assert found - usual == 2 * (router + k * swiglu)


def test_a_source_is_counted_too() -> None:
    spec = resolved(load(ROOT / "tests" / "specs" / "translation.llm"))
    found = summarise(spec)
    by_part = {part: sum(each.count * (each.flops or 0) for each in found.rows if part in each.name) for part in PARTS}
    assert min(by_part.values()) > 0
    assert sum(by_part.values()) == found.flops


def test_a_model_that_looks_at_numbers_is_counted_but_for_its_flops(tmp_path: Path) -> None:
    looks = ODD.replace("return x * self.odd.sum()", "return x * self.odd.sum().item()")
    (tmp_path / "odd.py").write_text(looks, encoding="utf-8")
    words = ("--plugin", tmp_path / "odd.py", "--set", "model.norm=acme.odd")
    said = finished(llm_build("summary", QUICKSTART, *words))
    assert "FLOPs a token: not counted. FLOPs are counted in a forward pass without numbers, which fails: " in said
    spec = tmp_path / "spec.llm"
    spec.write_text(f"{QUICKSTART.read_text(encoding='utf-8')}require flops(model) < 1T\n", encoding="utf-8")
    done = llm_build("check", "--measure", spec, *words)
    assert (done.returncode, "error[E312]" in done.stderr) == (1, True)


def computed() -> float:
    """Seconds that the processes which were started have computed; unlike a clock's, they leave out the neighbours'."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_model_of_671_billion_parameters_takes_neither_time_nor_memory(tmp_path: Path) -> None:
    spec = tmp_path / "large.llm"
    spec.write_text(LARGE, encoding="utf-8")
    begun = computed()
    figures, peak = finished(start(sys.executable, "-c", PEAK, spec)).splitlines()
    assert computed() - begun < 20
    assert int(peak) < 2 * 2**20  # KiB
    found = json.loads(figures)
    assert 670e9 < found["parameters"]["total"] < 680e9
    assert 36e9 < found["parameters"]["active"] < 42e9
    assert [each["count"] for each in found["layers"] if "layers" in each["name"]] == [3, 58]
