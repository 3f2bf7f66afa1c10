"""The public names, and the tree of exceptions as its docstring draws it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import llm_build
from llm_build import errors


@pytest.mark.parametrize("name", llm_build.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(llm_build, name) is not None
    assert name in dir(llm_build)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'llm_build' has no attribute 'nothing'"):
        _ = llm_build.nothing


def test_a_type_checker_sees_the_public_names() -> None:
    tree = ast.parse(Path(llm_build.__file__).read_text(encoding="utf-8"))
    (block,) = (each for each in tree.body if isinstance(each, ast.If))
    seen = {alias.asname for each in block.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    assert {*seen, "__version__", "hookimpl"} == set(llm_build.__all__)


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    path = [""]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^ {4}([│├└─ ]*)([A-Z]\w+)( {2}|$)", line):
            depth = len(found[1]) // 4
            path[depth + 1 :] = [found[2]]
            drawn[found[2]] = path[depth]
    there = {name: getattr(errors, name).__base__.__name__ for name in errors.__all__}
    assert drawn == {**there, "LLMBuildError": ""}


def test_every_error_is_public() -> None:
    classes = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    assert classes == set(errors.__all__)
    assert classes <= set(llm_build.__all__)
