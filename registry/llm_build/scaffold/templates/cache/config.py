from llm_build import Config, component, hookimpl


@component("cache:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """A cell a token, in order; every row has room for the whole capacity from the start."""


@hookimpl
def llm_components():
    return [thing]
