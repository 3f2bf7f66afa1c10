"""`llm-build run SPEC`: the main job."""

from __future__ import annotations

from typing import Any

import click

from llm_build.cli._options import compute_options, run_options, spec_options
from llm_build.cli._training import trained


@click.command("run", short_help="train a spec's model, then show what it writes")
@click.argument("spec")
@run_options
@click.option("--samples", type=click.IntRange(0, 1_000), default=10, show_default=True, help="Texts to show.")
@click.option("--prompt", help="What they begin with, or what is read; otherwise the `prompt` of the spec's generator.")
@click.option("--max-new", type=click.IntRange(min=1), help="Most tokens of a text; otherwise the spec's `max_new`.")
@spec_options
@compute_options
def command(spec: str, samples: int, prompt: str | None, max_new: int | None, **options: Any) -> None:
    """Train the model of SPEC into a run directory, then show what it writes.

    Text N is drawn with the seed plus N - 1. All of them are kept in the run's samples.txt. A model that reads a source
    is given the prompt as that, or held-out sources where there is none.
    """
    result = trained(spec, prompts=[] if prompt is None else [prompt], **options)
    texts = result.samples(samples, prompt, max_new)
    for number, text in enumerate(texts, 1):
        click.secho(f"\n──── sample {number} of {samples} ────", bold=True)
        click.echo(text)
