"""Vectors kept between runs: an embedder that asks another one only for what it has not seen."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import EmbeddingFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import Embedder, Vectors

_KEY_BYTES = 32


class CachedEmbedder:
    """Satisfies `ragkit.protocols.Embedder` with the vectors of another one, kept in a file.

    An index keeps its own vectors too, but a question's are nowhere, and an evaluation with other
    split settings is another index. The file belongs to one embedder: its name is made of the
    digest and the options. It holds records of a key (SHA-256 of role and text, 32 bytes) and a
    vector (float32, dim values), and is only ever appended to; a torn record at its end is cut
    off when the file is opened.

    Args:
        embedder: Asked for what is missing.
        folder: Where the file is; made if need be.
    """

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self._embedder = embedder
        self.name, self.digest, self.dim = embedder.name, embedder.digest, embedder.dim
        self.backend, self.max_tokens = embedder.backend, embedder.max_tokens
        folder.mkdir(parents=True, exist_ok=True)
        told = json.dumps([self.digest, dict(embedder.options)], sort_keys=True)
        self._file = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.vectors"
        self._record = np.dtype([("key", f"V{_KEY_BYTES}"), ("vector", "<f4", (self.dim,))])
        self._known: dict[bytes, Vectors] = self._read()

    @property
    def options(self) -> Mapping[str, Any]:
        """The other embedder's."""
        return self._embedder.options

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        keys = [_key("document", text) for text in texts]
        new = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._known}
        if new:
            try:
                self._keep(list(new), self._embedder.embed_documents(list(new.values())))
            except EmbeddingFailedError as exc:
                raise self._told_of(keys, list(new), exc) from exc
        return self._vectors(keys)

    def embed_query(self, text: str) -> Vectors:
        """Embed a question; see `ragkit.protocols.Embedder.embed_query`."""
        key = _key("query", text)
        if key not in self._known:
            self._keep([key], self._embedder.embed_query(text)[np.newaxis])
        return self._known[key]

    def _told_of(
        self, keys: Sequence[bytes], asked: Sequence[bytes], exc: EmbeddingFailedError
    ) -> EmbeddingFailedError:
        """Keep what was embedded, and name the others by their positions among all texts."""
        done = [i for i in range(len(asked)) if i not in exc.failed]
        self._keep([asked[i] for i in done], exc.vectors[done])
        reasons = {asked[i]: reason for i, reason in exc.failed.items()}
        failed = {i: reasons[key] for i, key in enumerate(keys) if key in reasons}
        return EmbeddingFailedError(str(exc), exc.model, failed=failed, vectors=self._vectors(keys))

    def _vectors(self, keys: Sequence[bytes]) -> Vectors:
        """The vectors of keys, zero if there is none."""
        rows = np.zeros((len(keys), self.dim), np.float32)
        for row, key in zip(rows, keys, strict=True):
            row[:] = self._known.get(key, 0.0)
        return rows

    def _read(self) -> dict[bytes, Vectors]:
        data = self._file.read_bytes() if self._file.is_file() else b""
        if torn := len(data) % self._record.itemsize:
            data = data[:-torn]
            self._file.write_bytes(data)
        records = np.frombuffer(data, self._record)
        return {bytes(key): row for key, row in zip(records["key"], records["vector"], strict=True)}

    def _keep(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        records = np.zeros(len(keys), self._record)
        records["key"] = keys
        records["vector"] = vectors
        with self._file.open("ab") as file:
            file.write(records.tobytes())
        self._known.update(zip(keys, vectors, strict=True))


def _key(role: str, text: str) -> bytes:
    return hashlib.sha256(f"{role}\0{text}".encode("utf-8", "surrogatepass")).digest()
