"""Parts of a step that are alike, compiled once for each number of rows. Legend: B rows."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from llm_build import with_own_code
from llm_build_plugins._thin import thin_products
from llm_build_plugins.generate._culprit import first_line, traced_part

log = logging.getLogger("llm_build.generate")

LIMIT = 64
"""How often one region is compiled for one number of rows, at most: parts of one shape may differ in what they do."""

Backend = str | Callable[..., Any]

_made = itertools.count()


class Region:
    """`call(part, …)` for parts that are alike: they share one piece of compiled code.

    All sizes are static in it, so each number of rows has code of its own. Where a part cannot be compiled whole, it
    and its like run as they are from then on, and a line says why.
    """

    def __init__(self, call: Callable[..., Any], backend: Backend) -> None:
        self._call, self._backend = call, backend
        self._number = next(_made)
        self._compiled: dict[int, Callable[..., Any]] = {}
        self._refused = False

    def __call__(self, name: str, part: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What `call(part, *args, **kwargs)` gives; the part is called `name` where it must be named."""
        if self._refused:
            return self._as_it_is(part, args, kwargs)
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # slow to import

        try:
            return self._for(_rows(args))(part, *args, **kwargs)
        except (TorchDynamoException, FailOnRecompileLimitHit) as fault:
            # a part is compiled whole, and before it runs: nothing of it has run yet
            self._refused = True
            where = traced_part(fault, name, part)
            log.warning("%s is not compiled, nor is what is like it, because of %s: %s", name, where, first_line(fault))
        return self._as_it_is(part, args, kwargs)

    def _as_it_is(self, part: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with thin_products():
            return self._call(part, *args, **kwargs)

    def _for(self, rows: int) -> Callable[..., Any]:
        """The compiled function for so many rows."""
        if rows not in self._compiled:
            own = with_own_code(self._call, f"region_{self._number}_of_{rows}_rows")
            self._compiled[rows] = torch.compile(own, fullgraph=True, backend=self._backend)
        return self._compiled[rows]


def _rows(args: Sequence[Any]) -> int:
    return next((each.shape[0] for each in args if isinstance(each, Tensor)), 0)
