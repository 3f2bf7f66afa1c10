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
    whole: str | None = attrs.field(default=None, kw_only=True, repr=False)
    """The text that this one was cut out of; None where nothing was cut."""

    @property
    def key(self) -> str:
        """What must not be trained on and held out too: the source of a pair, the text of any other document."""
        return self.text if self.source is None else self.source
