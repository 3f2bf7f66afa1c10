"""What a sequence mixer reads. Legend: K tries, B rows, T positions, M places of a memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from llm_build.components import Config, PartKind, field_specs
from llm_build.conformance.calls import step_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.drawing import draw_part
from llm_build.conformance.moves import NONE, SOME, TRIES, moves
from llm_build.conformance.subject import Subject
from llm_build.conformance.surroundings import BACKWARDS, FORWARDS, OVER_MEMORY, takes
from llm_build.conformance.trial import Made, Trial
from llm_build.errors import GenerationError

ATTENTION = ("attention",)
SHORT = 7


def mixes(subject: Subject) -> bool:
    """Whether it mixes its own sequence, up to each place."""
    return takes(subject, FORWARDS)


def turns(subject: Subject) -> bool:
    """Whether it does, and takes a position."""
    specs = field_specs(subject.cls).values()
    return mixes(subject) and any(isinstance(each.kind, PartKind) and each.kind.slot == "position" for each in specs)


def reads_memory(subject: Subject) -> bool:
    return takes(subject, OVER_MEMORY)


def inputs(trial: Trial, made: Made, rows: int, length: int) -> Tensor:
    return trial.normal(rows, length, made.context.need("dim"))


def mixed(made: Made, **told: Any) -> Callable[[Tensor], Tensor]:
    """The mixer as a function of x; what it is told [K, …] is repeated where there are more rows."""

    def function(x: Tensor) -> Tensor:
        repeated = {name: each.repeat(len(x) // len(each), *[1] * (each.dim() - 1)) for name, each in told.items()}
        found: Tensor = made.module(x, step_of(x, **repeated))
        return found

    return function


def positions_for(trial: Trial, length: int) -> dict[str, Tensor]:
    """As they are, or drawn without any order: a mask goes by the place in the sequence."""
    return {"positions": trial.integers(length, TRIES, length)} if trial.flag("positions in disorder") else {}


@check("causal", slots=ATTENTION, needs=["causal"], when=mixes)
def causal(trial: Trial) -> None:
    """Another input at t moves no output before t.

    Positions are in disorder in some cases: those are for position components, and masks go by `step.index`. A leak
    that is smaller than rounding is for the check "future".
    """
    made, length = trial.made(**FORWARDS), trial.length(low=2, high=SHORT)
    x = inputs(trial, made, TRIES, length)
    found = moves(trial, x, mixed(made, **positions_for(trial, length)))
    later = found.triu(1)
    t, s = divmod(int(later.argmax()), length)
    require(bool(later.max() <= NONE), f"the output at {t} moves by {later.max():.2g} as the input at {s} changes")


@check("future", slots=ATTENTION, needs=["causal"], when=mixes)
def future(trial: Trial) -> None:
    """The gradient of the output at t to every later input is exactly 0, not just small.

    What fails here and passes "causal" hides keys by a large negative number that is not large enough, or by a small
    factor; training finds such a leak.
    """
    made, length = trial.made(**FORWARDS), trial.length(low=2, high=SHORT)
    x = inputs(trial, made, 2, length).requires_grad_()
    y, t = mixed(made)(x), trial.whole("t", 0, length - 2)
    (gradient,) = torch.autograd.grad((y[:, t] * trial.normal(*y[:, t].shape)).sum(), x)
    finite(gradient, f"the gradient of the output at {t}")
    leak = gradient[:, t + 1 :].abs().amax((0, 2))
    s = t + 1 + int(leak.argmax())
    require(bool(leak.max() == 0), f"the output at {t} has a gradient of {leak.max():.2g} to the input at {s}")


@check("own", slots=ATTENTION, needs=["causal"], when=mixes)
def own(trial: Trial) -> None:
    """The output at t moves with the input at t, the first one too.

    It fails where a mask hides the place itself. Where no output moves with any input, the case says nothing: a norm
    over one dimension, say, leaves nothing of it.
    """
    made, length = trial.made(**FORWARDS), trial.length(low=2, high=SHORT)
    found = moves(trial, inputs(trial, made, TRIES, length), mixed(made))
    diagonal = found.diagonal()
    if bool(found.max() > SOME):
        t = int(diagonal.argmin())
        require(bool(diagonal.min() > SOME), f"the output at {t} does not move as the input at {t} changes")


@check("reach", slots=ATTENTION, needs=["causal"], when=mixes)
def reach(trial: Trial) -> None:
    """The output reads as far back as `state_spec` says: to the furthest token that `reach` covers, and to none before.

    A cache throws away what lies further back. Without a `reach`, or where a state goes along with the sequence, some
    later output must move with the first input. How the tokens within reach are weighed is not looked at.
    """
    made = trial.made(**FORWARDS)
    declared = declared_reach(made.module)
    length = max(trial.length(low=2, high=SHORT), 2 if declared is None else min(declared + 1, 10))
    found = moves(trial, inputs(trial, made, TRIES, length), mixed(made))
    if declared is None:
        read, where = found[1:, 0], "any output moves with the first input"
    else:
        beyond = found.tril(-declared)
        t, s = divmod(int(beyond.argmax()), length)
        told = f"its fields reach {declared} tokens, and the output at {t} moves as the input at {s} changes"
        require(bool(beyond.max() <= NONE), told)
        read, where = found.diagonal(-(declared - 1)), f"any output moves with what came {declared - 1} before"
    if bool(found.max() > SOME) and len(read):
        require(bool(read.max() > SOME), f"its fields reach {declared or 'all'} tokens, and not {where}")


def declared_reach(module: Any) -> int | None:
    """How many tokens the fields of a mixer reach; None where one of them has no end, or goes along."""
    reaches = [each.reach for each in module.state_spec.values() if each.per == "token" and each.reach is not None]
    return max(reaches) if reaches and len(reaches) == len(module.state_spec) else None


@check("padding", slots=ATTENTION)
def padding(trial: Trial) -> None:
    """What follows the real tokens of a row (`count`) changes none of its outputs, and gets no gradient.

    Every row equals itself alone, cut to what is real. A row may have no token at all. Contexts in which a position
    sees what comes after it are drawn wherever the component takes them: there it shows.
    """
    made = trial.made(**(BACKWARDS if takes(trial.subject, BACKWARDS) and trial.flag("backwards") else {}))
    rows, length = trial.whole("rows", 2, 3), trial.length(low=3, high=SHORT)
    counts = [trial.whole(f"tokens of row {row}", 0, length - 1) for row in range(rows)]
    x, count = inputs(trial, made, rows, length).requires_grad_(), torch.tensor(counts)
    memory = {} if made.context.memory is None else {"memory": trial.normal(rows, 2, made.context.memory)}
    y = mixed(made, count=count, **memory)(x)
    for row, real in enumerate(counts):
        alone = mixed(made, **{name: each[row : row + 1] for name, each in memory.items()})
        if real:
            same(y[row, :real], alone(x[row : row + 1, :real])[0], f"row {row}, {real} tokens and padding")
    real_ones = torch.arange(length) < count[:, None]
    (gradient,) = torch.autograd.grad((y * trial.normal(*y.shape) * real_ones[..., None]).sum(), x)
    finite(gradient, "the gradient of a batch with padding")
    require(not bool(gradient[~real_ones].any()), "what follows the real tokens gets a gradient")


@check("documents", slots=ATTENTION, when=mixes)
def documents(trial: Trial) -> None:
    """Documents that share a row never meet: each gives what it gives alone.

    A mixer that takes none raises `GenerationError`, which says what to do instead, and is held to nothing here.
    """
    made = trial.made(**(BACKWARDS if takes(trial.subject, BACKWARDS) and trial.flag("backwards") else FORWARDS))
    pieces = trial.draw("documents", st.lists(st.integers(1, 4), min_size=2, max_size=3))
    x = inputs(trial, made, 2, sum(pieces))
    number = torch.repeat_interleave(torch.arange(len(pieces)), torch.tensor(pieces))
    place = torch.cat([torch.arange(each) for each in pieces])
    try:
        y = mixed(made, documents=number.expand(2, -1), positions=place.expand(2, -1))(x)
    except GenerationError:
        return
    for which in range(len(pieces)):
        same(y[:, number == which], mixed(made)(x[:, number == which]), f"document {which} beside others")


@check("shift", slots=ATTENTION, when=turns)
def shift(trial: Trial) -> None:
    """With a position component that is relative, moving all positions along changes nothing.

    It fails where queries are rotated and keys are not, or not at the same place.
    """
    made = turned(trial)
    assume("relative" in made.config.position.__component__.capabilities)  # type: ignore[attr-defined]
    length, along = trial.length(low=2, high=SHORT), trial.whole("along", 1, 9)
    x, place = inputs(trial, made, 2, length), torch.arange(length).expand(2, -1)
    same(mixed(made, positions=place + along)(x), mixed(made)(x), f"all positions moved by {along}")


@check("positions", slots=ATTENTION, when=turns)
def positions(trial: Trial) -> None:
    """Outputs depend on the positions that a call gives, wherever the component has a position.

    It fails where the position component is built and not used, or told places of its own making. Whether it is used
    rightly is for "shift" and for what is decoded with a cache.
    """
    made = turned(trial)
    assume(declared_reach(made.module) != 1)
    length = trial.length(low=3, high=SHORT)
    x, elsewhere = inputs(trial, made, TRIES, length), trial.integers(5 * length, TRIES, length)
    change = (mixed(made, positions=elsewhere)(x) - mixed(made)(x)).abs().max()
    lively = moves(trial, x, mixed(made)).tril(-1).max() > SOME
    require(bool(change > SOME) or not bool(lively), "other positions change no output")


def turned(trial: Trial) -> Made:
    """The mixer with a rotary position."""
    position = draw_part(trial.pick, "position", trial.subject, "rotary")
    made = trial.made(**FORWARDS, position=position)
    assume(isinstance(getattr(made.config, "position", None), Config))
    return made


@check("memory", slots=ATTENTION, when=reads_memory)
def memory(trial: Trial) -> None:
    """Outputs move with every real place of the memory of their row, and with nothing beyond `memory_count`.

    A row that has no memory gives finite numbers. What does not read memories at all says so by a `Problem` where
    `context.memory` is there. Memories in a running state are for the check "schedule".
    """
    made, length = trial.made(**OVER_MEMORY), trial.length(high=3)
    places = trial.whole("places", 1, 4)
    real = trial.whole("real places", 0, places)
    x, source = inputs(trial, made, TRIES, length), trial.normal(TRIES, places, made.context.memory or 0)

    def function(memory: Tensor) -> Tensor:
        rows = len(memory)
        told = {"memory": memory, "memory_count": torch.full((rows,), real)}
        return mixed(made, **told)(x.repeat(rows // TRIES, 1, 1))

    finite(function(source), f"a memory of {real} places")
    found = moves(trial, source, function).amax(0)
    require(bool((found[real:] <= NONE).all()), f"outputs move with what lies beyond the {real} places of a memory")
    over = mixed(made, memory=source, memory_count=torch.full((TRIES,), real))
    if real and bool(torch.maximum(found.max(), moves(trial, x, over).max()) > SOME):
        place = int(found[:real].argmin())
        require(bool(found[place] > SOME), f"no output moves with place {place} of a memory of {real}")
