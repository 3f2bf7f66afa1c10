"""The figures of a bench as a picture."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_build.bench.report import Cell, Report
from llm_build.bench.shapes import Shape
from llm_build.errors import LLMBuildError

ENDINGS = (".png", ".pdf", ".svg")


def refuse_plot(file: Path) -> None:
    """Raises `LLMBuildError` where a plot could not be drawn or written, before anything is measured."""
    if importlib.util.find_spec("matplotlib") is None:
        raise LLMBuildError('a plot needs matplotlib, which is not installed: pip install "llm-build[plot]"')
    if file.suffix not in ENDINGS:
        raise LLMBuildError(f"a plot ends in {', '.join(ENDINGS)}; {file} arrived: write {file.stem}.png")
    if not file.parent.is_dir():
        raise LLMBuildError(f"a plot is written into a folder that exists; {file.parent} is none: make it first")


def draw(report: Report, file: Path) -> None:
    """Tokens a second over context and batch, with the memory's limit dashed. Raises `LLMBuildError`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    by_context, by_batch, prefill = figure.subplots(1, 3)
    for batch, cells in _by(report.cells, lambda shape: (shape.batch, shape.new)).items():
        context = [each.shape.prompt + each.shape.new for each in cells]
        _decode(by_context, context, cells, f"batch {batch[0]}")
        speeds = [each.prefill.median for each in cells]
        prefill.plot([each.shape.prompt for each in cells], speeds, marker="o", label=f"batch {batch[0]}")
    for text, cells in _by(report.cells, lambda shape: (shape.prompt, shape.new)).items():
        _decode(by_batch, [each.shape.batch for each in cells], cells, "{} + {}".format(*text))
    _dress(by_context, "tokens of prompt and text", "decode (dashed: the memory's limit)")
    _dress(by_batch, "batch", "decode, by prompt + new tokens")
    _dress(prefill, "tokens of the prompt", "prefill")
    figure.suptitle(f"{report.model}, {report.machine['dtype']}, {report.machine['processor']}", fontsize="medium")
    try:
        figure.savefig(file, dpi=150)
    except OSError as fault:
        raise LLMBuildError(f"the plot must be written to {file}, which failed: {fault.strerror}") from fault


def _by(cells: Sequence[Cell], key: Callable[[Shape], tuple[int, int]]) -> Mapping[tuple[int, int], list[Cell]]:
    """The cells of each line, in the order of their shapes."""
    found: dict[tuple[int, int], list[Cell]] = {}
    for each in sorted(cells, key=lambda cell: cell.shape):
        found.setdefault(key(each.shape), []).append(each)
    return found


def _decode(axes: Any, places: Sequence[int], cells: Sequence[Cell], name: str) -> None:
    (line,) = axes.plot(places, [each.decode.median for each in cells], marker="o", label=name)
    axes.plot(places, [each.limit for each in cells], color=line.get_color(), linestyle="--", linewidth=0.8)


def _dress(axes: Any, below: str, title: str) -> None:
    axes.set(xlabel=below, ylabel="tokens a second", title=title, yscale="log")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.2)
    axes.legend(frameon=False)
