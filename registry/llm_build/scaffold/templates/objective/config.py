from llm_build import Config, component, hookimpl, number


@component("objective:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """Next-token cross-entropy, less a share of the entropy (Pereyra et al. 2017, section 3)."""

    beta: float = number(default=0.1, low=0, doc="what the mean entropy is multiplied by; 0 is plain cross-entropy")


@hookimpl
def llm_components():
    return [thing]
