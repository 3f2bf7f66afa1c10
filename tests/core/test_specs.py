"""The specs that ship as examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_build import build, load
from llm_build.cost import parameters
from llm_build.resolve import read, source_of
from tests.processes import ROOT

SPECS = sorted((ROOT / "specs").rglob("*.llm"))


def test_there_are_specs() -> None:
    assert SPECS


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_spec_is_fine_and_its_model_builds(spec: Path) -> None:
    reading = read(source_of(spec))
    assert not reading.diagnostics, "\n".join(map(str, reading.diagnostics))
    assert parameters(reading.config) > 0


def test_building_on_meta_allocates_nothing() -> None:
    model = build(load(ROOT / "specs" / "quickstart.llm"), device="meta")
    assert {each.device.type for each in (*model.parameters(), *model.buffers())} == {"meta"}
