"""Bugs of sequence mixers, and of what they rely on."""

from __future__ import annotations

from bugs.bug import Bug

GQA = "plugins/llm_build_plugins/attention/gqa_module.py"
CROSS = "plugins/llm_build_plugins/attention/cross_module.py"
VISIBLE = "registry/llm_build/attend/visible.py"
MASKED = "registry/llm_build/attend/masked.py"
STEP = "registry/llm_build/step/step.py"
VIEW = "registry/llm_build/step/view.py"
STATE = "registry/llm_build/step/state.py"
BOOK = "registry/llm_build/step/book.py"
ROTATE = "qk = self.position.rotate(qk, step.positions)  # together: the angles are the same"
SEEN = "((k <= q) if options.causal else (q >= 0))"
MIXED = "mixed = step.attend(  # [B, T, H, E]\n            q,\n            k,\n            v,"


def gqa(name: str, old: str, new: str, file: str = GQA) -> Bug:
    return Bug(name=name, component="attention:gqa", file=file, old=old, new=new)


BUGS = [
    gqa(
        "a mask by positions",
        "heads, kv_heads = self.heads, self.kv_heads\n",
        "heads, kv_heads = self.heads, self.kv_heads\n"
        "        step = type(step)(\n"
        "            index=torch.where(step.index < 0, -1, step.positions), positions=step.positions, count=step.count,\n"
        "            documents=step.documents, lengths=step.lengths, span=step.span, view=step.view\n"
        "        )\n",
    ),
    gqa("what comes after is seen", "causal=self.mask.causal,", "causal=False,"),
    gqa(
        "later values get a small weight in place of none",
        MIXED,
        MIXED.replace("v,", "v + 1e-13 * v.amax(1, keepdim=True) * (step.plain and self.mask.causal),"),
    ),
    gqa("mask one too far with a state", SEEN, SEEN.replace("k <= q", "k <= q + 1"), VISIBLE),
    gqa("mask one too near with a state", SEEN, SEEN.replace("k <= q", "k < q"), VISIBLE),
    gqa(
        "mask aligned to the wrong corner",
        "        places.q_index[:, :, None],\n        places.index()",
        "        places.q_index[:, :, None] - places.q_index[:, :1, None],\n        places.index()",
        VISIBLE,
    ),
    gqa("the place itself is hidden", "mask=self.mask.allowed,", "mask=lambda q, k: k < q,"),
    gqa("window one too long", "k > q - options.window", "k >= q - options.window", VISIBLE),
    gqa("window one too short", "k > q - options.window", "k > q - options.window + 1", VISIBLE),
    gqa(
        "reach declared too short",
        "reach=self.mask.window if",
        "reach=self.mask.window and max(self.mask.window - 1, 1) if",
    ),
    gqa(
        "rotary offset lost in decode",
        ROTATE,
        ROTATE.replace("step.positions)", "step.positions - step.positions[:, :1])"),
    ),
    gqa(
        "rotary on queries only",
        ROTATE,
        "qk = torch.cat((self.position.rotate(qk[:, :, :heads], step.positions), qk[:, :, heads:]), dim=-2)",
    ),
    gqa("positions never used", ROTATE, ROTATE.replace("step.positions)", "torch.zeros_like(step.positions))")),
    gqa("places taken for positions", ROTATE, ROTATE.replace("step.positions)", "step.index.clamp(min=0))")),
    gqa(
        "heads grouped wrongly",
        "q,\n            k,",
        "q.unflatten(2, (-1, kv_heads)).transpose(2, 3).flatten(2, 3),\n            k,",
    ),
    gqa(
        "scale wrong",
        "scale=self.scale,",
        "scale=1.1 * self.scale,",
    ),
    gqa("detached keys", "q,\n            k,", "q,\n            k.detach(),"),
    gqa("softcap lost", "softcap=self.softcap,", ""),
    gqa("padding seen", "index=_index(place, count),", "index=place,", STEP),
    gqa(
        "a query with nothing to see gets something",
        "return out if blind is None else out.masked_fill(blind[..., None], 0)",
        "return out",
        MASKED,
    ),
    gqa("documents meet", "seen & (documents[0] == documents[1])", "seen", VISIBLE),
    gqa(
        "documents meet in an encoder",
        "if documents is not None:",
        "if documents is not None and options.causal:",
        VISIBLE,
    ),
    gqa("a memory's length is ignored", "lengths = self.memory_lengths\n", "lengths = None\n", STEP),
    gqa(
        "the last place of a memory is lost",
        "InOrder(lengths=lengths, span=k.shape[1])",
        "InOrder(lengths=lengths - 1, span=k.shape[1])",
        STEP,
    ),
    gqa(
        "a memory write touches other rows",
        "stays = (count < 0).view(-1, 1, *axes)",
        "stays = (count < -1).view(-1, 1, *axes)",
        VIEW,
    ),
    gqa(
        "a memory is never read",
        "k, v = self.kv(memory).unflatten",
        "k, v = self.kv(torch.zeros_like(memory)).unflatten",
        CROSS,
    ),
    gqa(
        "a memory is kept on the mixer",
        "if memory is None:\n            return None, None",
        "if memory is None:\n            return self.kept\n        self.kept = self.kv(memory).unflatten(-1, (-1, self.head_dim)).chunk(2, dim=-2)",
        CROSS,
    ),
    gqa("lengths advanced twice", "self.lengths.add_(count)", "self.lengths.add_(2 * count)", STATE),
    gqa("lengths forgotten by a fork", "lengths[other] = lengths[one]", "pass", STATE),
    gqa("lengths kept by a rewind", "self.lengths.copy_(mark.lengths)", "pass", STATE),
    gqa("overflow granted", "if bound + new > self.capacity:", "if bound > self.capacity:", BOOK),
    gqa(
        "values stored in another dtype",
        MIXED,
        MIXED.replace("v,", "v if step.view is None else v.to(torch.promote_types(v.dtype, torch.float32)),"),
    ),
    gqa(
        "a branch on how long the text is",
        "heads, kv_heads = self.heads, self.kv_heads",
        "heads, kv_heads = self.heads, self.kv_heads\n        if step.lengths is not None and bool((step.lengths > 4).any()):\n            x = x + 0",
    ),
    gqa(
        "one query without count is not masked",
        "padded = self.count is not None",
        "padded = self.count is not None\n        k_index = k_index.clamp(min=0) if self.count is None else k_index",
        STEP,
    ),
    gqa(
        "keys normed over the sequence",
        "q, k = qk.split((heads, kv_heads), dim=-2)\n        mixed",
        "q, k = qk.split((heads, kv_heads), dim=-2)\n        k = k - k.mean(1, keepdim=True).detach()\n        mixed",
    ),
]
