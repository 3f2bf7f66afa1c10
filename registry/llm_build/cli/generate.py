"""`llm-build generate RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_build.cli._options import checkpoint_option, compute_options, spec_options
from llm_build.cli._progress import watcher
from llm_build.cli._prompts import naming_lines, read_prompts
from llm_build.cli._say import hearing
from llm_build.cli._texts import Filed, Printed, Text, refuse_taken
from llm_build.errors import RunError
from llm_build.progress import Silence

if TYPE_CHECKING:
    from llm_build.run import Run


@click.command("generate", short_help="let a trained model write")
@click.argument("run")
@click.option("--prompt", "prompts", multiple=True, help="What to continue, or to read; may be given several times.")
@click.option(
    "--prompts",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Prompts, a line each; where the name ends in .jsonl, {"prompt": "…"} a line, \\n in it for a new line.',
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="A new file for the texts of --prompts.")
@click.option("--samples", type=click.IntRange(1, 1_000), default=1, show_default=True, help="Texts for each prompt.")
@click.option("--max-new", type=click.IntRange(min=1), help="Most tokens of a text; otherwise the spec's `max_new`.")
@checkpoint_option()
@spec_options
@compute_options
def command(
    run: str,
    prompts: Sequence[str],
    file: Path | None,
    out: Path | None,
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

    With `--prompts` many are written at a time, as many as the generator has `rows`, and each text is a line of JSON
    with its prompt, in the order of the prompts: on stdout, or in the file `--out`.

    `--set` changes the run's spec for this once: `--set "generate.sampler = greedy"`.
    """
    _refuse_spec(Path(run))
    _refuse_together(prompts, file, out)
    listed = [] if file is None else read_prompts(file)
    if out is not None:
        refuse_taken(out)
    from llm_build.cli._opened import read_run  # brings torch, which a wrong path need not wait for
    from llm_build.run import open_checkpoint

    place, taken, reading = read_run(run, checkpoint, sets, plugins)
    opened = open_checkpoint(place, taken, device=device, dtype=dtype, seed=seed or 0, config=reading.config)
    with hearing("llm_build.generate", quiet):
        if file is not None:
            texts = [Text(each, n) for each in listed for n in range(1, samples + 1)]
            with naming_lines(file, [each.prompt for each in texts]):
                _listed(opened, texts, out, max_new, quiet)
        else:
            _shown(opened, [each for each in prompts or (None,) for _ in range(samples)], max_new, quiet)


def _shown(opened: Run, rows: Sequence[str | None], max_new: int | None, quiet: bool) -> None:
    if len(rows) == 1:
        _stream(opened, rows[0], max_new)
        return
    texts = opened.generate_batch(rows, max_new=max_new)
    if quiet:
        _plain(texts)
    else:
        _titled(opened.shown(rows, texts))


def _listed(opened: Run, texts: Sequence[Text], out: Path | None, max_new: int | None, quiet: bool) -> None:
    """Write all of them, many at a time; what is done is kept whatever comes."""
    watching, done = watcher(quiet) or Silence(), 0
    pieces = opened.stream([each.prompt.text for each in texts], max_new=max_new)
    try:
        with Printed(texts) if out is None else Filed(texts, out) as kept:
            for number, piece in enumerate(pieces):
                if number == 0:
                    watching.count("texts written", 0, len(texts))
                if texts[piece.row].add(piece):
                    done += 1
                    kept.done(piece.row)
                    watching.count("texts written", done, len(texts))
    finally:
        watching.end()


def _plain(texts: Sequence[str]) -> None:
    for text in texts:
        click.echo(text)


def _titled(texts: Sequence[str]) -> None:
    for number, text in enumerate(texts, 1):
        click.secho(f"──── text {number} of {len(texts)} ────", bold=True)
        click.echo(text)


def _stream(opened: Run, prompt: str | None, max_new: int | None) -> None:
    pieces = opened.stream([prompt], max_new=max_new)
    # with the first piece, so that what is said of memory stands before the text
    told = "" if opened.reads_source else opened.prompt if prompt is None else prompt
    for piece in pieces:
        click.echo(told + piece.text, nl=False)
        told = ""
    click.echo()


def _refuse_together(prompts: Sequence[str], file: Path | None, out: Path | None) -> None:
    if file is not None and prompts:
        raise click.UsageError("--prompts FILE brings all prompts; leave --prompt out")
    if out is not None and file is None:
        raise click.UsageError("--out is for the texts of --prompts FILE; a few texts are shown on stdout")


def _refuse_spec(path: Path) -> None:
    if path.is_file():
        raise RunError(
            f"generate needs a run directory; {path} is a file: "
            f"train it first (llm-build train {path}), then name the run"
        )
