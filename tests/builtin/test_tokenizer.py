"""Tokenizers: what is encoded comes back, text stays text, and a faulty file is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, RunError, SpecError
from llm_build_plugins import tokenizer as tokenizers
from tests.laws import law
from tests.small import TEXT

SPECIAL = st.sampled_from(["[eos]", "[pad]", " [eos] ", " ", "  ", "\n"])
ANY_TEXT = st.lists(st.text() | SPECIAL).map("".join)


def fitted(**options: Any) -> Any:
    made = tokenizers.bpe(vocab=300, **options).build(Context())
    made.fit([TEXT] * 4)
    return made


PLAIN, SPACED = fitted(), fitted(prefix_space=True)


@pytest.mark.parametrize("tokenizer", [PLAIN, SPACED], ids=["plain", "prefix_space"])
@law
@given(text=ANY_TEXT)
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@law
@given(st.lists(ANY_TEXT, max_size=5))
def test_a_batch_is_each_text_by_itself(texts: list[str]) -> None:
    assert PLAIN.encode_batch(texts) == [PLAIN.encode(each) for each in texts]


@law
@given(ANY_TEXT)
def test_text_never_holds_a_special_token(text: str) -> None:
    assert not {PLAIN.eos, PLAIN.pad} & set(PLAIN.encode(text))


def test_a_prefix_space_makes_the_first_word_like_any_other() -> None:
    assert SPACED.encode("first first") == 2 * SPACED.encode("first")
    assert PLAIN.encode("first first") != 2 * PLAIN.encode("first")


@law
@given(text=ANY_TEXT)
def test_saved_and_loaded_it_is_the_same(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    SPACED.save(file)
    again = tokenizers.bpe(vocab=300, prefix_space=True).build(Context())
    again.load(file)
    assert again.encode(text) == SPACED.encode(text)
    assert again.decode(again.encode(text)) == text
    assert (again.vocab_size, again.eos, again.pad) == (SPACED.vocab_size, SPACED.eos, SPACED.pad)


def test_the_vocabulary_is_as_large_as_asked() -> None:
    assert PLAIN.vocab_size == 300
    assert tokenizers.bpe(vocab=300).vocab_size() == 300


def test_a_fitted_tokenizer_learns_nothing_more() -> None:
    before = PLAIN.encode("quite another text")
    PLAIN.fit(["quite another text"] * 50)
    assert PLAIN.encode("quite another text") == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"vocab": 200}, "vocab must hold 256 bytes and 2 special tokens; 200 arrived"),
        ({"vocab": 300, "special": ["[eos]", "[eos]"]}, "special tokens must differ from each other"),
    ],
)
def test_faulty_configs_are_refused(options: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        tokenizers.bpe(**options).build(Context())
    assert expected in str(caught.value)


def test_without_a_vocabulary_it_says_so() -> None:
    with pytest.raises(RunError, match="has no vocabulary yet"):
        tokenizers.bpe(vocab=300).build(Context()).encode("a")


def test_a_pretrained_one_is_used_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    PLAIN.save(file)
    config = tokenizers.pretrained(file=str(file))
    made = config.build(Context())
    made.fit(["other text"] * 9)
    assert config.vocab_size() == made.vocab_size == 300
    assert made.encode(TEXT) == PLAIN.encode(TEXT)
    assert (made.eos, made.pad) == (PLAIN.eos, PLAIN.pad)


def test_an_absent_file_leaves_the_size_open(tmp_path: Path) -> None:
    config = tokenizers.pretrained(file=str(tmp_path / "none.json"))
    assert config.vocab_size() is None
    made = config.build(Context())
    with pytest.raises(RunError, match=r"a tokenizer file must exist; there is none at .*none\.json"):
        made.fit([])


@pytest.mark.parametrize("content", ["", "[]", '{"model": 1}', json.dumps({"model": {"vocab": {}}})])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SpecError, match=r"file must be a tokenizer\.json with a vocabulary"):
        tokenizers.pretrained(file=str(file)).build(Context())
    with pytest.raises(RunError, match=r"is not a tokenizer\.json that can be read"):
        tokenizers.bpe(vocab=300).build(Context()).load(file)


def test_an_unknown_eos_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    PLAIN.save(file)
    with pytest.raises(SpecError, match="eos must be a token of"):
        tokenizers.pretrained(file=str(file), eos="</s>").build(Context())
