"""The config of decoding token by token."""

from __future__ import annotations

from typing import Any

from llm_build import Config, component, flag, part, size, text


@component("generator:decode", module="llm_build_plugins.generate.decode_module:Decode")
class decode(Config):
    """Reads the prompts once, then writes one token a row and step, keeping what each layer has to remember.

    A model with an encoder is given the prompt as its source.
    """

    sampler: Any = part("sampler", default="temperature", doc="which tokens may follow, and how likely")
    cache: Any = part("cache", default="dense", doc="how what the layers remember lies in memory")
    quantizer: Any = part("quantizer", optional=True, doc="how weights take fewer bytes while it writes")
    capture: bool = flag(default=True, doc="on a GPU, launch each step at once, as a CUDA graph")
    compile: bool = flag(
        default=False,
        doc="compile each kind of layer: faster steps, up to a minute later; kept on disk, so the next time sooner",
    )
    rows: int = size(default=64, high=2**16, doc="most texts that are written at a time; others wait for a free row")
    chunk: int = size(default=2048, doc="most tokens of a prompt that are read in one call")
    max_new: int = size(default=256, doc="most tokens that are written after a prompt; the context ends a text too")
    prompt: str | None = text(
        default=None,
        optional=True,
        doc="what to begin with or to read where nobody says; none: [eos], a held-out source",
    )
