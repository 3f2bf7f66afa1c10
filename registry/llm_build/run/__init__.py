"""Runs: what a trainer is handed, the directory that it leaves behind, and how to open that directory again."""

from llm_build.run.checkpoints import Checkpoint, Checkpoints
from llm_build.run.compute import Compute, keep_memory
from llm_build.run.directory import RunDirectory
from llm_build.run.evaluation import Evaluation
from llm_build.run.held_out import Measured, measure
from llm_build.run.job import Job, Outcome
from llm_build.run.memory import TrainingMemory, measuring, training_memory
from llm_build.run.opened import Run, open_checkpoint, open_run
from llm_build.run.requirements import refuse_missing
from llm_build.run.stopping import Stopped
from llm_build.run.training import Trained, train

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "Compute",
    "Evaluation",
    "Job",
    "Measured",
    "Outcome",
    "Run",
    "RunDirectory",
    "Stopped",
    "Trained",
    "TrainingMemory",
    "keep_memory",
    "measure",
    "measuring",
    "open_checkpoint",
    "open_run",
    "refuse_missing",
    "train",
    "training_memory",
]
