from llm_build import Config, component, hookimpl, number


@component("optimizer:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """RMSprop: each gradient is divided by the root of its mean square (Tieleman and Hinton 2012, lecture 6.5)."""

    lr: float = number(default=1e-3, above=0, doc="peak learning rate")
    alpha: float = number(default=0.99, low=0, below=1, doc="how much of the mean square is kept")
    decay: float = number(default=0, low=0, doc="weight decay, added to the gradient")


@hookimpl
def llm_components():
    return [thing]
