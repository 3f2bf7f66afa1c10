"""From the parser's rules to tree nodes, called bottom-up while parsing: depth costs no recursion.

Lark hands every rule all of its tokens, so a node's place runs from its first child to its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lark import Token, Transformer

from llm_build.language import tree

Child = Any  # a Token or a tree.Node

NAMELESS = ""
"""The name of a statement that recovery could not find one for."""


def _place(children: Sequence[Child]) -> dict[str, Any]:
    if not children:
        return {"start": 0, "end": 0}
    return {"start": _start(children[0]), "end": _end(children[-1])}


def _start(child: Child) -> int:
    return child.start_pos or 0 if isinstance(child, Token) else child.start


def _end(child: Child) -> int:
    return child.end_pos or 0 if isinstance(child, Token) else child.end


def _nodes(children: Sequence[Child]) -> tuple[Any, ...]:
    return tuple(each for each in children if not isinstance(each, Token))


def _entries(children: Sequence[Child]) -> tuple[Any, ...]:
    """The statements or fields among the children, without those whose name recovery had to make up."""
    return tuple(each for each in _nodes(children) if _named(each))


def _named(entry: Any) -> bool:
    name = entry.target.steps[0].name if isinstance(entry, tree.Assign | tree.Merge) else getattr(entry, "name", "?")
    return name != NAMELESS


def _string(token: Token) -> tree.String:
    return tree.String(text=str(token), **_place([token]))


class TreeBuilder(Transformer[Token, tree.File]):
    """One method a grammar rule."""

    def spec(self, children: list[Child]) -> tree.File:
        return tree.File(statements=_entries(children), **_place(children))

    def edition(self, children: list[Child]) -> tree.Edition:
        return tree.Edition(text=str(children[1]), **_place(children))

    def extends(self, children: list[Child]) -> tree.Extends:
        return tree.Extends(file=_string(children[1]), **_place(children))

    def let(self, children: list[Child]) -> tree.Let:
        _, name, _, value = children
        return tree.Let(name=str(name), place=tree.Node(**_place([name])), value=value, **_place(children))

    def param(self, children: list[Child]) -> tree.Param:
        _, name, _, value = children
        return tree.Param(name=str(name), place=tree.Node(**_place([name])), value=value, **_place(children))

    def require(self, children: list[Child]) -> tree.Require:
        why = _string(children[3]) if len(children) > 2 else None
        return tree.Require(condition=children[1], why=why, **_place(children))

    def assign(self, children: list[Child]) -> tree.Assign:
        return tree.Assign(target=children[0], value=children[2], **_place(children))

    def merge(self, children: list[Child]) -> tree.Merge:
        return tree.Merge(target=children[0], body=children[1], **_place(children))

    def body(self, children: list[Child]) -> tree.Body:
        return tree.Body(entries=_entries(children), **_place(children))

    def chain(self, children: list[Child]) -> tree.Chain:
        operators = tuple(str(each) for each in children[1::2])
        return tree.Chain(operands=tuple(children[::2]), operators=operators, **_place(children))

    def unary(self, children: list[Child]) -> tree.Unary:
        times = len(children) - 1
        return tree.Unary(operator=str(children[0]), times=times, operand=children[-1], **_place(children))

    def amended(self, children: list[Child]) -> tree.Amended:
        return tree.Amended(base=children[0], bodies=tuple(children[1:]), **_place(children))

    def faulty(self, children: list[Child]) -> tree.Faulty:
        return tree.Faulty(**_place(children))

    def group(self, children: list[Child]) -> Child:
        return children[1]

    def number(self, children: list[Child]) -> tree.Number:
        return tree.Number(text=str(children[0]), **_place(children))

    def string(self, children: list[Child]) -> tree.String:
        return _string(children[0])

    def constant(self, children: list[Child]) -> tree.Constant:
        return tree.Constant(name=str(children[0]), **_place(children))

    def qualified(self, children: list[Child]) -> tree.Reference:
        slot, _, names = str(children[0]).partition(":")
        steps = tuple(tree.Step(name=name, **_place(children)) for name in names.split("."))
        return tree.Reference(steps=steps, slot=slot, **_place(children))

    def reference(self, children: list[Child]) -> tree.Reference:
        return tree.Reference(steps=_nodes(children), **_place(children))

    def step(self, children: list[Child]) -> tree.Step:
        selector = children[1] if len(children) > 1 else None
        return tree.Step(name=str(children[0]), selector=selector, **_place(children))

    def selector(self, children: list[Child]) -> tree.Selector:
        first, *stop = _nodes(children)
        return tree.Selector(first=first, stop=stop[0] if stop else None, **_place(children))

    def call(self, children: list[Child]) -> tree.Call:
        function, *arguments = _nodes(children)
        return tree.Call(function=function, arguments=tuple(arguments), **_place(children))

    def named(self, children: list[Child]) -> tree.Named:
        return tree.Named(name=str(children[0]), value=children[2], **_place(children))

    def list(self, children: list[Child]) -> tree.ListOf:
        return tree.ListOf(items=_nodes(children), **_place(children))
