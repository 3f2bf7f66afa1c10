"""Books of Project Gutenberg as documents, downloaded once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_build import DataError, Document, cache_folder
from llm_build_plugins.data._book import book_text
from llm_build_plugins.data._download import download
from llm_build_plugins.data._shared import Whole

if TYPE_CHECKING:
    from llm_build import Progress
    from llm_build_plugins.data.gutenberg_config import gutenberg

VARIABLE = "LLM_BUILD_GUTENBERG_URL"
ADDRESS = "https://www.gutenberg.org/cache/epub/{id}/pg{id}.txt"


class Gutenberg(Whole):
    """The books of a list, in its order. What was downloaded lies in `gutenberg` of the cache folder, as it came."""

    config: gutenberg

    def documents(self, progress: Progress) -> Sequence[Document]:
        """All of them. Raises `DataError` for a book that cannot be had whole, and says how to bring it."""
        folder = cache_folder() / "gutenberg"
        _fetch(self.config.books, folder, progress)
        return [_document(_file(folder, book)) for book in self.config.books]


def _file(folder: Path, book: int) -> Path:
    return folder / f"pg{book}.txt"


def _fetch(books: Sequence[int], folder: Path, progress: Progress) -> None:
    """Bring those that are not there."""
    try:
        missing = [book for book in books if not _file(folder, book).is_file()]
        if not missing:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for done, book in enumerate(missing):
            progress.count("downloading from Project Gutenberg", done, len(missing))
            _keep(_content(book, folder), _file(folder, book))
    except OSError as fault:
        raise DataError(
            f"books are kept in {folder}, which cannot be written ({fault.strerror}): set LLM_BUILD_CACHE"
        ) from fault
    progress.count("downloading from Project Gutenberg", len(missing), len(missing))


def _content(book: int, folder: Path) -> bytes:
    """The file of a book, as the server has it. Raises `DataError` where it is not all there."""
    address = _template().replace("{id}", str(book))
    try:
        content = download(address)
        book_text(content)
    except DataError as fault:
        raise DataError(
            f"book {book} of Project Gutenberg is not in {folder} and cannot be had from {address}: {fault}. Put the "
            f"file pg{book}.txt into that folder yourself, name a mirror by {VARIABLE}, or take {book} out of `books`"
        ) from fault
    return content


def _template() -> str:
    template = os.environ.get(VARIABLE) or ADDRESS
    if not template.startswith(("https://", "http://")) or "{id}" not in template:
        raise DataError(
            f"{VARIABLE} must be an address with {{id}} for the number of a book, such as {ADDRESS}; {template} arrived"
        )
    return template


def _keep(content: bytes, file: Path) -> None:
    """Under a temporary name first, so that a file with the right name is a whole one."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}.", delete=False) as temporary:
        place = Path(temporary.name)
        try:
            temporary.write(content)
            temporary.close()
            place.replace(file)
        except BaseException:
            place.unlink(missing_ok=True)
            raise


def _document(file: Path) -> Document:
    try:
        return Document(file.name, book_text(file.read_bytes()))
    except DataError as fault:
        raise DataError(
            f"{file} is not a book of Project Gutenberg: {fault}. Delete it, or put the book there"
        ) from fault
    except OSError as fault:
        raise DataError(f"{file} cannot be read: {fault.strerror}") from fault
