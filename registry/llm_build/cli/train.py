"""`llm-build train SPEC`."""

from __future__ import annotations

from typing import Any

import click

from llm_build.cli._options import compute_options, run_options, spec_options
from llm_build.cli._training import trained


@click.command("train", short_help="train a spec's model into a run directory")
@click.argument("spec")
@run_options
@spec_options
@compute_options
def command(spec: str, **options: Any) -> None:
    """Train the model of SPEC and leave a run directory: checkpoints, spec, versions, metrics and samples."""
    trained(spec, **options)
