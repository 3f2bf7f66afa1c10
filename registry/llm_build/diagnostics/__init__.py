"""What is said about a spec: a `Diagnostic`, and its renderers."""

from llm_build.diagnostics.diagnostic import Diagnostic, Related, Severity, Source, Span
from llm_build.diagnostics.render import FORMATS, render

__all__ = ["FORMATS", "Diagnostic", "Related", "Severity", "Source", "Span", "render"]
