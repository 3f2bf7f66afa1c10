"""The config of storing numbers in 8 bits."""

from __future__ import annotations

from llm_build import Config, component


@component("codec:int8", module="llm_build_plugins.generate.int8_module:Int8")
class int8(Config):
    """Keys and values in 8 bits, -127 to 127 times a scale: the largest of a token, head and part has 127.

    What is answered rests on what is stored, new tokens included. Recurrent states and memories stay as they are.
    Source: Jacob et al. 2017, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2.1, without a zero point.
    """
