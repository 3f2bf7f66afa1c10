"""The config of a tokenizer that comes in a file."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from llm_build import Config, Context, Problem, component, path, text

SIZE_LIMIT = 36 * 2**20
VALUE_LIMIT = 2_000_000
"""A tokenizer.json has at most so many bytes, and values: a stranger's could fill the memory, or never end."""


@component("tokenizer:pretrained", module="llm_build_plugins.tokenizer.pretrained_module:Pretrained")
class pretrained(Config):
    """A tokenizer.json of the tokenizers library, used as it is.

    The file may be absent while a spec is checked; then the model has to state `vocab`. So it does where the file lies
    outside the spec's project: reading a spec does not open it, training does.
    """

    file: str = path(example="tokenizer.json", doc="the tokenizer.json")
    eos: str | None = text(
        default=None, optional=True, doc="the token that ends a document; none: a usual name, if there"
    )
    pad: str | None = text(default=None, optional=True, doc="the token that fills a row; none: a usual name, if there")

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """A tokenizer of bytes and a few merges, with its usual names and with others."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # what is checked goes without it

        letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the"]
        inner = Tokenizer(models.BPE({each: place for place, each in enumerate(letters)}, [("t", "h"), ("th", "e")]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        inner.add_special_tokens(["<s>", "</s>", "<pad>"])
        file = str(folder / "tokenizer.json")
        inner.save(file)
        return [cls(file=file), cls(file=file, eos="<s>", pad="</s>")]

    def vocab_size(self) -> int | None:
        """One more than the largest token id; None where the file is absent or cannot be read."""
        sizes = _ids(self.file)
        return 1 + max(sizes.values()) if sizes else None

    def check(self, context: Context) -> Iterator[Problem]:
        if not context.may_read(self.file) or not _stands(Path(self.file)):
            return
        ids = _ids(self.file)
        if ids is None:
            yield Problem(
                field="file",
                message=f"a tokenizer.json is read up to {SIZE_LIMIT >> 20} MiB and {VALUE_LIMIT:_} values; "
                f"{self.file} has more",
                help="move it out of the project and state vocab, or take a smaller one",
            )
        elif not ids:
            yield Problem(
                field="file",
                message=f"file must be a tokenizer.json with a vocabulary; {self.file} is none",
                help="write the tokenizer with `Tokenizer.save` of the tokenizers library",
            )
        for field in ("eos", "pad"):
            name = getattr(self, field)
            if ids and name is not None and name not in ids:
                yield Problem(
                    field=field,
                    message=f'{field} must be a token of {self.file}; "{name}" is none',
                    help="write a token of its `added_tokens`, or leave the field out",
                )


def _ids(file: str) -> Mapping[str, int] | None:
    """Token → id, read as JSON so that nothing is imported; empty where the file is absent or is no tokenizer.

    None where it is too large to be read.
    """
    place = Path(file)
    try:
        known = place.stat()
        if not stat.S_ISREG(known.st_mode):
            return {}
        return _read(place, known.st_mtime_ns) if known.st_size <= SIZE_LIMIT else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return {}


def _stands(place: Path) -> bool:
    """Whether there is a file; a path that can be none, as one that is too long, has none."""
    try:
        return place.is_file()
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=1)
def _read(place: Path, _modified: int) -> Mapping[str, int] | None:
    raw = place.read_bytes()
    if sum(map(raw.count, (b",", b"[", b"{"))) > VALUE_LIMIT:
        return None
    content = json.loads(raw)
    vocab: dict[str, int] = content["model"]["vocab"]
    if isinstance(vocab, list):  # Unigram: [[piece, score], …]
        vocab = {piece: index for index, (piece, _) in enumerate(vocab)}
    for each in content.get("added_tokens") or ():
        vocab[each["content"]] = each["id"]
    if not all(type(index) is int for index in vocab.values()):
        raise TypeError("an id of a token is a whole number")
    return vocab
