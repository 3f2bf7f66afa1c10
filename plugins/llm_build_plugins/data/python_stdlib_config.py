"""The config of the standard library as data."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, Share, component, share, size
from llm_build_plugins.data._shared import check_held_out


@component("data:python_stdlib", module="llm_build_plugins.data.python_stdlib_module:PythonStdlib")
class python_stdlib(Config):
    """The source of the running interpreter's own library: real text on every machine, about 10 MB.

    Tests and the folders that are tables more than code (`encodings`, `pydoc_data`, `lib2to3`) are left out.
    """

    held_out: Share = share(default=Share.percent(5), doc="share of the text that is never trained on")
    seed: int = size(low=0, default=0, doc="which files are held out")

    def check(self, context: Context) -> Iterator[Problem]:
        return check_held_out(self.held_out)
