from llm_build import Config, component, hookimpl, number


@component("activation:acme.thing", module="acme_thing.module:Thing", capabilities=["grouped"])
class thing(Config):
    """Swish: x · sigmoid(beta · x) (Ramachandran, Zoph and Le 2017, section 4)."""

    beta: float = number(default=1, above=0, doc="how sharp the gate is; 1 is SiLU")


@hookimpl
def llm_components():
    return [thing]
