"""What is asked of the names of special tokens. Free of torch and of the tokenizers library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llm_build import Problem

MARK = r"[!-/:-@\[-`{-~]"
IN_MARKS = re.compile(rf"{MARK}.*[^\W_].*{MARK}", re.DOTALL)
"""A letter or a digit between marks of ASCII: every tokenizer here cuts such a name before it looks anything up."""


def check_special(special: Sequence[str]) -> Iterator[Problem]:
    """Special tokens differ, and text that holds the name of one does not make it."""
    twice = sorted({each for each in special if special.count(each) > 1})
    if twice:
        yield Problem(
            field="special",
            message=f"special tokens must differ from each other; {', '.join(twice)} stands there twice",
            help="name each one once",
        )
    bare = [each for each in special if not IN_MARKS.fullmatch(each)]
    if bare:
        yield Problem(
            field="special",
            message=f'a special token must stand in marks, or text could hold it as a word; "{bare[0]}" arrived',
            help="write it in brackets, such as [eos]",
        )
