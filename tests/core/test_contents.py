"""Text that differs in anything is other text."""

from __future__ import annotations

from itertools import combinations

from llm_build import Document
from llm_build.corpus import Contents


def document(text: str, source: str | None = None) -> Document:
    return Document("name", text, source=source)


def test_any_difference_is_seen() -> None:
    one, two, both = document("one"), document("two"), document("onetwo")
    found = [
        Contents.of(parts)
        for parts in (
            [[one, two]], [[two, one]], [[both]], [[one], [two]], [[one, two], []], [[one]], [],
            [[document("two", "one")]], [[document("one", "two")]], [[document("onetwo", "")]],
        )
    ]  # fmt: skip
    assert all(here.sha256 != there.sha256 for here, there in combinations(found, 2))


def test_documents_and_bytes_are_counted() -> None:
    found = Contents.of([[document("é")], [document("two", "source")]])
    assert (found.documents, found.bytes) == (2, 2 + 3 + 6)


def test_what_a_document_is_called_is_no_part_of_it() -> None:
    assert Contents.of([[Document("a", "text")]]) == Contents.of([[Document("b", "text")]])


def test_one_is_not_a_plural() -> None:
    assert str(Contents.of([[document("one")]])).startswith("1 document of 3 bytes, SHA-256 ")
    assert str(Contents.of([[document("a" * 1000)] * 2])).startswith("2 documents of 2_000 bytes, ")
