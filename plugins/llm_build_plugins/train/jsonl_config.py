"""The config of a log of JSON lines."""

from __future__ import annotations

from llm_build import Config, component


@component("logger:jsonl", module="llm_build_plugins.train.jsonl_module:JsonLines")
class jsonl(Config):
    """Write the figures to metrics.jsonl of the run, a line for each `log`. The loss curve is drawn from it."""
