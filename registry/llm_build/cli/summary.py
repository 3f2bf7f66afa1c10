"""`llm-build summary SPEC`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from llm_build.cli._options import place_options, read_spec, spec_options, talk_options
from llm_build.cli._table import show_table

if TYPE_CHECKING:
    from llm_build.cost import Summary
    from llm_build.cost.layers import Row
    from llm_build.cost.states import Kept
    from llm_build.run import Compute, TrainingMemory

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
HEADINGS = ("part", "times", "component", "parameters", "active", "FLOPs a token")
NUMERIC = frozenset(HEADINGS) - {"part", "component"}


@click.command("summary", short_help="show a spec's layers, parameters, FLOPs and memory")
@click.argument("spec")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, sizes in bytes.")
@place_options
@spec_options
@talk_options
def command(
    spec: str, as_json: bool, device: str, dtype: str, sets: Sequence[str], plugins: Sequence[str], quiet: bool
) -> None:
    """Show the layers of the model of SPEC, its parameters, and the memory that weights, training and state take.

    All is counted on the model that is really built, on a device without memory: nothing is allocated, and no data is
    read. Figures of a row are those of one part; a weight that parts share counts in the first. Active parameters are
    those that one token makes use of: of a mixture, k of its experts. FLOPs are those of the products of matrices in a
    forward pass over one text as long as the context, two for each multiplication with its addition; all scores of
    attention count, hidden ones too. State is what is ever read again, in the numbers that the cache of `generate`
    stores: a layer with a window counts no more tokens than that, without the room that one call takes. Weights that
    write are in --dtype.

    What training takes is the peak of all its tensors on --device, which has to be there: two steps and a held-out loss
    are gone through with tensors that have no memory. Pairs count as long as the context.
    """
    reading = read_spec(spec, sets, plugins, device, dtype)
    assert reading.filled is not None, "read_spec raises where there are faults"
    from llm_build.cost import summarise
    from llm_build.run import Compute

    compute = Compute.choose(device, dtype)
    memory, why_not = _memory(reading.filled, compute)
    found = summarise(reading.filled, compute.dtype, None if memory is None else memory.optimizer)
    if as_json:
        training = None if memory is None else memory.as_json()
        more = {"training_memory": training, "training_memory_why_not": why_not or None}
        click.echo(json.dumps({"spec": spec, **found.as_json(), **more}, indent=2))
        return
    if not quiet:
        show_table(table(found), right=NUMERIC)
        click.echo()
    for line in lines(found, memory, why_not):
        click.echo(line)


def _memory(spec: Any, compute: Compute) -> tuple[TrainingMemory | None, str]:
    """What training takes, or why that is not known; neither where nothing trains."""
    from llm_build.cost import Unmeasured
    from llm_build.run import training_memory

    if spec.train is None:
        return None, ""
    try:
        return training_memory(spec, compute), ""
    except Unmeasured as fault:
        return None, str(fault)


def table(found: Summary) -> list[tuple[str, ...]]:
    """The layer table, with its headings."""
    return [HEADINGS, *map(_cells, found.rows)]


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (f"{each:_}" for each in (row.parameters, row.active))
    return (row.name, str(row.count), row.component, *numbers, "?" if row.flops is None else f"{row.flops:_}")


def lines(found: Summary, memory: TrainingMemory | None = None, why_not: str = "") -> Iterator[str]:
    """What stands below the table."""
    dtype = str(found.dtype).removeprefix("torch.")
    yield f"parameters: {found.parameters:_}, of which a token uses {found.active:_}"
    yield _flops(found)
    yield f"weights in {dtype}: {size(found.weights)}" + (
        f" and {size(found.buffers)} of buffers" * bool(found.buffers)
    )
    if found.quantised is not None:
        yield f"weights that write, quantised: {size(found.quantised)} with all buffers"
    yield from _training(found, why_not) if memory is None else [_taken(memory)]
    for count, each in found.states:
        yield f"state of {count} {'layers' if count > 1 else 'layer'}, each: {_kept(each)}"
    source = " and a source of as many" if found.reads_source else ""
    yield f"state of a text of {found.context:_} tokens{source}, all layers: {size(found.state)}"


def _flops(found: Summary) -> str:
    if found.flops is None:
        return f"FLOPs a token: not counted. {found.uncounted}"
    source = ", and its source" if found.reads_source else ""
    return f"FLOPs a token: {found.flops:_} (forward over {found.context:_} tokens{source}; products, all scores)"


def _training(found: Summary, why_not: str) -> Iterator[str]:
    if why_not:
        yield f"what training takes is not known: {why_not}"
    if found.unasked:
        yield f"what the optimiser keeps is not known: {found.unasked}"
    if found.optimizer is None:
        return
    total = 2 * found.trained + found.optimizer
    yield (
        f"training keeps {size(total)} without activations: weights {size(found.trained)}, gradients as much, "
        f"optimiser {size(found.optimizer)}"
    )


def _taken(memory: TrainingMemory) -> str:
    pairs = "; for pairs as long as the context" if memory.paired else ""
    more = f", workspaces {size(memory.workspaces)}" if memory.workspaces else ""
    return (
        f"training takes {size(memory.peak)} at its peak on {memory.device}, with products in {memory.dtype}: weights "
        f"{size(memory.weights)}, gradients {size(memory.gradients)}, optimiser {size(memory.optimizer)}, "
        f"activations up to {size(memory.activations)}{more}{pairs}"
    )


def _kept(each: Kept) -> str:
    said = [f"{each.token:_} B a token"] if each.token else []
    said += [f"{bytes_:_} B for each of the latest {window:_} tokens" for bytes_, window in each.windows]
    said += [f"{each.sequence:_} B a text"] if each.sequence else []
    said += [f"{each.memory:_} B a place of the source"] if each.memory else []
    return ", ".join(said) or "nothing"


def size(count: int) -> str:
    """Bytes in a binary unit: "1.8 GiB"."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.1f} {UNITS[unit]}" if unit else f"{count} B"
