"""How long a save stops training at 125M parameters, against writing as many bytes and syncing them."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from _drawn import drawn_job
from _measure import alternate, at_most, show
from llm_build.run import Compute, keep_memory
from llm_build_plugins.train._loop import Loop

SPEC = """llm 1
model = decoder {
  dim = 768
  vocab = 50_304
  context = 64
  position = rope
  layers = 12 * block { norm = rms, attention = gqa { heads = 12, kv_heads = 12 }, ffn = swiglu { hidden = 2_048 } }
  norm = rms
  head = linear { tie = true }
}
train = pretrain { steps = 10, batch = 1, schedule = none }
"""
BAR = 1.5


def stall(device: str, folder: Path) -> bool:
    """Measure and print both sides; whether the save is as quick as it has to be."""
    keep_memory()  # as `llm-build train` does
    compute = Compute.choose(device)
    job, trainer = drawn_job(SPEC, compute, folder)
    loop = Loop(job, trainer.config, trainer.objective, trainer.optimizer, None)
    job.log_to(trainer.loggers)
    loop.step()
    steps = count(1)

    def save() -> float:
        return timed(lambda: job.keep(next(steps), None, loop.state()), compute)

    for _ in range(3):  # the fourth is the first that has one to remove
        save()
    kept = job.directory.checkpoints.take()
    size = sum(each.size for each in kept.manifest.files.values())
    content = torch.randint(256, (size,), dtype=torch.uint8).to(compute.device)
    plain = folder / "plain"
    plain.touch()

    def write() -> float:
        return timed(lambda: replaced(content, plain), compute)

    for _ in range(2):
        write()
    ours, yardstick = alternate(save, write)
    parameters = sum(each.numel() for each in job.model.parameters())
    print(
        f"\nstall: {parameters / 1e6:.1f}M parameters with AdamW on {compute.device}, {size / 1e9:.2f} GB a checkpoint"
    )
    show("a save (Job.keep)", ours)
    show("as many bytes written, synced, as many removed", yardstick)
    if compute.device.type == "cuda":
        show("  of which, copied from the device", [timed(content.cpu, compute) for _ in range(5)])
    shutil.rmtree(job.directory.path)
    return at_most("a save / plain write", statistics.median(ours) / statistics.median(yardstick), BAR)


def replaced(content: Tensor, path: Path) -> None:
    """Write a new file, wait for the disk, and remove the one before: what no way of keeping checkpoints can spare."""
    after = path.with_name("plain.new")
    with after.open("wb", buffering=0) as file:
        left = memoryview(content.cpu().numpy())
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    path.unlink()
    after.rename(path)


def timed(work: Callable[[], object], compute: Compute) -> float:
    """Seconds, from a device at rest to a device at rest."""
    wait(compute)
    begun = time.perf_counter()
    work()
    wait(compute)
    return time.perf_counter() - begun


def wait(compute: Compute) -> None:
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
