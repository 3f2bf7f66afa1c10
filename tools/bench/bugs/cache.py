"""Bugs of caches, and of what they rely on."""

from __future__ import annotations

from bugs.bug import Bug

DENSE = "plugins/llm_build_plugins/generate/dense_module.py"
VIEW = "registry/llm_build/step/view.py"
STATE = "registry/llm_build/step/state.py"
BOOK = "registry/llm_build/step/book.py"


def dense(name: str, old: str, new: str, file: str = DENSE) -> Bug:
    return Bug(name=name, component="cache:dense", file=file, old=old, new=new)


LAYOUT = "plugins/llm_build_plugins/generate/_layout.py"
DTYPE = "dtype=field.dtype or like.dtype"
CELLS = "self.cells = self.zeros(sizes.rows, sizes.capacity + 1, like=like)"
RESET = "for cells in self.cells.values():\n            cells.index_fill_(0, rows, 0)"
BUGS = [
    dense("no cell for what is no token", "sizes.capacity + 1", "sizes.capacity"),
    dense("kept in float32", DTYPE, "dtype=like.float().dtype", LAYOUT),
    dense(
        "kept in float32 at least",
        DTYPE,
        "dtype=field.dtype or (like.dtype if like.dtype.itemsize > 2 else like.float().dtype)",
        LAYOUT,
    ),
    dense(
        "the dtype of a field is ignored", "self.dtype or like.dtype", "like.dtype", "registry/llm_build/step/field.py"
    ),
    dense(
        "cells shared by all states",
        CELLS,
        f"self.cells = SHARED.setdefault(f'{{sorted(spec)}} {{sizes}} {{like.dtype}}', {CELLS.partition(' = ')[2]})"
        "\n\n\nSHARED: dict = {}\n\n\nclass DenseView(DenseView):",
    ),
    dense("a stale NaN after a reset", RESET, "pass", LAYOUT),
    dense("a reset forgets its neighbour", RESET, RESET.replace("0, rows, 0", "0, rows - 1, 0"), LAYOUT),
    dense("a fork the other way", "cells[target] = cells[source]", "cells[source] = cells[target]", LAYOUT),
    dense(
        "a fork copies the first field",
        "            cells[target] = cells[source]",
        "            cells[target] = cells[source]\n            break",
        LAYOUT,
    ),
    dense(
        "the shortest row's length for all",
        "lengths=step.lengths",
        "lengths=step.lengths.min().expand_as(step.lengths)",
    ),
    dense("the last token is not read", "lengths=step.lengths", "lengths=step.lengths - 1"),
    dense("only the first span is read", "span=step.span", "span=min(64, step.span)"),
    dense(
        "written one cell on",
        "[self.row, step.index] =",
        "[self.row, step.index.clamp(max=self.cells[name].shape[1] - 2) + 1] =",
    ),
    dense("what is no token is stored", "[self.row, step.index] =", "[self.row, step.index.clamp(min=0)] ="),
    dense(
        "cells replaced by a reset",
        RESET,
        RESET.replace(
            "cells.index_fill_(0, rows, 0)",
            "cells.index_fill_(0, rows, 0)\n        self.cells = {name: cells.clone() for name, cells in self.cells.items()}",
        ),
        LAYOUT,
    ),
    dense(
        "waits for the length",
        "span=step.span",
        "span=step.span + 0 * int(step.lengths.max())",
    ),
    dense("a sequence field is not rewound", "view.sequence[name].copy_(kept)", "pass", STATE),
    dense(
        "a sequence field is not reset",
        "for kept in self._raw():\n            kept.index_fill_(0, rows, 0)",
        "pass",
        VIEW,
    ),
    dense(
        "a sequence field is not copied",
        "for kept in self._raw():\n            kept[target] = kept[source]",
        "pass",
        VIEW,
    ),
    dense("rows without tokens are overwritten", "live = (count > 0)", "live = (count > -1)", VIEW),
    dense("a mark that is no copy", "name: kept.clone()", "name: kept", STATE),
    dense(
        "a memory write touches other rows",
        "stays = (count < 0).view(-1, 1, *axes)",
        "stays = (count < -1).view(-1, 1, *axes)",
        VIEW,
    ),
    dense("a length that a fork forgets", "lengths[other] = lengths[one]", "pass", STATE),
    dense("a room that a fork forgets", "self.bounds[row], self.highest[row] = bound, highest", "pass", BOOK),
    dense("a range that is a copy", "return {name: each[start:stop] ", "return {name: each[start:stop].clone() ", VIEW),
    dense("a range of the first rows", "return {name: each[start:stop] ", "return {name: each[: stop - start] ", VIEW),
    dense(
        "a range writes its rows among all", "made.row = self.row[: stop - start]", "made.row = self.row[start:stop]"
    ),
    dense("overflow granted", "if bound + new > self.capacity:", "if bound > self.capacity:", BOOK),
]
