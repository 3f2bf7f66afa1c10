"""The config of a log for TensorBoard."""

from __future__ import annotations

from llm_build import Config, component


@component("logger:tensorboard", module="llm_build_plugins.train.tensorboard_module:TensorBoard")
class tensorboard(Config):
    """Write the figures to the folder tensorboard of the run, and the spec as a text: `tensorboard --logdir runs`.

    Needs the extra `tensorboard`. What was logged beyond the checkpoint that a run goes on from is hidden.
    """
