"""Parsing on behind a syntax fault: every fault of a text is found, and none that another one only caused.

Brackets are mended first (brackets.py). A token that the parser cannot take is then made to fit by the shortest patch:
a value, a `=` or an operator that is missing is put in as a stand-in, or the token is left out. A statement is reported
once, at its first fault; what it states counts as faulty, and it is a doubt: nothing that it seems to mean is a fault.
The method is the local repair of Burke and Fisher (1987), with indentation in place of their search for scopes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lark import Token
from lark.parsers.lalr_analysis import Shift

from llm_build.diagnostics import Diagnostic, Source
from llm_build.language import tree
from llm_build.language.brackets import OPENING, closer
from llm_build.language.builder import NAMELESS
from llm_build.language.loose import loose_tokens, placed
from llm_build.language.numbers import read_number
from llm_build.language.statements import FAULT_LIMIT, Placed, prepare
from llm_build.language.syntax_faults import CLOSING, VALUE_STARTS, at, no_value, unexpected
from llm_build.language.tables import parser
from llm_build.language.values import Wrong

_FITTING = (
    ("FAULT",),
    ("EQUAL",),
    ("PLUS", "FAULT", "PLUS"),
    ("_COMMA",),
    ("EQUAL", "FAULT"),
    ("NUMBER",),
    ("STRING",),
    ("NAME",),
    ("NAME", "EQUAL", "FAULT"),
    ("NAME", "EQUAL"),
)
"""What may be missing before a token, the likeliest first."""
_APART = tuple((*each, "_NEWLINE", "NAME") for each in ((), *_FITTING))
"""What makes a body stand by itself, so that its fields are read."""
_TEXTS = {"EQUAL": "=", "PLUS": "+", "_COMMA": ",", "_NEWLINE": "\n", "NUMBER": "", "STRING": '""', "NAME": NAMELESS}


def recover(source: Source, text: str) -> tuple[tree.File, list[Diagnostic]]:
    """The tree of what a text with syntax faults says, and those faults. `text` is what of the source is to be read."""
    tokens, whole = loose_tokens(text)
    items, doubts = prepare(tokens, source)
    machine = _Machine(source, items)
    file = machine.run()
    whole = whole and machine.whole
    if len(machine.faults) > FAULT_LIMIT:
        del machine.faults[FAULT_LIMIT:]
        whole = False
    return file._replace(doubts=(*doubts, *machine.doubts()), whole=whole), machine.faults


class _Machine:
    """Lark's parser, fed with tokens that fit."""

    def __init__(self, source: Source, items: list[Placed]) -> None:
        self.source, self.items = source, items
        self.parser = parser().parse_interactive(start="spec")
        self.faults: list[Diagnostic] = []
        self.whole = True
        self.last: Token | None = None
        self.opened: list[Token] = []
        self._reported: set[int] = set()
        self._skipped: list[bool] = []

    def run(self) -> tree.File:
        for item in self.items:
            self._check(item)
        for index, item in enumerate(self.items):
            if len(self.faults) > FAULT_LIMIT:
                del self.items[index:]
                break
            if item.kind != "STRAY":
                self._take(index, item)
        place = len(self.source.text)
        while self.opened:  # not the whole text was taken
            self._take(len(self.items), Placed(closer(self.opened[-1], place)))
        end = placed("$END", "", place, place)
        self._take(len(self.items), Placed(end))
        result: tree.File = self.parser.feed_token(end)
        return result

    def doubts(self) -> Iterable[tree.Doubt]:
        """The tokens of every statement that was reported; runs of them are one."""
        run: tree.Doubt | None = None
        for item in self.items:
            inside = item.statement in self._reported
            if inside:
                start, end = item.token.start_pos or 0, item.token.end_pos or 0
                run = run._replace(end=end) if run else tree.Doubt(start, end)
            elif run:
                yield run
                run = None
        if run:
            yield run

    # --- reports ---

    def _check(self, item: Placed) -> None:
        """Report what is known to be wrong with a token by itself."""
        if item.fault is not None and item.beside:
            self.faults.append(item.fault)
        elif item.fault is not None:
            self._report(item, item.fault)
        elif item.kind == "NUMBER":
            try:
                read_number(str(item.token))
            except Wrong as wrong:
                self._report(item, at(self.source, item.token, wrong.code, wrong.message, wrong.help))

    def _report(self, item: Placed, fault: Diagnostic) -> None:
        if item.statement not in self._reported and len(self.faults) <= FAULT_LIMIT:
            self._reported.add(item.statement)
            self.faults.append(fault)

    def _unexpected(self, item: Placed) -> Diagnostic:
        accepted = {kind for kind in self._choices() if self._fits([kind])} - {"FAULT"}
        last = self.last
        if last is not None and accepted >= VALUE_STARTS and self._line(item.token) > self._line(last):
            return no_value(self.source, last, item.token)
        return unexpected(self.source, item.token, last, self.opened, accepted)

    def _line(self, token: Token) -> int:
        return self.source.place(token.start_pos or 0)[0]

    # --- repair ---

    def _take(self, index: int, item: Placed) -> None:
        token = item.token
        if item.kind in CLOSING and self._skipped and self._skipped.pop():
            return
        if item.kind == "LSQB" and self._fits(["EQUAL"]) and self._lacks_equals(index):
            self._report(item, unexpected(self.source, token, self.last, self.opened, {"EQUAL"}))
            self._put(("EQUAL",), token)
        taken = self._feed(token) or self._repair(index, item)
        if item.kind in OPENING:
            self._skipped.append(not taken)
        if taken:
            self.last = token
            self._nest(token)

    def _repair(self, index: int, item: Placed) -> bool:
        """Report a token that does not fit, and make it fit; False where it is left out."""
        # what ends a body finds fault with the statement before it
        blamed = self._before(index) if item.kind in {"RBRACE", "$END"} else item
        if blamed.statement not in self._reported:
            self._report(blamed, self._unexpected(item))
        patch = self._patch(index, item.kind)
        if patch is None:
            return False
        self._put(patch, item.token)
        return self._feed(item.token)

    def _before(self, index: int) -> Placed:
        while index > 0 and self.items[index - 1].kind == "STRAY":
            index -= 1
        return self.items[max(index - 1, 0)]

    def _lacks_equals(self, index: int) -> bool:
        """Whether `name [ … ]` begins a statement and goes on as no selection of layers does."""
        kinds = [each.kind for each in self.items[max(index - 2, 0) : index] if each.kind != "STRAY"]
        if kinds[-1:] != ["NAME"] or kinds[:-1] not in ([], ["_NEWLINE"], ["_COMMA"], ["LBRACE"]) or self._inside():
            return False
        depth = 0
        for place in range(index, len(self.items)):
            depth += (self.items[place].kind in OPENING) - (self.items[place].kind in CLOSING)
            if depth == 0:
                after = self.items[place + 1 : place + 3]
                following = next((each.kind for each in after if each.kind != "STRAY"), "")
                return following not in {"EQUAL", "LBRACE", "DOT", "LSQB"}
        return False

    def _inside(self) -> bool:
        return bool(self.opened) and self.opened[-1].type != "LBRACE"

    def _feed(self, token: Token) -> bool:
        """Give the parser a token, if it can take it; the end of the text is only tried."""
        if not self._fits([token.type]):
            return False
        if token.type != "$END":
            self.parser.feed_token(token)
        return True

    def _nest(self, token: Token) -> None:
        if token.type in OPENING:
            self.opened.append(token)
        elif token.type in CLOSING and self.opened:
            self.opened.pop()

    def _put(self, kinds: Sequence[str], before: Token) -> None:
        place = before.start_pos or 0
        for kind in kinds:
            self.whole = self.whole and kind != "NAME"
            self.parser.feed_token(placed(kind, _TEXTS.get(kind, ""), place, place))

    def _patch(self, index: int, kind: str) -> Sequence[str] | None:
        """What to put before a token; None where it is to be left out."""
        following = [each.kind for each in self.items[index + 1 : index + 3] if each.kind != "STRAY"]
        bracket = kind in OPENING or kind in CLOSING or kind == "$END"
        doubled = kind == "_COMMA" and self.last is not None and self.last.type == "_COMMA"
        if doubled and following and self._fits(following[:1]):
            return None  # nothing stood between the two, so nothing is lost
        for patch in _FITTING:
            if self._fits([*patch, kind, *following[:1]]):
                return patch
        if not bracket and following and self._fits(following):
            return None
        for patch in (*_FITTING, *(_APART if kind == "LBRACE" else ())):
            if self._fits([*patch, kind]):
                return patch
        return None

    # --- the parser's tables ---

    def _choices(self) -> Iterable[str]:
        state = self.parser.parser_state
        return [kind for kind in state.parse_conf.states[state.position] if kind.isupper()]

    def _fits(self, kinds: Iterable[str]) -> bool:
        """Whether the parser could take these tokens one after the other; nothing is taken."""
        conf = self.parser.parser_state.parse_conf
        states, stack = conf.states, list(self.parser.parser_state.state_stack)
        for kind in kinds:
            while True:
                action, argument = states[stack[-1]].get(kind, (None, None))
                if action is None:
                    return False
                if action is Shift:
                    stack.append(argument)
                    break
                if argument.expansion:
                    del stack[-len(argument.expansion) :]
                stack.append(states[stack[-1]][argument.origin.name][1])
                if kind == "$END" and stack[-1] == conf.end_state:
                    return True
        return True
