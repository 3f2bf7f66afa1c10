from llm_build import Config, Problem, component, hookimpl, size


@component("router:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """The k largest of one sigmoid an expert, divided by their sum (DeepSeek-AI 2024, equations 13 to 15)."""

    k: int = size(high=2**16, example=2, doc="experts a position")

    def check(self, context):
        experts = context.need("experts")
        if self.k > experts:
            message = f"k must be at most experts = {experts}; {self.k} arrived"
            yield Problem(field="k", message=message, help=f"write k = {experts} or less", related=("experts",))


@hookimpl
def llm_components():
    return [thing]
