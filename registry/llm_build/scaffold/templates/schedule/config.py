from llm_build import Config, component, hookimpl, number


@component("schedule:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """The learning rate goes down as a power of what is left of the run: (1 - step / steps) ^ power."""

    power: float = number(default=1, above=0, doc="1 is a straight line; above, it falls earlier")


@hookimpl
def llm_components():
    return [thing]
