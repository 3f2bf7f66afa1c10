"""The config of Project Gutenberg's books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_build import Config, Context, Problem, Share, component, many, share, size
from llm_build_plugins.data._shared import check_held_out
from llm_build_plugins.data._specimens import COUNT, texts

START, END = (f"*** {word} OF THE PROJECT GUTENBERG EBOOK A BOOK ***" for word in ("START", "END"))


@component("data:gutenberg", module="llm_build_plugins.data.gutenberg_module:Gutenberg")
class gutenberg(Config):
    """Books of Project Gutenberg by their numbers, each one a document: `gutenberg { books = [84, 1342] }`.

    A book is downloaded when a run first needs it and kept; after that no network is needed. Its text is what stands
    between the lines `*** START OF …` and `*** END OF …`, without empty lines and without space around a line. The
    address of a mirror goes into the environment variable LLM_BUILD_GUTENBERG_URL, with {id} for the number: a spec
    may be a stranger's, so it cannot name one.
    """

    books: tuple[int, ...] = many(
        size(), least=1, example=[84, 1342], doc="numbers of books, as in gutenberg.org/ebooks/84"
    )
    held_out: Share = share(default=Share.percent(5), doc="share of the text that is never trained on")
    seed: int = size(low=0, default=0, doc="which books are held out")

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """Books that no server is asked for, as they are kept already."""
        from llm_build import cache_folder  # it brings numpy

        place = cache_folder() / "gutenberg"
        place.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts("book"), start=1):
            (place / f"pg{number}.txt").write_text(f"{START}\n\n{text}\n\n{END}\n", encoding="utf-8")
        books = tuple(range(1, COUNT + 1))
        return [cls(books=books, held_out=Share.percent(30), seed=seed) for seed in range(3)]

    def check(self, context: Context) -> Iterator[Problem]:
        return check_held_out(self.held_out)

    def check_books(self, context: Context) -> Iterator[Problem]:
        twice = sorted(book for book, times in Counter(self.books).items() if times > 1)
        if twice:
            yield Problem(
                field="books",
                message=f"a book is read once; {', '.join(map(str, twice))} stands there more than once",
                help="name each number once",
            )
