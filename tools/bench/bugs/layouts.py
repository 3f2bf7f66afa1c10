"""Bugs of the layouts and of the codec, and of recurrences."""

from __future__ import annotations

from bugs.bug import Bug

FOLDER = "plugins/llm_build_plugins/generate/"
RING, PAGED, PAGES, INT8 = (FOLDER + each for each in ("_ring.py", "paged_module.py", "_pages.py", "int8_module.py"))
ORDER = "registry/llm_build/attend/order.py"
DELTA = "plugins/llm_build_plugins/attention/gated_delta_module.py"
CONV = "plugins/llm_build_plugins/attention/_short_convolution.py"
MLA = "plugins/llm_build_plugins/attention/mla_module.py"
STATE = "registry/llm_build/step/state.py"


def of(component: str, name: str, file: str, old: str, new: str) -> Bug:
    return Bug(name=name, component=component, file=file, old=old, new=new)


BUGS = [
    of("cache:paged", "pages that are never freed", PAGES, "        self._free += freed\n", ""),
    of(
        "cache:dense",
        "a ring one cell short",
        RING,
        "self.size = reach + sizes.max_step - 1",
        "self.size = reach + sizes.max_step - 2",
    ),
    of("cache:dense", "a ring without slack", RING, "self.size = reach + sizes.max_step - 1", "self.size = reach"),
    of(
        "cache:dense",
        "a ring that reads one token less",
        ORDER,
        "(place > q_index[:, :1] - self.reach)",
        "(place > q_index[:, :1] - self.reach + 1)",
    ),
    of("cache:dense", "a ring of the shortest reach", RING, "return max(bounded) if", "return min(bounded) if"),
    of(
        "cache:dense",
        "a stale NaN in a ring",
        FOLDER + "_layout.py",
        "def reset_cells(self, rows: Tensor) -> None:\n",
        "def reset_cells(self, rows: Tensor) -> None:\n        rows = rows[:0]\n",
    ),
    of("cache:paged", "a shared page is written", PAGES, "copied = self._shared(writing)", "copied = []"),
    of("cache:paged", "a copied page is empty", PAGED, "cells[new] = cells[old]", "pass"),
    of("cache:paged", "a stale NaN in a page", PAGED, "cells.index_fill_(0, index, 0)", "pass"),
    of(
        "cache:paged",
        "a page is freed that others have",
        PAGES,
        "if self._uses[page] == 0:",
        "if self._uses[page] >= 0:",
    ),
    of(
        "cache:paged",
        "pages are taken before a refusal",
        PAGES,
        "        if needed > self.free:",
        "        self._begun = self.total if needed > self.free else self._begun\n        if needed > self.free:",
    ),
    of(
        "cache:paged",
        "the table is not published",
        PAGED,
        "self.table.copy_(sent(self._known, self.table.device))",
        "self.table = self._known.clone()",
    ),
    of("cache:paged", "a page too few", PAGES, "return -(-tokens // self.page)", "return tokens // self.page"),
    of(
        "cache:paged",
        "what is no token lies in a page",
        PAGED,
        "torch.where((index < 0) | (page == pool.empty), pool.spill, page)",
        "page",
    ),
    of(
        "cache:dense",
        "a codec that answers new tokens raw",
        FOLDER + "_layout.py",
        "return self.decoded(read, new), k_index",
        "fields = self.decoded(read, new)\n"
        "        for row, column in (step.index >= 0).nonzero().tolist():\n"
        "            cell = (k_index[row] == step.index[row, column]).nonzero()[0, 0]\n"
        "            for name, each in fields.items():\n"
        "                each[row, cell] = new[name][row, column]\n"
        "        return fields, k_index",
    ),
    of(
        "cache:dense",
        "whole numbers that are coded",
        INT8,
        "return bool(field.shape) and field.dtype is not None and field.dtype.is_floating_point",
        "return bool(field.shape)",
    ),
    of(
        "attention:gated_delta",
        "a convolution that forgets",
        DELTA,
        'step.keep("recent", self.convolution.latest(inputs, step.count))',
        "pass",
    ),
    of(
        "attention:gated_delta",
        "a convolution that takes padding",
        DELTA,
        "self.convolution.latest(inputs, step.count)",
        "self.convolution.latest(inputs, None)",
    ),
    of(
        "attention:gated_delta",
        "a matrix that takes padding",
        DELTA,
        "return decay.where(real[..., None], 0), beta.where(real[..., None], 0)",
        "return decay, beta",
    ),
    of("attention:gated_delta", "a matrix that is not kept", DELTA, 'step.keep("matrix", state)', "pass"),
    of(
        "attention:gated_delta",
        "documents meet in the convolution",
        DELTA,
        "q, k, v = self.convolution(inputs, segments)",
        "q, k, v = self.convolution(inputs, None)",
    ),
    of(
        "attention:gated_delta",
        "documents meet in the matrix",
        DELTA,
        "y, state = many(q, k, v, decay, beta, state, segments)",
        "y, state = many(q, k, v, decay, beta, state, None)",
    ),
    of(
        "attention:gated_delta",
        "one token takes another way",
        DELTA,
        "y, state = one(q, k, v, decay, beta, state)",
        "y, state = one(q, k, v, decay, beta * 0.99, state)",
    ),
    of(
        "attention:mla",
        "absorbed without the keys' rotary part",
        MLA,
        "head_by_head(still, keys.mT, turning, steady=steady)",
        "head_by_head(still, keys.mT, 0 * turning, steady=steady)",
    ),
    of(
        "attention:mla",
        "the latent is normed after it is stored",
        MLA,
        "self.kv_norm(latent)[..., None, :]",
        "latent[..., None, :]",
    ),
    of(
        "attention:mla",
        "the shared key is not rotated",
        MLA,
        "turning, shared = (self.position.rotate(each, step.positions) for each in (turning, shared))",
        "turning = self.position.rotate(turning, step.positions)",
    ),
]
