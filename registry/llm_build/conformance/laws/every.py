"""What holds for the components of every slot: they are listed, written, checked and built."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import torch
from torch import nn

from llm_build.conformance.calls import CALLS
from llm_build.conformance.check import check
from llm_build.conformance.compare import require
from llm_build.conformance.configs import read_config, text_of
from llm_build.conformance.subject import Subject
from llm_build.conformance.trial import Trial
from llm_build.context import Context
from llm_build.protocols import asked

LISTED = """
import sys
from llm_build import Context
from llm_build.registry import installed
slot, name, *doors = sys.argv[1:]
for door in doors:
    installed().add_named(door)
entry = installed().find(slot, name)
if entry is None:
    sys.exit(f"a fresh process does not find {slot}:{name}")
entry.config()().problems(Context())
if "torch" in sys.modules:
    sys.exit(f"listing and checking {slot}:{name} imports torch")
"""
SECONDS = 120


def _installed(subject: Subject) -> bool:
    return subject.owner is not None


@check("listing", when=_installed, quick=1, full=1)
def listing(trial: Trial) -> None:
    """A fresh process lists it, imports its config and checks it without importing torch.

    It stays beside the rest because it alone looks into another process. torch takes a second or more, and whoever has
    the plugin waits for it at every `check`. Import it in the file of the module alone, which is imported when the
    component is built.
    """
    subject = trial.subject
    done = subprocess.run(  # noqa: S603 - this Python, and a program of ours
        [sys.executable, "-c", LISTED, subject.info.slot, subject.info.name, *_doors(subject)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    require(done.returncode == 0, done.stderr.strip().rpartition("\n")[2])


def _doors(subject: Subject) -> Sequence[str]:
    owner = subject.owner
    return subject.doors or ((owner.distribution,) if owner is not None and owner.door else ())


@check("text", when=_installed)
def text(trial: Trial) -> None:
    """A config, written as the text of a spec and read again, is an equal config; so is one with every field filled.

    A checkpoint holds its spec as text. Where it fails, a field holds what its kind cannot write. The kinds are
    llm-build's own, so it hardly ever does; it stays for those that a component derives from them.
    """
    config = trial.stated()
    filled, _ = trial.config()
    for each in (config, filled):
        again = read_config(each)
        require(again == each, f"read again it is {text_of(again)}")


@check("problems")
def problems(trial: Trial) -> None:
    """What is wrong with a config is told, and never raised, wherever it stands, and where nothing is known around it.

    `check` is called for every spec that is being written, half of which is not there yet: `context.need` says so by
    itself, and is not to be caught.
    """
    config = trial.stated()
    context = trial.surroundings()
    for each in (context, Context(), context.with_(blind=True)):
        for problem in config.problems(each):
            require(bool(problem.message.strip()), "a problem without a message")


@check("builds", quick=3, full=30)
def builds(trial: Trial) -> None:
    """It builds, follows its slot's Protocol, and has on the meta device the tensors that it has elsewhere.

    The attributes that the Protocol names can be read as soon as it is built.
    """
    made = trial.made(shaken=False)
    if not isinstance(made.module, nn.Module):
        return
    for member in asked(trial.subject.info.slot, trial.subject.info.capabilities):
        if member.signature is None:
            getattr(made.module, member.name)
    if trial.subject.info.slot in CALLS:
        return  # the check of the meta device says it
    bare = made.again(device="meta")
    there, here = _tensors(bare), _tensors(made.module)
    require(there == here, f"its tensors are {sorted(there)} on meta and {sorted(here)} elsewhere")
    stray = [name for name, each in bare.state_dict().items() if not each.is_meta]
    require(not stray, f"{', '.join(stray)} is not on meta where all is built there")


def _tensors(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (each.shape, each.dtype) for name, each in module.state_dict().items()}
