"""What holds for every tokenizer: text becomes tokens and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from llm_build.components import Config, field_specs
from llm_build.conformance.check import check
from llm_build.conformance.compare import require
from llm_build.conformance.trial import Made, Trial
from llm_build.spec import vocab_of

TOKENIZER = ("tokenizer",)
PROSE = "The quick brown fox jumps over the lazy dog, and then the dog sleeps; the fox runs on and on."
CODE = "def add(self, first, second):\n    return first + second\n\n\nclass Sum:\n\ttotal = 0\n"
OTHERS = "Ça ira, naïve Größe! 日本語 日本 \N{GRINNING FACE} the 12.5% of \N{GREEK SMALL LETTER ALPHA}"
LEARNT = (*[PROSE] * 4, *[CODE] * 4, OTHERS, OTHERS)
"""What every tokenizer is fitted to; one that comes in a file need not have seen it."""
WORDS = sorted({each for each in PROSE.split() if each.isalpha()})
NAMES = ("[eos]", "[pad]", "[unk]", "[UNK]", "<s>", "</s>", "<pad>", "<|endoftext|>", "[CLS]", "[SEP]", "##s")
MARKS = " , and so . do n't do not ' s ? it 's"
"""What decoders that clean up text close ranks in."""
SPACES = (" ", "  ", "\n", "\t", "\r\n", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH JOINER}", "\N{REPLACEMENT CHARACTER}")


@check("tokens", slots=TOKENIZER)
def tokens(trial: Trial) -> None:
    """Tokens are whole numbers below `vocab_size`, and a batch is each text by itself.

    The config's own `vocab_size()`, by which the embedding is made, is as large at least. Any text is tried, also none,
    and names of special tokens. Where the batch alone fails, it pads, cuts or adds.
    """
    made, texts = fitted(trial), _texts(trial)
    size, rows = made.module.vocab_size, vocab_of(made.config, made.context)
    require(rows is None or size <= rows, f"vocab_size is {size}, and the config's vocab_size() is {rows}")
    for name in ("eos", "pad"):
        special = getattr(made.module, name)
        require(special is None or 0 <= special < size, f"{name} is {special}; vocab_size is {size}")
    found = [made.module.encode(each) for each in texts]
    for text, ids in zip(texts, found, strict=True):
        wrong = [each for each in ids if not (isinstance(each, int) and 0 <= each < size)]
        require(not wrong, f"{text!r} becomes {wrong}; a token is a whole number below {size}")
    batch = [list(each) for each in made.module.encode_batch(texts)]
    require(batch == [list(each) for each in found], f"a batch of {texts!r} becomes {batch}, one by one {found}")


@check("plain-text", slots=TOKENIZER)
def plain_text(trial: Trial) -> None:
    """No text becomes the token that ends a document, nor the one that fills a row.

    The names of special tokens are tried, those of the config's own fields among them. Where it fails, a document that
    mentions one ends itself, or adds tokens of its own at its ends.
    """
    made = fitted(trial)
    names = [*NAMES, *_named(made.config)]
    text = trial.draw("text", _text(names))
    for each in (text, *names):
        ids = made.module.encode(each)
        for name in ("eos", "pad"):
            require(getattr(made.module, name) not in ids, f"{each!r} becomes {ids}, which holds {name}")


@check("words", slots=TOKENIZER)
def words(trial: Trial) -> None:
    """No word becomes nothing, and words that come back one by one come back in a row: all, in order, apart.

    Upper and lower case are taken for the same, and so is any white space. Where it fails, the spaces between words are
    lost, long text is cut, or pieces are joined across words.
    """
    made = fitted(trial)
    drawn = trial.draw("words", st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
    for each in drawn:
        require(len(made.module.encode(each)) > 0, f"{each!r} becomes no token")
    known = [each for each in drawn if _returned(made.module, each).casefold().split() == [each.casefold()]]
    known *= trial.draw("times", st.sampled_from((1, 2, 200)))
    found = _returned(made.module, " ".join(known)).casefold().split()
    expected = [each.casefold() for each in known]
    require(found == expected, f"{len(expected)} words, {expected[:8]}…, come back as {len(found)}: {found[:8]}…")


@check("lossless", slots=TOKENIZER, needs=["lossless"])
def lossless(trial: Trial) -> None:
    """With the capability "lossless": any text comes back as it was, down to the white space.

    Where it fails for spaces alone, text is trimmed, or a space is put before it and not taken away; where it fails for
    rare characters, what the vocabulary lacks is dropped.
    """
    made = fitted(trial)
    for text in _texts(trial):
        found = _returned(made.module, text)
        require(found == text, f"{text!r} comes back as {found!r}")


@check("streaming", slots=TOKENIZER)
def stream(trial: Trial) -> None:
    """The text of the first tokens is how the text of all tokens begins, but for a character that is not complete.

    Text is shown as it is written, so what was shown must not change. U+FFFD at the end is what is not complete. Where
    it fails, `decode` cleans up text, as "do n't" to "don't".
    """
    made = fitted(trial)
    text = trial.draw("text", _text(WORDS)) + MARKS
    ids = made.module.encode(text)
    whole = made.module.decode(ids)
    for count in range(len(ids)):
        begun = made.module.decode(ids[:count])
        require(
            whole.startswith(begun.rstrip("\N{REPLACEMENT CHARACTER}")),
            f"the first {count} of {len(ids)} tokens are {begun!r}, and all of them {whole!r}",
        )


@check("saved", slots=TOKENIZER)
def saved(trial: Trial) -> None:
    """Saved and loaded into another instance it is the same, and to fit that one changes nothing.

    A run keeps its tokenizer as the file. Where it fails, something that decides the tokens is in the config alone, or
    what is loaded learns again.
    """
    made, texts = fitted(trial), _texts(trial)
    file = trial.folder / "tokenizer.json"
    made.module.save(file)
    again = made.again()
    again.load(file)
    again.fit(["quite another text"] * 9)
    for name in ("vocab_size", "eos", "pad"):
        found, expected = getattr(again, name), getattr(made.module, name)
        require(found == expected, f"{name} is {found} after loading, and was {expected}")
    for text in (*texts, PROSE, " ".join(NAMES)):
        found, expected = again.encode(text), made.module.encode(text)
        require(found == expected, f"after loading {text!r} becomes {found}, and it was {expected}")
        now, before = again.decode(found), made.module.decode(expected)
        require(now == before, f"after loading {expected} is {now!r}, and it was {before!r}")


@check("fit", slots=TOKENIZER)
def fit(trial: Trial) -> None:
    """Fitted twice to the same texts, which come one by one and once, it gives the same file.

    Where it fails, the texts are gone through twice, or the numbers of tokens depend on the order of a set.
    """
    made = fitted(trial)
    again = made.again()
    again.fit(each for each in LEARNT)
    files = trial.folder / "first.json", trial.folder / "second.json"
    made.module.save(files[0])
    again.save(files[1])
    require(files[0].read_bytes() == files[1].read_bytes(), "two fits to the same texts give two files")


def fitted(trial: Trial) -> Made:
    """A drawn tokenizer with a vocabulary."""
    made = trial.made()
    made.module.fit(LEARNT)
    return made


def _returned(tokenizer: Any, text: str) -> str:
    found: str = tokenizer.decode(tokenizer.encode(text))
    return found


def _text(names: list[str]) -> st.SearchStrategy[str]:
    """Any text, with these parts more often than chance would have them."""
    parts = st.text(max_size=4) | st.sampled_from([*names, *SPACES, *OTHERS])
    return st.lists(parts, max_size=8).map("".join)


def _texts(trial: Trial) -> list[str]:
    return ["", trial.draw("text", _text([*NAMES, *WORDS])), OTHERS, CODE]


def _named(config: Config) -> Iterator[str]:
    """Every text in the fields of a config."""
    for name in field_specs(config):
        value = getattr(config, name)
        yield from (each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, str))
