"""Options that several verbs share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from llm_build.resolve import Reading

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEVICES = ("auto", "cpu", "cuda", "mps")
UNDECIDED = "N301"
DTYPES = ("auto", "float32", "bfloat16", "float64")


def talk_options(command: F) -> F:
    """-q for a verb, and -v, which the verb does not see."""
    wrapped: Any = _with_log(command)
    wrapped = click.option("-v", "--verbose", is_flag=True, help="Say which plugins, kernels and paths are taken.")(
        wrapped
    )
    return click.option("-q", "--quiet", is_flag=True, help="Show results only.")(wrapped)  # type: ignore[no-any-return]


def _with_log(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def run(*args: Any, verbose: bool, **options: Any) -> Any:
        if verbose:
            logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        return command(*args, **options)

    return run


def place_options(command: F) -> F:
    """`--device` and `--dtype`."""
    wrapped: Any = click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        default="auto",
        show_default=True,
        help="Precision of the products; auto is bfloat16 on a GPU that has it. Trained weights stay in float32.",
    )(command)
    wrapped = click.option(
        "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute."
    )(wrapped)
    return cast("F", wrapped)


def compute_options(command: F) -> F:
    """`--device`, `--dtype`, `--seed`, -q and -v for a verb that computes."""
    seed = click.option(
        "--seed", type=click.IntRange(0, 2**63 - 1), help="Of all that is drawn; 0 unless a run is gone on with."
    )
    return place_options(seed(talk_options(command)))


def run_options(command: F) -> F:
    """`--out`, `--resume` and `--init` for a verb that trains."""
    wrapped: Any = checkpoint_option("Go on from this checkpoint, as step-000600; otherwise the last.")(command)
    wrapped = click.option(
        "--resume",
        is_flag=True,
        help="Go on with the run in --out from its last checkpoint, as if it had never stopped; SPEC is the run's.",
    )(wrapped)
    wrapped = click.option(
        "--init",
        metavar="RUN",
        help="Start from the best weights of this run, or those of RUN/checkpoints/NAME, with its tokenizer; its "
        "model must be the one of SPEC.",
    )(wrapped)
    wrapped = click.option(
        "--out", metavar="RUN", help="The run directory; otherwise runs/NAME-1, or the next number that is free."
    )(wrapped)
    return cast("F", wrapped)


def plugin_option(command: F) -> F:
    """`--plugin` for a verb that looks components up."""
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        metavar="MODULE_OR_FILE",
        help="Use the components of a module or a .py file that is not installed as a plugin.",
    )(command)


def spec_options(command: F) -> F:
    """`--set` and `--plugin` for a verb that reads a spec."""
    wrapped: Any = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=EXPRESSION",
        help="Change the spec for this once: dim=256, model.layers[3].attention.heads=8.",
    )(plugin_option(command))
    return cast("F", wrapped)


def checkpoint_option(help: str = "Take this checkpoint of the run, as step-000600; otherwise the best.") -> Decorator:
    """`--checkpoint` for a verb that opens a run, or goes on with one."""
    return click.option("--checkpoint", metavar="NAME", help=help)


def use_plugins(names: Sequence[str]) -> None:
    """Register the plugins that `--plugin` names, and say which installed ones could not be used."""
    from llm_build.registry import installed

    registry = installed()
    for fault in registry.faults:
        click.echo(f"warning: {fault}", err=True)
    for name in names:
        registry.add_named(name)


def read_spec(
    spec: str, sets: Sequence[str], plugins: Sequence[str], device: str = "auto", dtype: str = "auto"
) -> Reading:
    """Read a spec for a verb that builds it: every requirement is decided. Raises `SpecError` with every fault.

    A requirement on memory is decided for the device and the dtype. Warnings go to stderr.
    """
    use_plugins(plugins)
    return resolve_spec(spec, sets, device, dtype)


def resolve_spec(spec: str, sets: Sequence[str], device: str = "auto", dtype: str = "auto") -> Reading:
    """What `read_spec` does, once the plugins are there."""
    from llm_build.cli._say import say
    from llm_build.errors import SpecError

    reading = read_measured(spec, sets, device, dtype)
    if reading.errors:
        raise SpecError(reading.diagnostics)
    say(reading.diagnostics)
    return reading


def read_measured(spec: str, sets: Sequence[str], device: str = "auto", dtype: str = "auto") -> Reading:
    """Read a spec and decide every requirement. Raises `SpecError` for a file that cannot be read."""
    from llm_build.resolve import read, source_of

    source = source_of(Path(spec))
    reading = read(source, sets)
    if not reading.errors and any(each.code == UNDECIDED for each in reading.diagnostics):
        from llm_build.run import measuring  # brings torch, which a faulty spec need not wait for

        reading = read(source, sets, measure=measuring(device, dtype))
    return reading
