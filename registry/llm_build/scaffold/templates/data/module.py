import hashlib
import json
from pathlib import Path

from llm_build import DataError, Document


class Thing:
    """The lines of a file as documents, named file:line. Equal texts stand on one side of the split."""

    def __init__(self, config, context):
        self.file, self.held_out = Path(config.file), config.held_out

    def documents(self, progress):
        try:
            with self.file.open(encoding="utf-8") as lines:
                found = [Document(f"{self.file}:{n}", json.loads(line)["text"]) for n, line in enumerate(lines, 1)]
        except (OSError, ValueError, TypeError, KeyError) as fault:
            raise DataError(f'{self.file} must hold lines of JSON with a "text"; {fault!r} arrived: mend it') from fault
        if not found:
            raise DataError(f"{self.file} must hold a document; it is empty: add one")
        return found

    def split(self, progress):
        documents = self.documents(progress)
        # in the order of a hash, so that a new document moves no other
        keys = sorted({each.key for each in documents}, key=lambda key: hashlib.sha256(key.encode()).digest())
        if len(keys) < 2:
            raise DataError(f"{self.file} must hold two different texts, one to train on and one to hold out: add one")
        count = min(len(keys) - 1, max(1, self.held_out.of(len(keys))))
        held = set(keys[:count])
        return [each for each in documents if each.key not in held], [each for each in documents if each.key in held]
