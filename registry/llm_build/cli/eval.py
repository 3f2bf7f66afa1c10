"""`llm-build eval RUN`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from llm_build.cli._options import checkpoint_option, compute_options, spec_options
from llm_build.cli._progress import watcher

if TYPE_CHECKING:
    from llm_build.run import Evaluation


@click.command("eval", short_help="measure a trained model on text")
@click.argument("run")
@click.option(
    "--data",
    metavar="EXPRESSION",
    help="Measure on all of this data instead, held out or not: 'files { paths = [\"a.txt\"] }'.",
)
@click.option(
    "--quantizer",
    metavar="EXPRESSION",
    help="Measure the weights as this makes them for writing: int8. Else as trained.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@checkpoint_option()
@spec_options
@compute_options
def command(
    run: str,
    data: str | None,
    quantizer: str | None,
    as_json: bool,
    checkpoint: str | None,
    sets: Sequence[str],
    plugins: Sequence[str],
    device: str,
    dtype: str,
    seed: int | None,
    quiet: bool,
) -> None:
    """Measure the model of a RUN directory: nats a token, bits a byte and perplexity, over every token of some text.

    The text is what the data of the run's spec holds out, as at the end of training. With --data it is the whole of
    that data, whatever part it would hold out: none of it need have been trained on. `--set` changes the run's spec for
    this once.
    """
    from llm_build.cli._opened import read_run  # brings torch, which `--help` need not wait for
    from llm_build.run import open_checkpoint

    changes = [*sets, *([] if data is None else [f"data={data}"])]
    changes += [] if quantizer is None else [f"generate.quantizer={quantizer}"]
    place, taken, reading = read_run(run, checkpoint, changes, plugins)
    config = reading.config
    opened = open_checkpoint(place, taken, device=device, dtype=dtype, seed=seed or 0, config=config, narrow=False)
    opened = opened if quantizer is None else opened.quantised()
    found = opened.evaluate(None if data is None else config.data, progress=watcher(quiet))
    click.echo(json.dumps(_figures(run, found)) if as_json else _said(found))


def _said(found: Evaluation) -> str:
    name = "held out" if found.held_out else found.data
    what = f"that the run's data, {found.data}, holds out" if found.held_out else "of this data, held out or not"
    return (
        f"{name}: {found.bits:.3f} bits a byte, {found.nats:.3f} nats a token, perplexity {found.perplexity:.2f}; "
        f"xz on the same bytes: {found.xz_bits:.3f} bits a byte\n"
        f"over all {found.tokens:_} tokens ({found.size:_} bytes, {_documents(found.documents)}) {what}"
    )


def _documents(count: int) -> str:
    return "1 document" if count == 1 else f"{count:_} documents"


def _figures(run: str, found: Evaluation) -> dict[str, object]:
    return {
        "run": run,
        "data": found.data,
        "held_out": found.held_out,
        "nats": _finite(found.nats),
        "bits": _finite(found.bits),
        "perplexity": _finite(found.perplexity),
        "xz_bits": found.xz_bits,
        "tokens": found.tokens,
        "bytes": found.size,
        "documents": found.documents,
    }


def _finite(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return value if math.isfinite(value) else None
