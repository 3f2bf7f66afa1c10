"""What text some documents are, in three figures, so that other text is seen to be other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import attrs

from llm_build.document import Document


@attrs.frozen(kw_only=True)
class Contents:
    """How many documents, their bytes, sources included, and the SHA-256 of all of them in their order."""

    documents: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, parts: Iterable[Sequence[Document]]) -> Contents:
        """The documents of several parts, one part after the other."""
        digest, count, size = sha256(), 0, 0
        for part in parts:
            digest.update(f"part of {len(part)}\n".encode())
            count += len(part)
            for document in part:
                for text in (document.source, document.text):
                    raw = b"" if text is None else text.encode()
                    digest.update(sha256(raw).digest() if text is not None else b"none")
                    size += len(raw)
        return cls(documents=count, bytes=size, sha256=digest.hexdigest())

    def __str__(self) -> str:
        documents = "1 document" if self.documents == 1 else f"{self.documents:_} documents"
        return f"{documents} of {self.bytes:_} bytes, SHA-256 {self.sha256[:12]}…"
