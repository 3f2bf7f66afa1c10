"""What a class or a function asks, read from its source: docstrings, attributes and signatures, without bodies."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def outline(module: str, name: str) -> str:
    """The outline of a class or a function of a module, which is not imported.

    What begins with an underscore is left out: it asks nothing of anyone.
    """
    source, tree = _parsed(module)
    lines = source.splitlines()
    (node,) = (each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name)
    return "\n".join(_class(node, lines) if isinstance(node, ast.ClassDef) else _piece(node, lines))


@cache
def _parsed(module: str) -> tuple[str, ast.Module]:
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"{module} is a module of ours"
    assert spec.origin is not None, f"{module} has a source file"
    source = Path(spec.origin).read_text(encoding="utf-8")
    return source, ast.parse(source)


def _class(node: ast.ClassDef, lines: list[str]) -> Iterator[str]:
    """The head, and each piece that is no secret, with blank lines where the source has them."""
    yield from lines[node.lineno - 1 : node.body[0].lineno - 1]
    for each in node.body:
        if not _private(each):
            if not lines[_first(each) - 2]:
                yield ""
            yield from _piece(each, lines)


def _piece(node: ast.stmt, lines: list[str]) -> list[str]:
    """A statement as it stands; of a method, all up to the end of its docstring."""
    last = node.end_lineno
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
        last = node.body[0].end_lineno
    return lines[_first(node) - 1 : last]


def _first(node: ast.stmt) -> int:
    """The line where a statement begins, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _private(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("_")
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return any(isinstance(each, ast.Name) and each.id.startswith("_") for each in targets)
