"""What is said about a spec: a `Diagnostic`, and its renderers."""

from llm_build.diagnostics.diagnostic import Diagnostic, Related, Severity, Source, Span
from llm_build.diagnostics.render import FORMATS, render
from llm_build.diagnostics.text import pointed, printable

__all__ = ["FORMATS", "Diagnostic", "Related", "Severity", "Source", "Span", "pointed", "printable", "render"]
