"""How fast a model writes, how much memory it takes, and how near it comes to what the memory allows."""

from llm_build.bench.measuring import bench
from llm_build.bench.plot import draw, refuse_plot
from llm_build.bench.report import Cell, Report
from llm_build.bench.shapes import Shape, shapes

__all__ = ["Cell", "Report", "Shape", "bench", "draw", "refuse_plot", "shapes"]
