from llm_build import Config, Problem, can, component, divided, hookimpl, part, size


@component("attention:acme.thing", module="acme_thing.module:Thing", capabilities=["causal", "cache"])
class thing(Config):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2)."""

    heads: int = size(high=2**16, doc="heads of queries, of keys and of values")
    head_dim: int = size(high=2**16, derive=divided("dim", by="heads"), says="dim / heads")
    position: Config | None = part("position", inherit="position", optional=True, once=True)

    def inside(self, field, context):
        return context.with_(heads=self.heads, head_dim=self.head_dim)

    def check(self, context):
        if context.memory is not None:
            message = "it reads its own sequence; here stands what reads a memory"
            yield Problem(field="", message=message, help="write cross = mha { … }")
        if self.position is not None and not can(self.position, "rotary"):
            message = "position must rotate queries and keys; this one does not"
            yield Problem(field="position", message=message, help="write position = rope")


@hookimpl
def llm_components():
    return [thing]
