from llm_build import Config, component, hookimpl, part


@component("placement:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """A norm before each branch and another after it (Ding et al. 2021, "CogView")."""

    norm: Config = part("norm", inherit="norm", doc="two of them a branch")


@hookimpl
def llm_components():
    return [thing]
