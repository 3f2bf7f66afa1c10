"""Tokenizers: what is encoded comes back, text stays text, and a faulty file is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, RunError, SpecError, load, open_run, train
from llm_build_plugins import tokenizer as tokenizers
from tests.laws import law
from tests.small import TEXT, spec_text, write_texts

SPECIAL = st.sampled_from(["[eos]", "[pad]", " [eos] ", "[unk]", "##", "##e", " ", "  ", "\n"])
ANY_TEXT = st.lists(st.text() | SPECIAL).map("".join)


def fitted(kind: Any = tokenizers.bpe, **options: Any) -> Any:
    made = kind(vocab=300, **options).build(Context())
    made.fit([TEXT] * 4)
    return made


PLAIN, SPACED = fitted(), fitted(prefix_space=True)
WORDS, SMALL = fitted(tokenizers.wordpiece), fitted(tokenizers.wordpiece, lowercase=True)

every_bpe = pytest.mark.parametrize("tokenizer", [PLAIN, SPACED], ids=["plain", "prefix_space"])
every_wordpiece = pytest.mark.parametrize("tokenizer", [WORDS, SMALL], ids=["cased", "lowercase"])
every = pytest.mark.parametrize(
    "tokenizer", [PLAIN, SPACED, WORDS, SMALL], ids=["bpe", "bpe prefix_space", "wordpiece", "wordpiece lowercase"]
)


@every_bpe
@law
@given(text=ANY_TEXT)
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@every
@law
@given(texts=st.lists(ANY_TEXT, max_size=5))
def test_a_batch_is_each_text_by_itself(tokenizer: Any, texts: list[str]) -> None:
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(each) for each in texts]


@every
@law
@given(text=ANY_TEXT)
def test_text_never_holds_a_special_token(tokenizer: Any, text: str) -> None:
    assert not {tokenizer.eos, tokenizer.pad} & set(tokenizer.encode(text))


@every
def test_special_tokens_come_first_and_are_left_out_of_text(tokenizer: Any) -> None:
    assert (tokenizer.pad, tokenizer.eos) == (0, 1)
    assert tokenizer.decode([0, *tokenizer.encode("def"), 1]) == "def"


@every
@law
@given(text=ANY_TEXT)
def test_saved_and_loaded_it_is_the_same(tokenizer: Any, text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file, second = (tmp_path_factory.getbasetemp() / f"{name}.json" for name in ("first", "second"))
    tokenizer.save(file)
    again = type(tokenizer)(tokenizer.config, Context())
    again.load(file)
    again.save(second)
    assert second.read_bytes() == file.read_bytes()
    assert again.encode(text) == tokenizer.encode(text)
    assert again.encode_batch([text]) == [tokenizer.encode(text)]
    assert again.decode(again.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert (again.vocab_size, again.eos, again.pad) == (tokenizer.vocab_size, tokenizer.eos, tokenizer.pad)


def test_a_prefix_space_makes_the_first_word_like_any_other() -> None:
    assert SPACED.encode("first first") == 2 * SPACED.encode("first")
    assert PLAIN.encode("first first") != 2 * PLAIN.encode("first")


def test_the_vocabulary_is_as_large_as_asked() -> None:
    assert PLAIN.vocab_size == 300
    assert tokenizers.bpe(vocab=300).vocab_size() == tokenizers.wordpiece(vocab=300).vocab_size() == 300


@every
def test_a_fitted_tokenizer_learns_nothing_more(tokenizer: Any) -> None:
    before = tokenizer.encode("quite another text")
    tokenizer.fit(["quite another text"] * 50)
    assert tokenizer.encode("quite another text") == before


@every
def test_the_same_text_gives_the_same_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        made = type(tokenizer)(tokenizer.config, Context())
        made.fit(f"{each} {each[::-1]} {each}é" for each in TEXT.split() * 3)
        made.save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


LETTERS = sorted({*TEXT} - {"\n", " "})
MARKS = [each for each in LETTERS if not each.isalpha()]
WORD = st.text([each for each in LETTERS if each.isalpha()], min_size=1, max_size=100) | st.sampled_from(MARKS)


@law
@given(text=st.lists(WORD).map(" ".join))
def test_words_of_known_characters_come_back_from_wordpiece(text: str) -> None:
    assert WORDS.decode(WORDS.encode(text)) == text
    assert SMALL.decode(SMALL.encode(text)) == text.lower()


@every_wordpiece
@law
@given(before=st.lists(WORD), after=st.lists(WORD), word=st.text("abdeé日☃\U0001f600", min_size=1))
def test_a_word_with_an_unknown_character_becomes_unk(
    tokenizer: Any, before: list[str], after: list[str], word: str
) -> None:
    if word.isascii():
        return
    found = tokenizer.decode(tokenizer.encode(" ".join([*before, word, *after])))
    first, last = (tokenizer.decode(tokenizer.encode(" ".join(each))) for each in (before, after))
    assert found.startswith(first)
    assert found.endswith(last)
    assert "[unk]" in found[len(first) : len(found) - len(last)]


def test_wordpiece_joins_the_pieces_of_a_word() -> None:
    tokens = [WORDS.inner.id_to_token(each) for each in WORDS.encode("selfdef add")]
    assert tokens == ["self", "##d", "##ef", "add"]
    assert WORDS.decode(WORDS.encode("selfdef add")) == "selfdef add"


def test_wordpiece_learns_words() -> None:
    assert [WORDS.inner.id_to_token(each) for each in WORDS.encode("return first")] == ["return", "first"]


def test_wordpiece_forgets_how_much_space_there_was() -> None:
    assert WORDS.decode(WORDS.encode("  def\n\tadd(self):")) == "def add ( self ) :"


def test_wordpiece_changes_no_words() -> None:
    """The library's own clean-up makes "don't" of "do not"."""
    made = tokenizers.wordpiece(vocab=60).build(Context())
    made.fit(["i do not know, it is n't so ."])
    assert made.decode(made.encode("i do not know , so .")) == "i do not know , so ."


@pytest.mark.parametrize("vocab", [5, 6, 20, 60, 2_000])
def test_wordpiece_keeps_to_its_vocabulary(vocab: int) -> None:
    """However many characters there are; the most frequent are the ones that it knows."""
    made = tokenizers.wordpiece(vocab=vocab).build(Context())
    made.fit(["".join(map(chr, range(0x100, 0x180))), "ee ee ee", "日本語 " * 2, TEXT])
    assert made.vocab_size <= vocab
    assert made.decode(made.encode("e eee")) == "e eee"


def test_wordpiece_in_lower_case_keeps_its_accents() -> None:
    made = tokenizers.wordpiece(vocab=60, lowercase=True).build(Context())
    made.fit(["Élan über"])
    assert made.decode(made.encode("ÉLAN Über")) == "élan über"


def test_wordpiece_reads_chinese_one_character_at_a_time() -> None:
    made = tokenizers.wordpiece(vocab=60).build(Context())
    made.fit(["日本語日本"])
    assert made.decode(made.encode("本日語")) == "本 日 語"
    assert "##本" not in made.inner.get_vocab()


def test_a_spec_with_wordpiece_trains(tmp_path: Path) -> None:
    write_texts(tmp_path / "data", 4)
    text = spec_text(tmp_path / "data", length="steps = 1, batch = 2").replace("bpe", "wordpiece")
    result = train(load(text), out=tmp_path / "run", device="cpu")
    assert result.outcome.steps == 1
    assert open_run(tmp_path / "run", device="cpu").tokenizer.encode("one two") == result.run.tokenizer.encode(
        "one two"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"vocab": 200}, "vocab must hold 256 bytes and 2 special tokens; 200 arrived"),
        ({"vocab": 300, "special": ["[eos]", "[eos]"]}, "special tokens must differ from each other"),
        ({"vocab": 300, "special": ["[eos]", "the"]}, 'must stand in marks, or text could hold it as a word; "the"'),
        ({"vocab": 300, "special": ["##"]}, 'must stand in marks, or text could hold it as a word; "##"'),
    ],
)
def test_faulty_configs_are_refused(options: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        tokenizers.bpe(**options).build(Context())
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"vocab": 4}, "vocab must hold 3 special tokens and a letter, alone and inside a word; 4 arrived"),
        ({"vocab": 9, "special": ["[eos]"]}, 'write special = ["[eos]", "[unk]"]'),
        ({"vocab": 9, "special": ["[unk]", "e"]}, 'must stand in marks, or text could hold it as a word; "e"'),
    ],
)
def test_faulty_wordpiece_configs_are_refused(options: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        tokenizers.wordpiece(**options).build(Context())
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["[sep]", "<s>", "<|end of text|>", "[é1]", "'s'", '"d"', "(_0_)"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [(tokenizers.bpe, {}), (tokenizers.bpe, {"prefix_space": True}), (tokenizers.wordpiece, {})],
    ids=["bpe", "bpe prefix_space", "wordpiece"],
)
def test_a_special_token_that_is_allowed_is_never_made_of_text(kind: Any, options: Any, name: str) -> None:
    made = kind(vocab=300, special=["[pad]", "[eos]", "[unk]", name], **options).build(Context())
    made.fit([f"{name} a{name} {name}{name} " * 50])
    assert made.inner.token_to_id(name) == 3
    assert 3 not in made.encode(f"a {name}{name} {name} b{name}c")


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
