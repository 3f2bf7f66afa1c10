"""Tokenised documents on disk: one file of token ids, named by the hash of what it was made from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llm_build.document import Document
from llm_build.errors import DataError
from llm_build.interfaces import Tokenizer

LAYOUT = 1
"""Goes up when the same documents would give another file."""

DOCUMENTS_AT_ONCE = 256

Tokens = NDArray[np.uint16] | NDArray[np.uint32]


def cache_folder() -> Path:
    """`$LLM_BUILD_CACHE`, else `$XDG_CACHE_HOME/llm-build`, else `~/.cache/llm-build`."""
    own, shared = os.environ.get("LLM_BUILD_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(shared) if shared else Path.home() / ".cache") / "llm-build"


def tokenised(documents: Sequence[Document], tokenizer: Tokenizer, folder: Path) -> Tokens:
    """[N] token ids, memory-mapped: [eos] before, between and after the documents, which are encoded one by one.

    Made once: the file is found again by the hash of the tokenizer and the texts. Raises `DataError` where the folder
    cannot be written.
    """
    kind = np.dtype("<u2") if tokenizer.vocab_size <= 2**16 else np.dtype("<u4")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{_key(documents, tokenizer, folder)}.u{8 * kind.itemsize}"
        if not file.is_file():
            _write(file, _streams(documents, tokenizer), kind)
    except OSError as fault:
        raise DataError(
            f"tokenised data is kept in {folder}, which cannot be written ({fault.strerror}): set LLM_BUILD_CACHE"
        ) from fault
    if file.stat().st_size == 0:
        return np.empty(0, dtype=kind)
    # as a plain array, whose slices take a tenth of the time that a memmap's do
    return np.memmap(file, dtype=kind, mode="r").view(np.ndarray)


def _key(documents: Sequence[Document], tokenizer: Tokenizer, folder: Path) -> str:
    digest = sha256(f"layout {LAYOUT}, eos {tokenizer.eos}\n".encode())
    with tempfile.TemporaryDirectory(dir=folder) as place:
        tokenizer.save(Path(place, "tokenizer.json"))
        digest.update(sha256(Path(place, "tokenizer.json").read_bytes()).digest())
    for document in documents:
        digest.update(sha256(document.text.encode()).digest())
    return digest.hexdigest()


def _streams(documents: Sequence[Document], tokenizer: Tokenizer) -> Iterator[list[int]]:
    end = [] if tokenizer.eos is None else [tokenizer.eos]
    yield end
    remaining = iter(documents)
    while batch := list(islice(remaining, DOCUMENTS_AT_ONCE)):
        for ids in tokenizer.encode_batch([each.text for each in batch]):
            yield [*ids, *end]


def _write(file: Path, streams: Iterable[list[int]], kind: np.dtype[np.uint16] | np.dtype[np.uint32]) -> None:
    """Under a temporary name first, so that a file with the right name is a whole one."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}.", delete=False) as temporary:
        try:
            for ids in streams:
                temporary.write(np.asarray(ids, dtype=kind).tobytes())
        except BaseException:
            Path(temporary.name).unlink()
            raise
    Path(temporary.name).replace(file)
