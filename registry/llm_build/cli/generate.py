"""`llm-build generate RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_build.cli._options import checkpoint_option, compute_options, spec_options
from llm_build.errors import RunError

if TYPE_CHECKING:
    from llm_build.run import Run


@click.command("generate", short_help="let a trained model write")
@click.argument("run")
@click.option("--prompt", "prompts", multiple=True, help="What to continue, or to read; may be given several times.")
@click.option("--samples", type=click.IntRange(1, 1_000), default=1, show_default=True, help="Texts for each prompt.")
@click.option("--max-new", type=click.IntRange(min=1), help="Most tokens of a text; otherwise the spec's `max_new`.")
@checkpoint_option()
@spec_options
@compute_options
def command(
    run: str,
    prompts: Sequence[str],
    samples: int,
    max_new: int | None,
    checkpoint: str | None,
    sets: Sequence[str],
    plugins: Sequence[str],
    device: str,
    dtype: str,
    seed: int | None,
    quiet: bool,
) -> None:
    """Continue each prompt with the model of a RUN directory; one text is shown as it is written.

    A model that reads a source is given the prompt as that, and what it writes is shown: alone, or behind the source
    where there are several and no -q.

    `--set` changes the run's spec for this once: `--set "generate.sampler = greedy"`.
    """
    _refuse_spec(Path(run))
    from llm_build.cli._opened import read_run  # brings torch, which a wrong path need not wait for
    from llm_build.run import open_checkpoint

    place, taken, reading = read_run(run, checkpoint, sets, plugins)
    opened = open_checkpoint(place, taken, device=device, dtype=dtype, seed=seed or 0, config=reading.config)
    rows = [each for each in prompts or (None,) for _ in range(samples)]
    if len(rows) == 1:
        _stream(opened, rows[0], max_new)
        return
    texts = opened.generate_batch(rows, max_new=max_new)
    if quiet:
        _plain(texts)
    else:
        _titled(opened.shown(rows, texts))


def _plain(texts: Sequence[str]) -> None:
    for text in texts:
        click.echo(text)


def _titled(texts: Sequence[str]) -> None:
    for number, text in enumerate(texts, 1):
        click.secho(f"──── text {number} of {len(texts)} ────", bold=True)
        click.echo(text)


def _stream(opened: Run, prompt: str | None, max_new: int | None) -> None:
    pieces = opened.stream([prompt], max_new=max_new)
    if not opened.reads_source:
        click.echo(opened.prompt if prompt is None else prompt, nl=False)
    for piece in pieces:
        click.echo(piece.text, nl=False)
    click.echo()


def _refuse_spec(path: Path) -> None:
    if path.is_file():
        raise RunError(
            f"generate needs a run directory; {path} is a file: "
            f"train it first (llm-build train {path}), then name the run"
        )
