"""RMSNorm's config."""

from __future__ import annotations

from llm_build import Config, component, flag, number


@component("norm:rms", module="llm_build_plugins.norm.rms_module:RMSNorm")
class rms(Config):
    """RMSNorm: x / rms(x) · w over the last axis, without a mean and without a bias.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", equation 4.
    """

    eps: float = number(default=1e-5, above=0, doc="added to the mean square before the root")
    offset: bool = flag(default=False, doc="apply the weight as 1 + w, with w drawn at 0 (Gemma)")
