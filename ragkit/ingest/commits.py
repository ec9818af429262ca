"""When a run commits what it has written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import StoreWriter, Vectors
    from ragkit.records import Chunk, Document

# A commit costs up to 50 ms, a kill the work since the last one: commit when so many texts have
# come and the commits are so far apart, and whatever comes after the longest wait.
COMMIT_TEXTS = 256
COMMIT_APART_S = 0.25
COMMIT_S = 5.0


class Commits:
    """The writer of a run, committed when it is time.

    Attributes:
        writer: For what needs no commit of its own.
    """

    def __init__(self, writer: StoreWriter) -> None:
        self.writer = writer
        self._texts = 0
        self._last = time.monotonic()

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors under their cache keys."""
        self.writer.add_vectors(keys, vectors)
        self._texts += len(keys)

    def add_words(self, document: Document, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        """Store a document whose chunks wait for vectors."""
        self.writer.add(document, chunks, keys)
        self._texts += len(chunks)

    def commit(self) -> None:
        """Commit now."""
        self.writer.commit()
        self._texts, self._last = 0, time.monotonic()

    def commit_if_due(self) -> None:
        """Commit if there is enough to commit, or the last commit is long ago."""
        apart = COMMIT_APART_S if self._texts >= COMMIT_TEXTS else COMMIT_S
        if time.monotonic() - self._last >= apart:
            self.commit()
