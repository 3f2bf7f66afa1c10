"""The specs that ship as examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_build import build, load
from llm_build.cost import parameters
from llm_build.resolve import read, source_of
from tests.processes import ROOT

SPECS = sorted((ROOT / "specs").rglob("*.llm"))
COUNTS = {
    "gpt2": 124_439_808,
    "llama3_8b": 8_030_261_248,
    "minicourse": 483_033_680,
    "seq2seq": 54_388_496,
}
"""The parameters of models whose count is published or given with their source."""


def test_there_are_specs() -> None:
    assert SPECS


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_spec_is_fine_and_its_model_builds(spec: Path) -> None:
    reading = read(source_of(spec))
    assert not reading.diagnostics, "\n".join(map(str, reading.diagnostics))
    assert parameters(reading.config) > 0


@pytest.mark.parametrize("name", COUNTS)
def test_a_model_has_exactly_the_parameters_of_its_source(name: str) -> None:
    assert parameters(load(ROOT / "specs" / f"{name}.llm")) == COUNTS[name]


def test_building_on_meta_allocates_nothing() -> None:
    model = build(load(ROOT / "specs" / "quickstart.llm"), device="meta")
    assert {each.device.type for each in (*model.parameters(), *model.buffers())} == {"meta"}
