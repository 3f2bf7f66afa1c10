"""Streamed text is the decoded text, whatever tokens come and however a character is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build_plugins.generate._stream import TextStream
from tests.builtin.test_tokenizer import ANY_TEXT, PLAIN, every, every_bpe
from tests.laws import law


@every
@law
@given(prompt=ANY_TEXT, tokens=st.lists(st.integers(0, 299), max_size=30))
def test_the_pieces_add_up_to_the_decoded_text(tokenizer: Any, prompt: str, tokens: list[int]) -> None:
    before = tokenizer.encode(prompt) or [tokenizer.eos]
    tokens = [each % tokenizer.vocab_size for each in tokens]
    stream = TextStream(tokenizer, before)
    text = "".join(stream.add(token) for token in tokens) + stream.end()
    whole = tokenizer.decode([*before, *tokens])
    assert tokenizer.decode(before) + text == whole


@every_bpe
@law
@given(prompt=ANY_TEXT, text=st.text(alphabet=st.sampled_from("aé日🙂 \n"), max_size=12))
def test_no_piece_shows_half_a_character(tokenizer: Any, prompt: str, text: str) -> None:
    before = tokenizer.encode(prompt) or [tokenizer.eos]
    stream = TextStream(tokenizer, before)
    shown = ""
    for token in tokenizer.encode(text):
        shown += stream.add(token)
        assert shown in {(" " * extra + text)[: len(shown)] for extra in (0, 1)}
    assert stream.end() == ""


def test_a_character_of_four_bytes_comes_with_its_last_one() -> None:
    stream = TextStream(PLAIN, PLAIN.encode("a"))
    tokens = PLAIN.encode("🙂")
    assert len(tokens) == 4
    assert [stream.add(each) for each in tokens] == ["", "", "", "🙂"]


def test_a_character_that_is_never_completed_is_shown_at_the_end() -> None:
    stream = TextStream(PLAIN, PLAIN.encode("a"))
    assert [stream.add(each) for each in PLAIN.encode("é")[:1]] == [""]
    assert stream.end() == "\N{REPLACEMENT CHARACTER}"
    assert stream.end() == ""


def test_a_token_takes_little_more_than_one_call_of_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, decode = [], PLAIN.decode
    monkeypatch.setattr(PLAIN, "decode", lambda tokens: calls.append(len(tokens)) or decode(tokens))
    tokens = PLAIN.encode("a text of some words " * 9)
    stream = TextStream(PLAIN, tokens)
    calls.clear()
    assert "".join(map(stream.add, tokens)) == decode(tokens)
    assert len(calls) <= 1.4 * len(tokens)
    assert max(calls[1:]) <= 5
