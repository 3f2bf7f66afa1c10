"""`llm-build`: one file a verb, imported when it is asked for."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from llm_build import __version__
from llm_build.cli._exit import FAULT, FINE, INTERRUPTED, USAGE
from llm_build.cli._stdout import stdout_told
from llm_build.errors import LLMBuildError, SpecError

VERBS = {
    "run": "train a spec's model, then show what it writes",
    "check": "find every fault of a spec, without building it",
    "fmt": "put specs into the one style, white space only",
    "explain": "say of each value of a spec where it comes from",
    "summary": "show a spec's layers, parameters, FLOPs and memory",
    "train": "train a spec's model into a run directory",
    "generate": "let a trained model write",
    "eval": "measure a trained model on text",
    "bench": "measure how fast a model writes",
    "plugins": "list the installed components, or show one",
    "new": "write the files of a new plugin",
    "verify": "hold a component to what it promises",
}


class Verbs(click.Group):
    """A group whose commands are imported when they are run; `--help` imports none of them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        if name == "check":
            # it lives for a blink: collecting garbage while it imports would be a tenth of its time
            gc.disable()
        command: click.Command = importlib.import_module(f"llm_build.cli.{name}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llm-build")
def group() -> None:
    """A text file becomes a language model that trains and talks."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a verb and exit: 0 fine, 1 the spec, the data or a file is at fault, 2 wrong usage, 130 interrupted."""
    with stdout_told():
        code = _run(arguments)
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = group.main(arguments, prog_name="llm-build", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except LLMBuildError as fault:
        _tell(fault)
        return FAULT
    return result if isinstance(result, int) else FINE


def _tell(fault: LLMBuildError) -> None:
    if isinstance(fault, SpecError):
        from llm_build.cli._say import say

        say(fault.diagnostics)
    else:
        click.echo(f"error: {fault}", err=True)
