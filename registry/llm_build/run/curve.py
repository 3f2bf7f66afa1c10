"""The loss curve of a run, as a picture."""

from __future__ import annotations

import importlib.util

from llm_build.run.directory import RunDirectory

NO_LIBRARY = 'no loss curve: matplotlib is not installed; pip install "llm-build[plot]"'
NO_FIGURES = (
    "no loss curve: it is drawn from metrics.jsonl, which has no figures; write loggers = jsonl, or with others"
)


def draw_curve(directory: RunDirectory) -> str:
    """Draw metrics.jsonl as loss.png. Returns the line to show: where it is, or what would bring it."""
    if importlib.util.find_spec("matplotlib") is None:
        return NO_LIBRARY
    records = list(directory.records())
    if not records:
        return NO_FIGURES
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*_points(records, "loss"), color="#b0b8c4", linewidth=0.8, label="training")
    axes.plot(*_points(records, "held_out_nats"), color="#1f4e9c", marker="o", markersize=3, label="held out")
    axes.set(xlabel="step", ylabel="nats a token", title=directory.path.name)
    axes.grid(alpha=0.2)
    axes.legend(frameon=False)
    try:
        figure.savefig(directory.curve, dpi=150)
    except OSError as fault:
        return f"no loss curve: {directory.curve} cannot be written: {fault.strerror}"
    return f"loss curve: {directory.curve}"


def _points(records: list[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    found = [(each["step"], each[name]) for each in records if each.get(name) is not None]
    return [step for step, _ in found], [value for _, value in found]
