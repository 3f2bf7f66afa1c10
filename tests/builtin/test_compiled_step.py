"""A compiled step writes what an eager one writes, compiles each kind of layer once, and leaves the model as it was.

torch's backend "eager" traces and guards as inductor does and generates no code; the slow test does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from llm_build import Context, GenerationError, build, make_state
from llm_build_plugins import _thin, attention, ffn, generate, model, norm, position
from llm_build_plugins.generate._compile import Compiled, layers_of
from llm_build_plugins.generate._culprit import running_part
from llm_build_plugins.generate._folder import PLACE, keep_compiled
from tests.small import small_tokenizer

PROMPTS = ["def add", "class Sum:\n", "s"]


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def heads(**options: Any) -> Any:
    return attention.gqa(heads=2, kv_heads=1, **options)


SPARSE = ffn.moe(experts=4, router=ffn.topk_softmax(k=2), expert=ffn.swiglu(hidden=8))
LAYERS = {
    "mixed": (
        *(2 * model.block(attention=heads(mask=attention.sliding(window=9)), ffn=ffn.swiglu(hidden=16))),
        model.block(attention=heads(), ffn=ffn.swiglu(hidden=16)),
    ),
    "recurrent": 2 * model.block(attention=attention.gated_delta(heads=1, value_heads=2), ffn=ffn.mlp()),
    "latent": 2 * model.block(attention=attention.mla(heads=2, kv_rank=8, nope=2, rope=2), ffn=SPARSE),
}
KINDS = {"mixed": 2, "recurrent": 1, "latent": 1}


def decoder(name: str) -> Any:
    parts = {"position": position.rope(), "norm": norm.rms(), "layers": LAYERS[name]}
    config = model.decoder(dim=8, vocab=300, context=128, **parts, initialiser=model.normal(std=0.5, residual=False))
    return build(config, dtype=torch.float64).eval()


def written(made: Any, compile: bool, prompts: list[str] = PROMPTS, max_new: int = 70) -> list[list[int | None]]:
    """The tokens of each prompt; so many that the length in use takes more than one step."""
    writer = generate.decode(sampler=generate.top_k(k=20), compile=compile, rows=2).build(Context())
    rows: list[list[int | None]] = [[] for _ in prompts]
    for piece in writer.generate(made, small_tokenizer(), prompts, max_new=max_new):
        rows[piece.row].append(piece.token)
    return rows


def steps(made: Any, compiled: Compiled, rows: int) -> None:
    """Seventy steps of a token a row."""
    state = make_state(made, rows, 80)
    tokens, count = torch.zeros(rows, 1, dtype=torch.int64), torch.ones(rows, dtype=torch.int64)
    with torch.no_grad():
        for _ in range(70):
            state.reserve(1)
            with compiled.layers(made):
                made.hidden(tokens, state, count=count)


def test_each_kind_of_layer_is_compiled_once_for_each_number_of_rows() -> None:
    made, counter = decoder("mixed"), CompileCounter()
    compiled = Compiled(counter)
    for rows in (1, 2, 1):
        steps(made, compiled, rows)
    assert counter.frame_count == 2 * KINDS["mixed"]


@pytest.mark.parametrize("name", LAYERS)
def test_a_compiled_step_writes_the_same(name: str) -> None:
    made, counter = decoder(name), CompileCounter()
    Compiled._every[made] = Compiled(counter)
    expected = written(made, compile=False)
    assert counter.frame_count == 0
    assert written(made, compile=True) == expected
    compiled = counter.frame_count
    assert compiled >= KINDS[name] + 1, "the layers, and what samples"
    assert written(made, compile=True) == expected
    assert counter.frame_count == compiled, "another generator finds what was compiled"


@pytest.mark.slow
def test_so_does_one_of_generated_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PLACE, str(tmp_path))
    made = decoder("mixed")
    assert written(made, compile=True, prompts=["def"]) == written(made, compile=False, prompts=["def"])
    assert list(tmp_path.rglob("*.so")), "it is kept"


def test_the_model_is_as_it_was_even_where_a_step_fails() -> None:
    made = decoder("mixed")
    before = [(name, dict(vars(each))) for name, each in made.named_modules()]
    state = make_state(made, 1, 80)
    with pytest.raises(GenerationError, match="for inference"), Compiled("eager").layers(made):
        made.hidden(torch.zeros(1, 1, dtype=torch.int64), state)
    assert [(name, dict(vars(each))) for name, each in made.named_modules()] == before


def test_hooks_that_come_and_go_after_it_was_compiled_are_heard() -> None:
    made = decoder("mixed")
    Compiled._every[made] = Compiled("eager")
    bare = written(made, compile=True, max_new=6)
    for part in (made.layers[0], made.layers[0].ffn, made.head):
        handle = part.register_forward_pre_hook(lambda _, args: (-args[0], *args[1:]))
        hooked = written(made, compile=True, max_new=6)
        assert hooked == written(made, compile=False, max_new=6) != bare
        handle.remove()
        assert written(made, compile=True, max_new=6) == bare


def test_a_layer_that_somebody_compiled_stays_as_it_is() -> None:
    made = decoder("mixed")
    made.layers[1].compile(backend="eager")
    own = made.layers[1]._compiled_call_impl
    with Compiled("eager").layers(made):
        assert made.layers[1]._compiled_call_impl is own
    assert made.layers[1]._compiled_call_impl is own
    assert made.layers[0]._compiled_call_impl is None


class Branching(nn.Module):
    """Does one thing or another, as the numbers are: no graph can."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.abs().max() >= 0 else -x


def test_what_cannot_be_compiled_runs_as_it_is_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    made, counter = decoder("mixed"), CompileCounter()
    made.layers[1].ffn = nn.Sequential(made.layers[1].ffn, Branching())
    Compiled._every[made] = Compiled(counter)
    expected = written(made, compile=False)
    with caplog.at_level(logging.WARNING, "llm_build.generate"):
        assert written(made, compile=True) == expected
    (record,) = caplog.records
    assert record.message.startswith("layers.1 is not compiled, nor is what is like it")
    assert "because of layers.1.ffn.1 (Branching): Data-dependent branching" in record.message
    assert counter.frame_count > 0, "the others are"


def test_the_part_that_a_fault_comes_from_is_named() -> None:
    class Faulty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no")

    made = nn.Sequential(nn.Identity(), nn.Sequential(Faulty()))
    with pytest.raises(RuntimeError) as caught:
        made(torch.zeros(1))
    assert running_part(caught.value) == "1.0 (Faulty)"
    assert running_part(RuntimeError()) == ""


def test_layers_are_found_wherever_a_model_has_them() -> None:
    blocks = {"layers": 2 * model.block(attention=attention.mha(heads=2), ffn=ffn.mlp())}
    read = {"layers": 2 * model.block(attention=attention.mha(heads=2), cross=attention.mha(heads=2), ffn=ffn.mlp())}
    config = model.encoder_decoder(
        dim=8, vocab=11, context=16, encoder=model.stack(**blocks), decoder=model.stack(**read)
    )
    found = [name for name, _ in layers_of(build(config))]
    assert found == ["encoder.layers.0", "encoder.layers.1", "decoder.layers.0", "decoder.layers.1"]


def test_compiled_code_is_kept_in_the_cache_folder_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLM_BUILD_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv(PLACE, str(tmp_path / "theirs"))
    keep_compiled()
    assert os.environ[PLACE] == str(tmp_path / "theirs")
    monkeypatch.delenv(PLACE)
    keep_compiled()
    assert os.environ[PLACE] == str(tmp_path / "ours" / "inductor")


def test_linear_maps_of_few_rows_are_thin_products_where_a_gpu_has_kernels_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_thin, "DEVICES", ("cpu",))
    found = []

    def backend(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
        _thin.thinned(graph)
        found.append(len(graph.graph.find_nodes(op="call_function", target=torch.ops.llm_build.thin_product.default)))
        return graph.forward

    made = decoder("mixed").bfloat16()
    steps(made, Compiled(backend), 1)
    assert found == [4, 4], "qkv, out, and two of the feed-forward network, for each kind of layer"
