"""An embedder that remembers: a sentence or a question is paid for once while a program runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.embedding_keys import cache_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ragkit.protocols import Embedder, Vectors, VectorStore
    from ragkit.records import Passage

MOST_REMEMBERED = 1000
"""Vectors; of 768 dimensions they are 3 MB."""

_KEEPING = threading.Lock()


class KeptSentences:
    """The vectors of the sentences of some passages, as a store keeps them.

    Args:
        store: See `VectorStore.keep_sentence_vectors`.
        passages: In which all sentences stand that are asked for.
    """

    def __init__(self, store: VectorStore, passages: Iterable[Passage]) -> None:
        self._store = store
        self._sources = {passage.doc_id: passage.file_sha256 for passage in passages}

    def find(self, embedder: Embedder, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vectors that are kept of these texts."""
        keys = _keys(embedder, texts)
        found = self._store.sentence_vectors(keys)
        return {t: found[key] for t, key in zip(texts, keys, strict=True) if key in found}

    def keep(self, embedder: Embedder, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors, by text, that the embedder made."""
        keys = _keys(embedder, list(vectors))
        self._store.keep_sentence_vectors(
            dict(zip(keys, vectors.values(), strict=True)), self._sources
        )


def _keys(embedder: Embedder, texts: Sequence[str]) -> list[bytes]:
    return cache_keys({"digest": embedder.digest, "options": dict(embedder.options)}, texts)


class RememberingEmbedder:
    """Satisfies `ragkit.protocols.Embedder` with the vectors of another one.

    Args:
        embedder: Asked for what is not remembered; errors are its own.
        memory: What is remembered, by digest, role and text; shared by those made with it.
        kept: Where sentences are kept for other programs; None: nowhere.
    """

    def __init__(
        self,
        embedder: Embedder,
        memory: dict[tuple[str, str, str], Vectors],
        kept: KeptSentences | None = None,
    ) -> None:
        self._embedder, self._memory, self._kept = embedder, memory, kept
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
        made = self._made(list(dict.fromkeys(missing)))
        for text, vector in made.items():
            self._keep("document", text, vector)
        rows = [made[t] if v is None else v for t, v in zip(texts, known, strict=True)]
        return np.stack(rows) if rows else self._embedder.embed_documents(texts)

    def _made(self, texts: list[str]) -> dict[str, Vectors]:
        """The vectors of texts that are not remembered, from where they are kept or made."""
        found = self._kept.find(self, texts) if self._kept and texts else {}
        new = [text for text in texts if text not in found]
        if not new:
            return found
        made = dict(zip(new, self._embedder.embed_documents(new), strict=True))
        if self._kept:
            self._kept.keep(self, made)
        return found | made

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
