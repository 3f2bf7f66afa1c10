"""`llm-build run SPEC`: the main job."""

from __future__ import annotations

from typing import Any

import click

from llm_build.cli._options import compute_options, spec_options
from llm_build.cli._training import trained


@click.command("run", short_help="train a spec's model, then show what it writes")
@click.argument("spec")
@click.option("--out", metavar="RUN", help="The run directory; otherwise runs/NAME-1, or the next number that is free.")
@click.option("--samples", type=click.IntRange(0, 1_000), default=10, show_default=True, help="Texts to show.")
@click.option("--prompt", help="What they begin with; otherwise the `prompt` of the spec's generator.")
@click.option("--max-new", type=click.IntRange(min=1), help="Most tokens of a text; otherwise the spec's `max_new`.")
@spec_options
@compute_options
def command(spec: str, samples: int, prompt: str | None, max_new: int | None, **options: Any) -> None:
    """Train the model of SPEC into a run directory, then show what it writes.

    Text N is drawn with the seed plus N - 1. All of them are kept in the run's samples.txt.
    """
    result = trained(spec, prompts=[] if prompt is None else [prompt], **options)
    run = result.run
    if run.generator is None or samples == 0:
        return
    texts = run.generate_batch([prompt] * samples, max_new=max_new)
    run.directory.add_samples(result.outcome.best_step, texts)
    for number, text in enumerate(texts, 1):
        click.secho(f"\n──── sample {number} of {samples} ────", bold=True)
        click.echo(text)
