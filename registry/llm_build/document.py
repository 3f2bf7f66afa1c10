"""A document: what data is made of."""

from __future__ import annotations

import attrs


@attrs.frozen
class Document:
    """One text with a name. Documents are split into training and held-out before anything is packed."""

    name: str
    text: str
    source: str | None = None
    """What an encoder reads before the text is written; None for text that stands by itself."""
