"""What loggers left behind, as figures by their step, and a place that stops taking them."""

from __future__ import annotations

import json
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Figures = dict[str, list[tuple[int, float]]]
"""By its name, each figure with its step, in the order of the steps."""

BLOCK = 2**15
WHOLE, LAST = 1, 4


def lines_of(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, each of which must be whole."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def by_name(rows: list[dict[str, Any]]) -> Figures:
    names = sorted({name for row in rows for name in row if name != "step" and not name.startswith("_")})
    return {name: sorted((int(row["step"]), row[name]) for row in rows if name in row) for name in names}


def scalars_of(run: Path) -> Figures:
    """What TensorBoard shows of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    return {name: sorted((each.step, each.value) for each in shown) for name, shown in found.items()}


def texts_of(run: Path) -> list[str]:
    """The texts named spec that TensorBoard shows of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [each.tensor_proto.string_val[0].decode() for each in events.Tensors("spec/text_summary")]


def wandb_records(run: Path) -> list[list[Any]]:
    """The records of each folder that wandb made for a run, the oldest folder first."""
    return [list(_records(file.read_bytes())) for file in sorted((run / "wandb").glob("offline-run-*/run-*.wandb"))]


def wandb_rows(records: list[Any]) -> list[dict[str, Any]]:
    """What was logged, a dict for each call."""
    rows = [each.history.item for each in records if each.WhichOneof("record_type") == "history"]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]


def _records(data: bytes) -> Iterator[Any]:
    """A .wandb file is a log of LevelDB's format with a head of 7 bytes, and each of its records a protobuf message."""
    from wandb.proto.wandb_internal_pb2 import Record

    place, whole = 7, b""
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {WHOLE, LAST}:
            yield Record.FromString(whole)
            whole = b""


@contextmanager
def room(size: int) -> Iterator[None]:
    """While it is open no file of this process may become longer than `size` bytes."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
