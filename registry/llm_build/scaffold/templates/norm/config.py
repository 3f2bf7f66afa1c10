from llm_build import Config, component, hookimpl, number


@component("norm:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """RMSNorm: x / rms(x) · gain over the last axis (Zhang and Sennrich 2019, equation 4)."""

    eps: float = number(default=1e-5, above=0, doc="added to the mean square before the root")


@hookimpl
def llm_components():
    return [thing]
