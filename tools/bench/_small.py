"""Small training runs in processes of their own: of this process's forks, which need not import torch again.

A fork is killed with SIGKILL, as any process is; nothing is computed before it is made, so that no thread is lost.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import attrs

import llm_build_plugins
from llm_build.cli import main
from llm_build.cli._options import read_spec
from llm_build.run import RunDirectory
from llm_build.run.checkpoints import TENSORS, Checkpoint

BATCH = 4
SPEC = """llm 1
tokenizer = bpe {{ vocab = 300 }}
model = decoder {{
  dim = 16
  context = 16
  dropout = 0.2
  position = rope
  layers = 2 * block {{ norm = rms, attention = gqa {{ heads = 4, kv_heads = 2 }}, ffn = swiglu {{ hidden = 32 }} }}
  norm = rms
  head = linear {{ tie = true }}
}}
data = files {{ paths = ["{texts}/*.txt"], held_out = 20% }}
train = pretrain {{
  epochs = 4, batch = {batch}, accumulate = 2, eval_every = 4, samples = 1, sample_tokens = 4
  objective = bench.witnessed
  optimizer = adamw {{ lr = 3e-2 }}
  schedule = warmup_cosine {{ warmup = 4 }}
}}
generate = decode {{ sampler = greedy, cache = dense, max_new = 4 }}
"""
PLUGIN = str(Path(__file__).with_name("_witness.py"))
PLACE = "LLM_BUILD_BENCH_WITNESS"
"""What _witness.py calls the variable; a plugin in a file is imported once, by --plugin."""
VARYING = {"seconds", "speed"}
PATIENCE = 120.0

Report = Callable[[str], None]
"""A child's line to its parent; what was said before a kill arrives."""


@attrs.frozen
class Ended:
    """How a child ended: its status as `os.waitpid` gives it, and the lines that it said."""

    status: int
    lines: list[str]

    @property
    def killed(self) -> bool:
        return os.WIFSIGNALED(self.status)


@attrs.frozen
class Bench:
    """The spec and the text of the runs in a folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Bench:
        """Write text in which no window stands twice, and import what training imports."""
        chance, texts = random.Random(0), folder / "texts"
        texts.mkdir()
        for number in range(12):
            words = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 5))) for _ in range(31)]
            (texts / f"{number:02}.txt").write_text(" ".join(words) + "\n", encoding="utf-8")
        found = cls(folder)
        found.spec.write_text(SPEC.format(texts=texts, batch=BATCH), encoding="utf-8")
        for each in pkgutil.walk_packages(llm_build_plugins.__path__, "llm_build_plugins."):
            importlib.import_module(each.name)
        os.environ["LLM_BUILD_CACHE"] = str(folder / "cache")
        os.environ[PLACE] = os.devnull
        read_spec(str(found.spec), (), (PLUGIN,))
        return found

    @property
    def spec(self) -> Path:
        return self.folder / "small.llm"

    def config(self) -> Any:
        return read_spec(str(self.spec), (), (PLUGIN,)).config

    def arguments(self, run: Path, *options: str) -> list[str]:
        """Of `llm-build`, to train into a run."""
        place = ["--out", str(run), "--device", "cpu", "--plugin", PLUGIN, "-q"]
        return ["train", str(self.spec), *place, *options]

    def start(
        self, run: Path, witness: Path, *options: str, prepare: Callable[[Report], None] = lambda _: None
    ) -> Child:
        """Train into a run in a fork; `prepare` is called there first."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self._work(run, witness, options, write, prepare)
        os.close(write)
        return Child(pid, read)

    def train(
        self, run: Path, witness: Path, *options: str, prepare: Callable[[Report], None] = lambda _: None
    ) -> Ended:
        """The same, to its end or its death."""
        return self.start(run, witness, *options, prepare=prepare).ended()

    def _work(
        self, run: Path, witness: Path, options: tuple[str, ...], pipe: int, prepare: Callable[[Report], None]
    ) -> NoReturn:
        code = 99
        try:
            log = os.open(self.folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.environ |= {PLACE: str(witness), "OMP_NUM_THREADS": "1"}
            prepare(lambda line: void(os.write(pipe, f"{line}\n".encode())))
            main(self.arguments(run, *options))
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 1
        except BaseException as fault:  # noqa: BLE001 (a child must never go on as a second bench)
            print(repr(fault), file=sys.stderr, flush=True)
        os._exit(code)


@attrs.frozen
class Child:
    """A fork that trains, and the pipe that it reports through."""

    pid: int
    pipe: int

    def wait_for(self, line: str) -> str:
        """What it said so far, once that ends with `line`, or once it has ended."""
        said = b""
        while not said.endswith(f"{line}\n".encode()):
            piece = os.read(self.pipe, 1)
            if not piece:
                break
            said += piece
        return said.decode()

    def ended(self, before: str = "") -> Ended:
        """Wait for its end."""
        with os.fdopen(self.pipe, "rb") as pipe:
            said = before + pipe.read().decode()
        return Ended(os.waitpid(self.pid, 0)[1], said.splitlines())


def void(_: object) -> None: ...


@attrs.frozen
class Trail:
    """All of a run that has to be the same again: figures, examples, and the last checkpoint's tensors."""

    figures: list[dict[str, float]]
    names: list[str]
    tensors: tuple[str, str]

    @classmethod
    def of(cls, run: Path) -> Trail:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        figures = [{name: value for name, value in json.loads(line).items() if name not in VARYING} for line in lines]
        checkpoints = RunDirectory(run).checkpoints
        last = Checkpoint.verified(checkpoints.path / checkpoints.names[-1])
        files = last.manifest.files
        return cls(figures, checkpoints.names, (files["model.safetensors"].sha256, files[TENSORS].sha256))


def last_step(run: Path) -> int:
    """The step of the last checkpoint; 0 without one."""
    names = RunDirectory(run).checkpoints.names
    return int(names[-1].removeprefix("step-")) if names else 0


def rows_of(witness: Path) -> list[str]:
    return witness.read_text(encoding="utf-8").split() if witness.exists() else []


def patient(found: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.001)
