from llm_build import Config, component, hookimpl


@component("tokenizer:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """One token a byte of UTF-8, and two that are no text: 256 ends a document, 257 fills a row."""

    def vocab_size(self):
        """The rows that a model's embedding needs; a model that states no vocab takes as many."""
        return 258


@hookimpl
def llm_components():
    return [thing]
