"""The config of text files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_build import Config, Context, Problem, Share, component, many, path, share, size
from llm_build_plugins.data._shared import check_held_out
from llm_build_plugins.data._specimens import write_texts


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

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """Several files, in some splits, and one that is cut in two."""
        several = write_texts(folder, "texts")
        drawn = [cls(paths=(several,), held_out=Share.percent(30), seed=seed) for seed in range(3)]
        return [*drawn, cls(paths=(several,)), cls(paths=(several.replace("*", "0"),), held_out=Share.percent(20))]

    def check(self, context: Context) -> Iterator[Problem]:
        return check_held_out(self.held_out)
