"""A document: what data is made of."""

from __future__ import annotations

import attrs


@attrs.frozen
class Document:
    """One text with a name. Documents are split into training and held-out before anything is packed."""

    name: str
    text: str
