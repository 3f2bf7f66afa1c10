"""What the modules of built-ins must give, written as plainly as can be: the equations of their sources."""

from __future__ import annotations

from collections.abc import Mapping

from llm_build.conformance.subject import Reference

REFERENCES: Mapping[str, Reference] = {}
