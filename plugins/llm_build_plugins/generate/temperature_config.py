"""The config of plain sampling."""

from __future__ import annotations

from llm_build import Config, component, number


@component("sampler:temperature", module="llm_build_plugins.generate.temperature_module:Temperature")
class temperature(Config):
    """Any token, with the probabilities that the model gives at a temperature."""

    temperature: float = number(default=1, low=0, doc="below 1 sharper, above 1 flatter; 0: only the likeliest")
    repetition: float = number(default=1, low=1, doc="penalty on tokens that the row holds already; 1 is none")
