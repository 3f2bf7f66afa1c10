"""The config of storing numbers as they are."""

from __future__ import annotations

from llm_build import Config, component


@component("codec:raw", module="llm_build_plugins.generate.raw_module:Raw")
class raw(Config):
    """Numbers are stored as they are, in the dtype of the model or of the field."""
