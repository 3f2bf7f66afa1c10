"""The config of weights in 8 bits."""

from __future__ import annotations

from llm_build import Config, component, flag


@component("quantizer:int8", module="llm_build_plugins.quantize.int8_module:Int8")
class int8(Config):
    """Weights alone, a byte each, with a scale for each output of a linear map: symmetric, by the largest weight.

    Activations, embeddings, banks of experts and what chooses among experts stay as they are. It helps where reading
    the weights is what takes the time: for few rows at once, in half precision.
    Source: Dettmers et al. 2022, "LLM.int8()", section 2.1 and 3.1, on the side of the weights alone.
    """

    head: bool = flag(default=True, doc="the head's matrix too; one that is tied to the embedding becomes a copy")
