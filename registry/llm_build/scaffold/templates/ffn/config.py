from llm_build import Config, component, hookimpl, size


def four_dims(config, context):
    return 4 * context.need("dim")


@component("ffn:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """A gated linear unit without biases: down(sigmoid(gate(x)) · up(x)) (Shazeer 2020, equation 6)."""

    hidden: int = size(high=2**24, derive=four_dims, says="4 * dim", doc="the width inside")


@hookimpl
def llm_components():
    return [thing]
