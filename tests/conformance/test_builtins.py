"""Every built-in goes through the door that others' components go through."""

from __future__ import annotations

from llm_build.conformance import conformance
from llm_build.registry import installed
from tests.conformance.references import REFERENCES

for each in installed().entries():
    if each.owner.built_in and each.slot != "spec":
        globals()[f"test_{each.slot}_{each.name}"] = conformance(each.id, reference=REFERENCES.get(each.id))
