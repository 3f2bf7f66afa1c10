"""ScaleNorm, from somebody else."""

from __future__ import annotations

from llm_build import Config, component, hookimpl, number


@component("norm:acme.scale_norm", module="acme_norm.module:ScaleNorm")
class scale_norm(Config):
    """g · x / |x|. Source: Nguyen and Salazar 2019, "Transformers without tears", section 2.2."""

    eps: float = number(default=1e-5, above=0, doc="the least |x|")


@hookimpl
def llm_components() -> list[type[Config]]:
    return [scale_norm]
