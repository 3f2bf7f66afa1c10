"""What `train` and `run` share: read the spec, train, say what came of it."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_build.cli._exit import INTERRUPTED
from llm_build.cli._options import read_spec
from llm_build.cli._progress import clock, watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_build.run import Trained


def trained(
    spec: str,
    *,
    sets: Sequence[str],
    plugins: Sequence[str],
    out: str | None,
    resume: bool,
    checkpoint: str | None,
    init: str | None,
    device: str,
    dtype: str,
    seed: int | None,
    quiet: bool,
    prompts: Sequence[str] = (),
) -> Trained:
    """Train a spec and print the figures."""
    _refuse_usage(out, resume, checkpoint, init)
    read = read_spec(spec, sets, plugins, device, dtype)
    from llm_build.run import Stopped, keep_memory, train  # brings torch, which a faulty spec need not wait for

    keep_memory()
    # before training begins, being told to stop is an interrupt
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = train(
            read.config,
            out=out,
            resume=resume,
            checkpoint=checkpoint,
            init=init,
            name=Path(spec).stem,
            source=read.source.text,
            device=device,
            dtype=dtype,
            seed=seed,
            progress=watcher(quiet),
            prompts=prompts,
        )
    except Stopped as stopped:
        with suppress(OSError):  # as where the terminal was closed: the code says it too
            click.echo(str(stopped), err=True)
        raise click.exceptions.Exit(INTERRUPTED) from stopped
    _report(result)
    return result


def _refuse_usage(out: str | None, resume: bool, checkpoint: str | None, init: str | None) -> None:
    if resume and out is None:
        raise click.UsageError("--resume needs the run to go on with: --out RUN")
    if resume and init is not None:
        raise click.UsageError("a run goes on from its own checkpoint, or starts from another run: --resume or --init")
    if checkpoint is not None and not resume:
        raise click.UsageError("--checkpoint says where to go on from, with --resume; or --init RUN/checkpoints/NAME")


def _report(result: Trained) -> None:
    outcome = result.outcome
    found = outcome.held_out
    click.echo(
        f"trained {outcome.steps} steps, {outcome.tokens:_} tokens, in {clock(outcome.seconds)} "
        f"({outcome.tokens / max(outcome.seconds, 1e-9):,.0f} tokens/s)"
    )
    click.echo(
        f"held out: {found.bits:.3f} bits a byte, {found.nats:.3f} nats a token over all {found.tokens:_} tokens "
        f"(weights of step {outcome.best_step}); xz on the same bytes: {result.xz_bits:.3f} bits a byte"
    )
    click.echo(result.curve)
    click.echo(f"run: {result.run.directory.path}")
