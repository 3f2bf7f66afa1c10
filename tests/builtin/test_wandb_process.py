"""wandb's own process: what it sends while offline, when it ends, and what happens without it, a login or a network."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.logged import wandb_records, wandb_rows
from tests.processes import ROOT, finished, with_torch
from tests.small import spec_text

pytestmark = pytest.mark.slow

BEGIN = """
import logging, os, sys, time
from pathlib import Path
from llm_build import Context, LLMBuildError
from llm_build_plugins import train
logging.basicConfig(format="%(message)s", level=logging.WARNING)
logger = train.wandb({options}).build(Context())
logger.begin(Path(sys.argv[1]))
logger.log({{"step": 1, "loss": 1.0}})
"""
OFFLINE = BEGIN.format(options='mode="offline"')
END = "logger.log({'step': 2, 'loss': 0.5})\nlogger.end()\n"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process hands its own service down to those that it starts."""
    monkeypatch.delenv("WANDB_SERVICE", raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    place = tmp_path / "run"
    place.mkdir()
    (place / "spec.llm").write_text(spec_text(), encoding="utf-8")
    return place


def services_of(process: int) -> list[int]:
    """The processes of wandb that belong to a process."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if words[0].endswith(b"wandb-core") and str(process).encode() in words:
            found.append(int(place.name))
    return found


def wait_for_none(process: int) -> None:
    end = time.monotonic() + 30
    while services_of(process):
        assert time.monotonic() < end, "wandb's process goes on"
        time.sleep(0.1)


def test_offline_means_that_nothing_is_sent(run: Path) -> None:
    """Whoever wants to send something has to come to us: as the server or as the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        here = f"http://127.0.0.1:{server.getsockname()[1]}"
        proxies = {name: here for each in ("http_proxy", "https_proxy", "all_proxy") for name in (each, each.upper())}
        finished(
            with_torch(
                OFFLINE + END,
                run,
                **{"WANDB_BASE_URL": here, "WANDB_API_KEY": "a" * 40, "NO_PROXY": "", "no_proxy": "", **proxies},
            )
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    (records,) = wandb_records(run)
    assert [row["step"] for row in wandb_rows(records)] == [1, 2]


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_the_process_ends_with_the_one_that_began_it(run: Path, how: str) -> None:
    program = OFFLINE + "print('begun', flush=True)\nsys.stdin.read()\n" + END
    with subprocess.Popen(
        [sys.executable, "-c", program, run], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            assert services_of(process.pid)
            if how == "is killed":
                process.kill()
            process.stdin.close()
            process.wait(timeout=60)
        finally:
            process.kill()
    assert process.returncode == (0 if how == "ends" else -signal.SIGKILL)
    wait_for_none(process.pid)


def test_without_its_process_training_goes_on_with_one_warning(run: Path) -> None:
    kill = """
for each in Path("/proc").glob("[0-9]*"):
    if each.name != str(os.getpid()) and b"wandb-core" in (words := (each / "cmdline").read_bytes()):
        if str(os.getpid()).encode() in words.split(b"\\0"):
            os.kill(int(each.name), 9)
time.sleep(1)
"""
    again = "logger.log({'step': 3, 'loss': 0.5})\nprint(logger.mark())\n"
    done = with_torch(OFFLINE + kill + "logger.log({'step': 2, 'loss': 0.5})\n" + again + END, run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in str(next((run / "wandb").glob("offline-run-*")))
    (warned,) = [line for line in done.stderr.splitlines() if "Training goes on" in line]
    assert warned.startswith("wandb stopped: ")
    assert warned.endswith("Training goes on; figures from step 2 on are not there")


def test_who_is_not_logged_in_is_told_what_to_do(run: Path, tmp_path: Path) -> None:
    program = "try:\n    " + BEGIN.format(options='mode="online"').strip().replace("\n", "\n    ")
    program += "\nexcept LLMBuildError as fault:\n    print(fault)\n"
    place = {"HOME": tmp_path, "NETRC": tmp_path / "none", "WANDB_BASE_URL": "http://127.0.0.1:9"}
    said = finished(with_torch(program, run, **place))
    assert said == (
        "wandb must be able to begin, which failed: No API key configured. Use `wandb login` to log in. Or write "
        'mode = "offline", or leave wandb out of `loggers`\n'
    )


def test_without_a_network_figures_are_kept_for_later(run: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    program = BEGIN.format(options='mode="online"') + END
    place = {
        "WANDB_BASE_URL": closed,
        "WANDB_API_KEY": "a" * 40,
        "WANDB_INIT_TIMEOUT": 3,
        "WANDB_ERROR_REPORTING": "false",
    }
    done = with_torch(program, run, **place)
    assert done.returncode == 0, done.stderr
    assert "wandb cannot be reached: " in done.stderr
    assert f"Training goes on; `wandb sync {run}/wandb` sends its figures" in done.stderr
    (records,) = wandb_records(run)
    assert [row["step"] for row in wandb_rows(records)] == [1, 2]


def test_a_run_of_the_programs_own_goes_on(run: Path) -> None:
    program = """
import sys, wandb
own = wandb.init(dir=sys.argv[1], settings=wandb.Settings(console="off"))
"""
    program += OFFLINE + "assert wandb.run is own\n" + END + "own.log({'mine': 1})\nown.finish()\n"
    finished(with_torch(program, run, WANDB_MODE="offline"))
    rows = sorted(len(wandb_rows(records)) for records in wandb_records(run))
    assert rows == [1, 2]
