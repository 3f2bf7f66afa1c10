"""A plugin for runs in a process of their own: it writes down what is trained on, and kills or holds up the process."""

from __future__ import annotations

from pathlib import Path

PLUGIN = '''
import os, signal
from llm_build import Config, component, hookimpl, part

@component("objective:test.watched", module="watching_module:Watched")
class watched(Config):
    """Another objective, watched."""
    of: object = part("objective", default="next_token")

@hookimpl
def llm_components():
    return [watched]

def killed(handle, calls=[], fsync=os.fsync):
    calls.append(handle)
    if len(calls) == int(os.environ["KILL_AT_SYNC"]):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

if "KILL_AT_SYNC" in os.environ:
    os.fsync = killed
'''

MODULE = """
import hashlib, os, signal, time
from pathlib import Path

class Watched:
    def __init__(self, config, context):
        self.inner, self.calls = config.part("of", context), 0

    def loss(self, model, batch):
        self.calls += 1
        digest = hashlib.sha256(batch.tokens.numpy().tobytes() + batch.targets.numpy().tobytes()).hexdigest()
        with Path(os.environ["SEEN"]).open("a") as file:
            file.write(f"{os.getpid()} {digest}\\n")
        if self.calls == int(os.environ.get("KILL_AT_CALL", 0)):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.calls == int(os.environ.get("WAIT_AT_CALL", 0)):
            time.sleep(600)
        return self.inner.loss(model, batch)
"""


def write_plugin(folder: Path) -> Path:
    """`--plugin` it from that folder, which has to be on PYTHONPATH.

    SEEN names a file that gets a line a batch: the process and a hash of its tokens. The process is killed in its call
    number KILL_AT_CALL, or in place of its os.fsync number KILL_AT_SYNC, and sleeps in call number WAIT_AT_CALL.
    """
    (folder / "watching_module.py").write_text(MODULE, encoding="utf-8")
    (folder / "watching.py").write_text(PLUGIN, encoding="utf-8")
    return folder / "watching.py"
