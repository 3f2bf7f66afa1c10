from llm_build import Config, Problem, Share, component, hookimpl, path, share


@component("data:acme.thing", module="acme_thing.module:Thing")
class thing(Config):
    """A file of JSON lines, `{"text": "…"}`, each one a document."""

    file: str = path(example="books.jsonl", doc="the file, read when a run starts")
    held_out: Share = share(default=Share.percent(10), doc="share of the documents that is never trained on")

    @classmethod
    def specimens(cls, folder):
        """What the conformance kit proves it with."""
        file = folder / "lines.jsonl"
        file.write_text("".join(f'{{"text": "line {number}"}}\n' for number in range(9)))
        return [cls(file=str(file), held_out=Share.percent(30))]

    def check(self, context):
        if not 0 < self.held_out.fraction < 1:
            message = f"held_out must lie between 0% and 100%, both excluded; {self.held_out} arrived"
            yield Problem(field="held_out", message=message, help="write held_out = 10%")


@hookimpl
def llm_components():
    return [thing]
