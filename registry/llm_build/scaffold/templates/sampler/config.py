from llm_build import Config, component, hookimpl, number


@component("sampler:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """Epsilon sampling: no token whose probability is below eps (Hewitt, Manning and Liang 2022)."""

    eps: float = number(default=1e-3, low=0, below=1, doc="the least probability; the likeliest token always stays")


@hookimpl
def llm_components():
    return [thing]
