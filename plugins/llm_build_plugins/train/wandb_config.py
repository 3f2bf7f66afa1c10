"""The config of a log for Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, choice, component, text

REFUSED = "/\\#?%:"
LONGEST = 128


@component("logger:wandb", module="llm_build_plugins.train.wandb_module:WandB")
class wandb(Config):
    """Send the figures and the spec to Weights & Biases; its files lie in the folder wandb of the run.

    Needs the extra `wandb`, and an account unless `mode` is "offline": then nothing is sent, until `wandb sync
    RUN/wandb` does. Going on from a checkpoint goes on with the same run there. wandb takes nothing back: what was
    logged beyond the checkpoint stays, and is logged once more, at the same steps. Charts are over `step`, which is a
    figure like the others, as wandb's own step only ever rises and drops what comes late.
    """

    project: str | None = text(default=None, optional=True, doc="where the run is listed; otherwise wandb decides")
    name: str | None = text(default=None, optional=True, doc="the run's name; otherwise that of its directory")
    entity: str | None = text(default=None, optional=True, doc="user or team; otherwise wandb decides")
    mode: str | None = choice(
        *("online", "offline", "disabled"),
        default=None,
        optional=True,
        doc="whether figures are sent as they come, kept to be sent later, or neither; otherwise wandb decides",
    )

    def check_project(self, context: Context) -> Iterator[Problem]:
        project = self.project or ""
        found = [character for character in REFUSED if character in project]
        if found:
            yield Problem(
                field="project",
                message=f"the name of a project must hold none of {' '.join(REFUSED)}; {' '.join(found)} arrived",
                help=f'write project = "{"".join("-" if each in REFUSED else each for each in project)}"',
            )
        if len(project) > LONGEST:
            yield Problem(
                field="project",
                message=f"the name of a project must hold at most {LONGEST} characters; {len(project)} arrived",
                help="shorten it",
            )
