from llm_build import Config, component, hookimpl, number


@component("position:acme.thing", module="acme_thing.module:Thing", capabilities=["additive"])
class thing(Config):
    """Sines and cosines of growing wavelength are added to the embeddings (Vaswani et al. 2017, section 3.5).

    The sines come first and the cosines after them, where the paper interleaves the two.
    """

    theta: float = number(default=10_000, above=0, doc="the base of the wavelengths")


@hookimpl
def llm_components():
    return [thing]
