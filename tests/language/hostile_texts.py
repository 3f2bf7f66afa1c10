"""Texts of 256 KiB, the most that a spec may have, that are made to take long, to nest deep or to fill memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llm_build.language.files import SIZE_LIMIT

SIZE = SIZE_LIMIT - 64


def _rows(make: Callable[[int], str], head: str = "") -> str:
    """As many rows as there is room for."""
    rows, room = [f"llm 1\n{head}"], SIZE
    index = 1
    while room > 0:
        rows.append(make(index))
        room -= len(rows[-1])
        index += 1
    return "".join(rows[:-1])


def _repeated(words: Iterable[str]) -> dict[str, str]:
    return {f"only {each!r}": each * (SIZE // len(each)) for each in words}


def _values(values: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    return {
        name: f"llm 1\nparam a = {first}{each * (SIZE // len(each) - 1)}{last}\n"
        for name, (first, each, last) in values.items()
    }


TEXTS = {
    "10,000 braces": "llm 1\n" + "a { " * 10_000,
    "5,000 minus signs": "llm 1\nparam a = " + "-" * 5_000 + "1",
    "powers": "llm 1\nparam a = 9**9**9\nparam b = 9 * 9",
    **_repeated(
        ["$", "$ ", "{", "[", "(", "}", "}\n", ",", "=", "\n", '"', '"\n', "\u202e", "let ", "llm 1\n", "a[ b{ (,"]
    ),
    "braces, then parentheses": "{" * (SIZE // 2) + ")" * (SIZE // 2),
    "braces, then commas": "{" * (SIZE // 2) + "," * (SIZE // 2),
    "lines of braces, then of parentheses": "{\n" * (SIZE // 3) + ")\n" * (SIZE // 6),
    "braces without indentation": "llm 1\nmodel = decoder {\n" + "dim = 3 {\n" * 20_000,
    "faults of every kind": 'let = { 3 [ " , ) $ } \n' * (SIZE // 24),
    **_values(
        {
            "minus": ("", "-", "1"),
            "not": ("", "not ", "true"),
            "a list": ("[", "1,", "]"),
            "a list of unbound names": ("[", "b,", "]"),
            "a sum": ("", "1+", "1"),
            "a sum of names": ("", "b+", "b"),
            "a path": ("b", ".b", ""),
            "selections": ("b", "[0]", ""),
            "bodies": ("block", "{}", ""),
            "roots": ("", "sqrt(2)+", "1"),
            "a number": ("", "9", ""),
            "a string": ('"', "a", '"'),
            "escapes": ('"', "\\q", '"'),
            "cycles": ("", "cycle(block,to=4096)+", "block"),
            "repeats": ("", "4096*", "block"),
        }
    ),
    "fields of no meaning": _rows(lambda i: "a=b\n"),
    "missing values": _rows(lambda i: "a=\n"),
    "missing equals": _rows(lambda i: "a b\n"),
    "a field set often": _rows(lambda i: "a=1\n", "model = decoder {") + "}",
    "misspelt fields": _rows(lambda i: f"laye{i}rs=1\n", "model = decoder {") + "}",
    "unbound names": _rows(lambda i: f"param y{i}=zz{i}+1\n"),
    "requirements": _rows(lambda i: "require model.x==1\n"),
    "extensions": _rows(lambda i: 'extends "a"\n'),
    "lists of lists": _rows(lambda i: f"let a{i} = [a{i - 1},a{i - 1}]\n", "let a0 = 1\n"),
    "doubled layers": _rows(lambda i: f"let a{i} = a{i - 1} + a{i - 1}\n", "let a0 = block\n"),
    "squares of squares": _rows(lambda i: f"param a{i} = a{i - 1} * a{i - 1}\n", "param a0 = 9\n"),
    "nested lets": _rows(
        lambda i: f"let a{i} = block {{ attention = a{i - 1}, ffn = a{i - 1}, cross = a{i - 1} }}\n", "let a0 = block\n"
    ),
    "amended layers": _rows(
        lambda i: f"let a{i} = a{i - 1} {{ ffn {{ hidden = {i} }} }}\n", "let a0 = 4096 * block { ffn = mlp }\n"
    ),
    "changed layers": _rows(
        lambda i: f"model {{ layers[{i % 4096}] {{ ffn {{ hidden = {i} }} }} }}\n",
        "model = decoder { layers = 4096 * block { ffn = mlp } }\n",
    ),
}
