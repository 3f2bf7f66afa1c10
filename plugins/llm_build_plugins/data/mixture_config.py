"""The config of a mixture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_build import Config, Context, Problem, Share, component, is_paired, many, number, parts
from llm_build_plugins.data._specimens import write_pairs, write_texts
from llm_build_plugins.data.files_config import files
from llm_build_plugins.data.pairs_config import pairs


@component("data:mixture", module="llm_build_plugins.data.mixture_module:DataMixture")
class mixture(Config):
    """Several data in given proportions: `mixture { of = [files { … }, gutenberg { … }], weights = [3, 1] }`.

    Every batch draws its examples by the weights: here three of four from the files. Each part is read in an order of
    its own, again from the start where it is used up. One epoch draws as many examples as all parts have together. Each
    part holds out text of its own, and all of that is measured on. A part may be a mixture.
    """

    of: Any = parts("data", doc="what is mixed: all plain text, or all pairs")
    weights: tuple[float, ...] | None = many(
        number(above=0), default=None, optional=True, doc="how much of each part; none: the same of all"
    )

    def paired(self) -> bool:
        """Whether its documents have sources."""
        return all(is_paired(each) for each in self.of)

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """Of texts, of pairs, and of a mixture."""
        first, second = (files(paths=(write_texts(folder, name),), held_out=Share.percent(30)) for name in ("a", "b"))
        third, fourth = (pairs(paths=(write_pairs(folder, name),), held_out=Share.percent(30)) for name in ("c", "d"))
        whole = cls(of=[first, second], weights=(3, 0.5))
        return [whole, cls(of=[third, fourth]), cls(of=[cls(of=[first], weights=(2,)), second], weights=(1, 3))]

    def check_weights(self, context: Context) -> Iterator[Problem]:
        if self.weights is not None and len(self.weights) != len(self.of):
            yield Problem(
                field="weights",
                message=f"weights must have one number for each of the {len(self.of)} parts; "
                f"{len(self.weights)} arrived",
                help=f"write weights = [{', '.join(['1'] * len(self.of))}], or leave it out",
            )

    def check_kinds(self, context: Context) -> Iterator[Problem]:
        paired = [is_paired(each) for each in self.of]
        if any(paired) and not all(paired):
            yield Problem(
                field="of",
                message=f"a mixture is of plain text or of pairs; of[{paired.index(True)}] is pairs, "
                f"of[{paired.index(False)}] is not",
                help="keep one of the two kinds",
            )
