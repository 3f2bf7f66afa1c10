"""A training job on drawn tokens: a real corpus, optimiser and logger, without text or a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from llm_build import Context, Job, build, load
from llm_build.corpus import Corpus, HeldOut, Windows
from llm_build.resolve import resolve
from llm_build.run import Compute, RunDirectory

TOKENS = 2**24
HELD_OUT = 2**12


def drawn_job(text: str, compute: Compute, folder: Path) -> tuple[Job, Any]:
    """The job of a spec without data, in `folder`, and its trainer. The tokens lie in a file, as those of a text do."""
    spec = load(text)
    filled: Any = resolve(spec, Context())
    trainer = filled.part("train", filled.inside("train", Context()))
    model = build(spec, device=compute.device, dtype=compute.weights, seed=compute.seed).train()
    file = folder / "tokens.u2"
    if not file.is_file():
        np.random.default_rng(0).integers(model.vocab, size=TOKENS, dtype=np.uint16).tofile(file)
    tokens = np.memmap(file, dtype="<u2", mode="r").view(np.ndarray)
    train = Windows(tokens[HELD_OUT:], model.context, compute.seed)
    held_out = HeldOut(tokens[:HELD_OUT], model.context, [], HELD_OUT)
    number = sum(each.name.startswith("run") for each in folder.iterdir())
    job = Job(
        model=model,
        tokenizer=None,
        corpus=Corpus(train, held_out, {}),
        compute=compute,
        directory=RunDirectory.create(folder / f"run-{number}"),
        described={"spec.llm": text.encode(), "versions.json": b"{}\n", "tokenizer.json": bytes(2**20)},
    )
    return job, trainer
