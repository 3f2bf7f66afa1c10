"""`llm-build bench SPEC|RUN`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_build.cli._options import compute_options, read_spec, spec_options
from llm_build.cli._progress import watcher
from llm_build.cli._table import show_table
from llm_build.cli.summary import size

if TYPE_CHECKING:
    from llm_build.bench import Cell, Report
    from llm_build.bench.clock import Spread

HEADINGS = (
    *("prompt", "new", "batch", "prefill tokens/s", "first token", "decode tokens/s"),
    *("limit tokens/s", "reached", "compile", "peak memory"),
)
MOST = 2**31
PART_HEADINGS = ("part", "times", "component", "weights", "state")


def _numbers(least: int) -> Callable[[click.Context, click.Parameter, str], tuple[int, ...]]:
    """Reads whole numbers of at least `least` with commas between them."""

    def read(_context: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
        found = [each.strip().replace("_", "") for each in value.split(",")]
        if not all(each.isdecimal() and least <= int(each) < MOST for each in found):
            raise click.BadParameter(f"takes whole numbers of at least {least}, as 128,1024; {value!r} arrived")
        return tuple(map(int, found))

    return read


@click.command("bench", short_help="measure how fast a model writes")
@click.argument("path", metavar="SPEC|RUN")
@click.option("--prompt", callback=_numbers(2), default="128", show_default=True, help="Tokens of a prompt: 128,1024.")
@click.option(
    "--new", callback=_numbers(2), default="128", show_default=True, help="Tokens that are written behind it."
)
@click.option("--batch", callback=_numbers(1), default="1", show_default=True, help="Texts at once: 1,8.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON: bytes, seconds, tokens a second.")
@click.option("--plot", metavar="FILE", help="Draw them over context and batch, as a .png, .pdf or .svg.")
@spec_options
@compute_options
def command(
    path: str,
    prompt: tuple[int, ...],
    new: tuple[int, ...],
    batch: tuple[int, ...],
    as_json: bool,
    plot: str | None,
    sets: Sequence[str],
    plugins: Sequence[str],
    device: str,
    dtype: str,
    seed: int | None,
    quiet: bool,
) -> None:
    """Measure the model of SPEC on random weights, or that of a RUN directory: every prompt with every batch.

    Each figure is the median of five repeats after one for warming up. Decode and the time to the first token are those
    of the spec's own generator, `decode` where it names none, on random prompts; no text ends before it is as long as
    --new. Prefill is the model's alone. The limit is what the memory allows: the rate of a copy, measured in this run,
    by the bytes of weights and state that a step reads; of a mixture, of the experts that a batch is expected to need.
    Without -q, the bytes of each part and the kernel by which each layer attends stand below the table.

    A spec needs neither data nor a tokenizer, where it states `vocab`. What will not fit into the device's memory is
    refused before anything is allocated.
    """
    spec, load = _opened(path, sets, plugins, device, dtype, seed or 0)
    from llm_build.bench import bench, draw, refuse_plot, shapes
    from llm_build.run import Compute

    if plot is not None:
        refuse_plot(Path(plot))
    compute = Compute.choose(device, dtype, seed or 0)
    found = bench(spec, shapes(prompt, new, batch), compute, load=load, progress=watcher(quiet))
    if plot is not None:
        draw(found, Path(plot))
    if as_json:
        click.echo(json.dumps({"path": path, **found.as_json()}, indent=2))
        return
    _show(found, quiet)


def _opened(path: str, sets: Sequence[str], plugins: Sequence[str], device: str, dtype: str, seed: int) -> Any:
    """The filled spec, and what gives the weights of a run."""
    if not Path(path).is_dir():
        return read_spec(path, sets, plugins, device, dtype).filled, None
    from llm_build.cli._opened import read_run
    from llm_build.run import open_checkpoint

    place, taken, reading = read_run(path, None, sets, plugins)

    def load() -> Any:
        return open_checkpoint(place, taken, device=device, dtype=dtype, seed=seed, config=reading.config).model

    return reading.filled, load


def _show(found: Report, quiet: bool) -> None:
    for line in machine(found):
        click.echo(line)
    show_table(table(found), right=frozenset(HEADINGS))
    for cell in [] if quiet else found.cells:
        click.echo()
        for line in lines(cell):
            click.echo(line)
        show_table(parts(cell), right=frozenset({"times", "weights", "state"}))


def machine(found: Report) -> Iterator[str]:
    """What was measured, and where."""
    by = found.machine
    less = f", {found.quantizer}" if found.quantizer else ""
    yield f"{found.model}: {found.parameters:_} parameters in {by['dtype']}{less}, written by {found.generator}"
    yield (
        f"{by['processor']} ({by['device']}, {by['threads']} threads); Python {by['python']}, torch {by['torch']}, "
        f"llm-build {by['llm_build']}"
    )
    yield f"memory, read and written by a copy: {_spread(found.memory, 1e-9, ',.1f')} GB/s"


def table(found: Report) -> list[tuple[str, ...]]:
    """A row a shape, with the headings."""
    return [HEADINGS, *map(_cells, found.cells)]


def _cells(cell: Cell) -> tuple[str, ...]:
    shape = cell.shape
    return (
        *(f"{each:_}" for each in (shape.prompt, shape.new, shape.batch)),
        _spread(cell.prefill, 1, ",.0f"),
        f"{_spread(cell.first, 1e3, ',.1f')} ms",
        _spread(cell.decode, 1, ",.1f"),
        f"{cell.limit:,.1f}",
        f"{cell.fraction:.3f}",
        f"{cell.compile_seconds:.1f} s",
        "?" if cell.peak is None else size(cell.peak),
    )


def _spread(of: Spread, scale: float, form: str) -> str:
    low, middle, high = (format(scale * each, form) for each in (of.low, of.median, of.high))
    return f"{middle} ({low} to {high})"


def lines(cell: Cell) -> Iterator[str]:
    """What stands between the table of shapes and that of a shape's parts."""
    shape = cell.shape
    yield f"prompt {shape.prompt:_}, {shape.new:_} new, batch {shape.batch:_}:"
    taken: dict[tuple[str, str], list[str]] = {}
    for each in cell.kernels:
        taken.setdefault((_kernels(each.prefill), _kernels(each.decode)), []).append(each.mixer)
    for (prefill, decode), mixers in taken.items():
        names = mixers[0] if len(mixers) == 1 else f"{len(mixers)} mixers, {mixers[0]} to {mixers[-1]}"
        yield f"attention of {names}: prefill {prefill}; decode {decode}"
    yield f"the first batch took {cell.warm_up_seconds:.1f} s longer than later ones"
    yield f"bytes a token: weights {_bytes(cell.weights)}, state {_bytes(cell.state)} at the mean length in use"


def _kernels(kernels: Sequence[Any]) -> str:
    return ", ".join(f"{each}{f', slow: {each.why}' * each.slow}" for each in kernels) or "none"


def parts(cell: Cell) -> list[tuple[str, ...]]:
    """Bytes a token of each part, with the headings."""
    batch = cell.shape.batch
    rows = [
        (each.name, str(each.count), each.component, _bytes(each.weights / batch), _bytes(each.state / batch))
        for each in cell.reads
    ]
    return [PART_HEADINGS, *rows]


def _bytes(count: float) -> str:
    return size(round(count))
