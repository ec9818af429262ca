"""An embedder that remembers: a sentence or a question is paid for once while a program runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ragkit.protocols import Embedder, Vectors

MOST_REMEMBERED = 1000
"""Vectors; of 768 dimensions they are 3 MB."""

_KEEPING = threading.Lock()


class RememberingEmbedder:
    """Satisfies `ragkit.protocols.Embedder` with the vectors of another one.

    Args:
        embedder: Asked for what is not remembered; errors are its own.
        memory: What is remembered, by digest, role and text; shared by those made with it.
    """

    def __init__(self, embedder: Embedder, memory: dict[tuple[str, str, str], Vectors]) -> None:
        self._embedder, self._memory = embedder, memory
        self.name, self.digest, self.backend = embedder.name, embedder.digest, embedder.backend

    @property
    def dim(self) -> int:
        """The other embedder's, as are the rest."""
        return self._embedder.dim

    @property
    def max_tokens(self) -> int:
        """The longest text that is embedded whole."""
        return self._embedder.max_tokens

    @property
    def options(self) -> Mapping[str, Any]:
        """What else changes vectors."""
        return self._embedder.options

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        known = [self._memory.get((self.digest, "document", text)) for text in texts]
        missing = (t for t, v in zip(texts, known, strict=True) if v is None)
        new = list(dict.fromkeys(missing))
        made = dict(zip(new, self._embedder.embed_documents(new), strict=True)) if new else {}
        for text, vector in made.items():
            self._keep("document", text, vector)
        rows = [made[t] if v is None else v for t, v in zip(texts, known, strict=True)]
        return np.stack(rows) if rows else self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> Vectors:
        """Embed a question; see `ragkit.protocols.Embedder.embed_query`."""
        vector = self._memory.get((self.digest, "query", text))
        if vector is None:
            vector = self._embedder.embed_query(text)
            self._keep("query", text, vector)
        return vector

    def _keep(self, role: str, text: str, vector: Vectors) -> None:
        with _KEEPING:  # of many threads one would begin to iterate while another one writes
            self._memory[self.digest, role, text] = vector
            while len(self._memory) > MOST_REMEMBERED:
                self._memory.pop(next(iter(self._memory)))
