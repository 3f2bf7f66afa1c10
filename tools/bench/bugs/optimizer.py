"""Bugs of optimisers."""

from __future__ import annotations

from bugs.bug import Bug

GROUPS = "plugins/llm_build_plugins/train/_groups.py"
LION = "plugins/llm_build_plugins/train/lion_module.py"
MATRICES = "plugins/llm_build_plugins/train/_matrices.py"
MUON = "plugins/llm_build_plugins/train/muon_module.py"
BUGS = [
    Bug(
        name="steps go up",
        component="optimizer:lion",
        file=LION,
        old='alpha=-group["lr"]',
        new='alpha=group["lr"]',
    ),
    Bug(
        name="the decay is not multiplied with the rate",
        component="optimizer:lion",
        file=LION,
        old='weight.mul_(1 - group["lr"] * group["weight_decay"])',
        new='weight.mul_(1 - 1e-4 * group["weight_decay"])',
    ),
    Bug(
        name="the decay makes weights grow",
        component="optimizer:lion",
        file=LION,
        old='weight.mul_(1 - group["lr"]',
        new='weight.mul_(1 + group["lr"]',
    ),
    Bug(
        name="the momentum is lost on resume",
        component="optimizer:lion",
        file=LION,
        old="state = self.state[weight]",
        new='state = self.__dict__.setdefault("kept", {}).setdefault(weight, {})',
    ),
    Bug(
        name="every gradient is taken to be there",
        component="optimizer:lion",
        file=LION,
        old="if weight.grad is not None:",
        new="if True:",
    ),
    Bug(
        name="the rate is that of the beginning",
        component="optimizer:lion",
        file=LION,
        old='direction, alpha=-group["lr"])',
        new='direction, alpha=-self.__dict__.setdefault("first", group["lr"]))',
    ),
    Bug(
        name="a wish for a rate is not heard",
        component="optimizer:adamw",
        file=GROUPS,
        old="lr * group.lr",
        new="lr",
    ),
    Bug(
        name="norms and biases decay",
        component="optimizer:adamw",
        file=GROUPS,
        old="decay if group.decay else 0.0",
        new="decay",
    ),
    Bug(
        name="frozen parameters are listed",
        component="optimizer:sgd",
        file=GROUPS,
        old="if not groups:",
        new='groups[0]["params"] += (w for w in model.parameters() if not w.requires_grad)\n    if not groups:',
    ),
    Bug(
        name="the state of the others is not loaded",
        component="optimizer:muon",
        file=MATRICES,
        old='self.others.load_state_dict(state_dict["others"])',
        new="pass",
    ),
    Bug(
        name="only the first matrix of a stack moves",
        component="optimizer:muon",
        file=MATRICES,
        old="product(*map(range, weight.shape[:-2]))",
        new="product(*([0] for _ in weight.shape[:-2]))",
    ),
    Bug(
        name="what is no matrix is left out",
        component="optimizer:muon",
        file=MUON,
        old="self.others.make(rest) if rest.parameter_groups else None",
        new="None",
    ),
    Bug(
        name="the rate of the matrices is not handed down",
        component="optimizer:muon",
        file=MATRICES,
        old="inner.update(_options(group))",
        new='inner.update({**_options(group), "lr": inner["lr"]})',
    ),
]
