"""The config of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_build import Config, Context, Problem, Share, component, many, path, share, size
from llm_build_plugins.data._shared import check_held_out
from llm_build_plugins.data._specimens import write_pairs


@component("data:pairs", module="llm_build_plugins.data.pairs_module:TabbedPairs")
class pairs(Config):
    """Pairs of a source and a target, for a model that reads one and writes the other: `pairs { paths = ["*.tsv"] }`.

    The files are UTF-8 and have one pair a line: the source, a tab, the target. Nothing is quoted or escaped. A line
    without any character is left out; every other line must be a pair. Pairs with the same source are all trained on or
    all held out.
    """

    paths: tuple[str, ...] = many(
        path(), least=1, example=["pairs/*.tsv"], doc="files or globs; `**` is any number of folders"
    )
    held_out: Share = share(default=Share.percent(5), doc="share of the text that is never trained on")
    seed: int = size(low=0, default=0, doc="which pairs are held out")

    def paired(self) -> bool:
        """Its documents have sources."""
        return True

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """Pairs of which some have the same source, in some splits."""
        file = write_pairs(folder, "pairs")
        return [cls(paths=(file,), held_out=Share.percent(30), seed=seed) for seed in range(3)]

    def check(self, context: Context) -> Iterator[Problem]:
        return check_held_out(self.held_out)
