"""Bugs of objectives."""

from __future__ import annotations

from bugs.bug import Bug

NEXT = "plugins/llm_build_plugins/train/next_token_module.py"
BUGS = [
    Bug(
        name="padding is counted",
        component="objective:next_token",
        file=NEXT,
        old="counted = (targets != IGNORED).sum().clamp(min=1)",
        new="counted = targets.numel()",
    ),
    Bug(
        name="padding is counted in the z-loss",
        component="objective:next_token",
        file=NEXT,
        old="torch.where(targets != IGNORED, values, 0).sum()",
        new="values.sum()",
    ),
    Bug(
        name="the z-loss is a sum",
        component="objective:next_token",
        file=NEXT,
        old='self.z_loss * sums["log_z_squared"] / counted',
        new='self.z_loss * sums["log_z_squared"]',
    ),
    Bug(
        name="bits in place of nats",
        component="objective:next_token",
        file=NEXT,
        old='parts = {"nll": nll}',
        new='parts = {"nll": nll / 0.6931471805599453}',
    ),
    Bug(
        name="the smoothed loss is told as nll",
        component="objective:next_token",
        file=NEXT,
        old="        if self.z_loss:\n            parts",
        new='        parts["nll"] = total\n        if self.z_loss:\n            parts',
    ),
    Bug(
        name="targets are moved along once more",
        component="objective:next_token",
        file=NEXT,
        old="targets = batch.targets.flatten()",
        new="targets = batch.targets.roll(-1, 1).flatten()",
    ),
    Bug(
        name="the source is not read",
        component="objective:next_token",
        file=NEXT,
        old="hidden, added = batch.hidden(model)",
        new="hidden, added = model.hidden(batch.tokens, count=batch.count)",
    ),
    Bug(
        name="the count is not handed on",
        component="objective:next_token",
        file=NEXT,
        old="hidden, added = batch.hidden(model)",
        new="import attrs\n\n        hidden, added = attrs.evolve(batch, count=None).hidden(model)",
    ),
    Bug(
        name="no target divides by zero",
        component="objective:next_token",
        file=NEXT,
        old=".sum().clamp(min=1)",
        new=".sum()",
    ),
    Bug(
        name="the loss has the wrong sign",
        component="objective:next_token",
        file=NEXT,
        old="return total, {**parts, **added}",
        new="return -total, {**parts, **added}",
    ),
    Bug(
        name="the hidden states are cut off",
        component="objective:next_token",
        file=NEXT,
        old="hidden.flatten(0, 1), targets)",
        new="hidden.flatten(0, 1).detach(), targets)",
    ),
    Bug(
        name="the losses of the layers are told and not added",
        component="objective:next_token",
        file=NEXT,
        old="total = total + each",
        new="total = total + 0 * each",
    ),
    Bug(
        name="the softmax is in bfloat16",
        component="objective:next_token",
        file=NEXT,
        old="logits = logits.float()",
        new="pass",
    ),
]
