"""Differential attention, from somebody else."""

from __future__ import annotations

from llm_build import hookimpl


@hookimpl
def llm_components() -> dict[str, str]:
    return {"attention:acme.differential": "acme_differential.config:differential"}
