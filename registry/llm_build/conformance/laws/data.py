"""What holds for all data: what its documents are, and what of them is never trained on."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from llm_build.components import field_specs
from llm_build.components.kinds import PartsKind
from llm_build.conformance.check import check
from llm_build.conformance.compare import require
from llm_build.conformance.subject import Subject
from llm_build.conformance.trial import Made, Trial
from llm_build.document import Document
from llm_build.errors import DataError
from llm_build.interfaces import Data
from llm_build.progress import Silence
from llm_build.spec import is_paired

DATA = ("data",)
STRANGE = 3
"""The exit status of a process that cannot import the component."""


@check("texts", slots=DATA)
def documents(trial: Trial) -> None:
    """There are documents, each with a name and with text; all have a source or none has, as the config says.

    The config says so by `paired()`. A spec is checked by that before anything is read, so where it fails a model
    without an encoder is given pairs, or the other way round.
    """
    made = trial.made()
    found = made.module.documents(Silence())
    require(len(found) > 0, "there is no document")
    paired = is_paired(made.config)
    for each in found:
        told = f"the document {each.name!r}"
        require(bool(each.name), f"a document has no name; it begins {each.text[:40]!r}")
        require(bool(each.text), f"{told} has no text")
        require(
            (each.source is not None) is paired,
            f"{told} has {'no' if each.source is None else 'a'} source, and paired() of the config is {paired}",
        )


@check("leak", slots=DATA)
def leak(trial: Trial) -> None:
    """Nothing is trained on and held out too, and neither side is empty.

    Documents are the same where their `key` is: the text, or the source of a pair. It sees only what the drawn data
    holds, so give a specimen in which a text stands twice, and one with a single document. What is cut in two must be
    two pieces of it, one after the other.
    """
    made = trial.made()
    training, held_out = made.module.split(Silence())
    for side, found in (("training", training), ("held-out", held_out)):
        require(len(found) > 0, f"there is no {side} document")
    both = {each.key for each in training} & {each.key for each in held_out}
    require(not both, f"{len(both)} texts are trained on and held out too; one begins {min(both, default='')[:40]!r}")
    pieces = {each.whole: each for each in training if each.whole is not None}
    for each in held_out:
        if each.whole in pieces:
            joined = pieces[each.whole].text + each.text
            require(joined == each.whole, f"{each.name!r} and what is trained on of the same text overlap or lack some")


@check("complete", slots=DATA)
def complete(trial: Trial) -> None:
    """Both sides together are all documents, as often as they are there.

    A text that is cut in two is put together again. Where it fails, a document is dropped where the sides meet, or a
    text that stands twice is taken once.
    """
    made = trial.made()
    whole = _counted(made.module.documents(Silence()))
    parts = _counted(_joined(made.module.split(Silence())))
    missing, more = whole - parts, parts - whole
    require(not missing, f"{missing.total()} of {whole.total()} documents are on neither side: {_some(missing)}")
    require(not more, f"{more.total()} documents of the two sides are none of the {whole.total()}: {_some(more)}")


@check("again", slots=DATA, quick=2, full=10)
def again(trial: Trial) -> None:
    """Another instance, and another process, make the same split of the same documents, in the same order.

    A run that goes on must hold out what it held out before. The process has another `PYTHONHASHSEED`: where it alone
    differs, the split uses Python's `hash` or the order of a set. Data that no other process can import, as that of a
    test file, is looked at in this one.
    """
    made = trial.made()
    here = [list(side) for side in made.module.split(Silence())]
    require([list(side) for side in made.again().split(Silence())] == here, "another instance makes another split")
    there = _elsewhere(trial, made)
    require(there is None or there == here, "another process makes another split")


@check("nothing-there", slots=DATA)
def nothing_there(trial: Trial) -> None:
    """Where its files are gone, or hold nothing, it raises `DataError`, and gives no data.

    Its files are those that a specimen wrote into its folder. Where it fails, a run begins with no text, or ends with a
    traceback that does not say which file to bring.
    """
    made = trial.made()
    gone = trial.flag("gone")
    assert trial.written is not None
    files = [each for each in trial.written.rglob("*") if each.is_file()]
    for each in files:
        if gone:
            each.unlink()
        else:
            each.write_bytes(b"")
    if not files:
        return
    try:
        found = made.again().documents(Silence())
    except DataError:
        return
    require(False, f"its files are {'gone' if gone else 'empty'}, and it gives {len(found)} documents")


def _mixes(subject: Subject) -> bool:
    return any(
        isinstance(each.kind, PartsKind) and each.kind.slot == "data" for each in field_specs(subject.cls).values()
    )


@check("mixture", slots=DATA, when=_mixes)
def mixture(trial: Trial) -> None:
    """Data that is made of other data has `parts` and as many `weights`, exact and above 0, and drops nothing.

    Training reads the parts, `eval` and `documents` the whole. Where it fails, the two see other documents.
    """
    made = trial.made()
    parts: Sequence[Data] = made.module.parts
    weights: Sequence[Fraction] = made.module.weights
    require(len(parts) == len(weights), f"there are {len(parts)} parts and {len(weights)} weights")
    for each in weights:
        require(isinstance(each, Fraction | int) and each > 0, f"the weight {each!r} must be a fraction above 0")
    for number, side in enumerate(("training", "held-out")):
        whole = _counted(made.module.split(Silence())[number])
        of_parts = _counted(document for part in parts for document in part.split(Silence())[number])
        require(whole == of_parts, f"the {side} documents are {whole.total()}, those of the parts {of_parts.total()}")


def _counted(documents: Iterable[Document]) -> Counter[tuple[str, str | None]]:
    return Counter((each.text, each.source) for each in documents)


def _joined(sides: Iterable[Sequence[Document]]) -> list[Document]:
    """The documents of both sides, with those that were cut in two whole again, each once."""
    every = [each for side in sides for each in side]
    cut = {each.whole: Document(each.name, each.whole) for each in every if each.whole is not None}
    return [*(each for each in every if each.whole is None), *cut.values()]


def _some(documents: Counter[tuple[str, str | None]]) -> str:
    return ", ".join(repr(text[:30]) for text, _ in list(documents)[:3])


ELSEWHERE = f"""
import pickle, sys
try:
    with open(sys.argv[1], "rb") as file:
        config, context = pickle.load(file)
except (ImportError, AttributeError):
    sys.exit({STRANGE})
from llm_build.components import instantiate
from llm_build.progress import Silence
sides = [list(side) for side in instantiate(config, context).split(Silence())]
with open(sys.argv[2], "wb") as file:
    pickle.dump(sides, file)
"""
"""It goes without torch, which takes seconds to come."""


def _elsewhere(trial: Trial, made: Made) -> list[list[Document]] | None:
    """Both sides as another process has them; None where it cannot import the component."""
    given, found = trial.folder / "given", trial.folder / "found"
    try:
        given.write_bytes(pickle.dumps((made.config, made.context)))
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    # what is imported here can be imported there
    others = {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", ELSEWHERE, str(given), str(found)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **others}, check=False)  # noqa: S603
    if done.returncode == STRANGE:
        return None
    require(done.returncode == 0, f"another process cannot read it: {done.stderr.decode(errors='replace')[-500:]}")
    sides: list[list[Document]] = pickle.loads(found.read_bytes())  # noqa: S301 - written by the line above
    return sides
