"""The config of text files."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, Share, component, many, path, share, size
from llm_build_plugins.data._shared import check_held_out


@component("data:files", module="llm_build_plugins.data.files_module:Files")
class files(Config):
    """Text files in UTF-8, each one a document: `files { paths = ["books/**/*.txt"] }`.

    The files are looked up and read when a run starts, not when the spec is checked.
    """

    paths: tuple[str, ...] = many(
        path(), least=1, example=["books/**/*.txt"], doc="files or globs; `**` is any number of folders"
    )
    held_out: Share = share(default=Share.percent(5), doc="share of the text that is never trained on")
    seed: int = size(low=0, default=0, doc="which documents are held out")

    def check(self, context: Context) -> Iterator[Problem]:
        return check_held_out(self.held_out)
