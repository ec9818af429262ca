"""Documents, chunks and vectors for tests of the store: seeded, the same text the same vector."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.protocols import SearchRequest
from ragkit.records import Chunk, Document, Hit
from ragkit.store.local.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ragkit.protocols import StoreWriter, VectorStore
    from ragkit.store.local.segments import SegmentSizes

    Rows = NDArray[np.float32]

DIM = 16


def manifest_of(dim: int) -> dict[str, Any]:
    """What a store is made with; without dimensions it has no embedder."""
    if not dim:
        return {"embedder": {}, "splitter": {"chunk_tokens": 8}}
    embedder = {"backend": "test", "name": "seeded", "digest": "0", "dim": dim, "options": {}}
    return {"embedder": embedder, "splitter": {"chunk_tokens": 8}}


def new_store(path: Path, dim: int = DIM, sizes: SegmentSizes | None = None) -> LocalStore:
    """An empty index with an embedder of that dimension in its manifest."""
    return LocalStore.create(path, **manifest_of(dim), sizes=sizes)


def unit(rows: Any) -> Rows:
    """Rows scaled to unit length, float32."""
    array = np.asarray(rows, np.float64)
    scaled: Rows = (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def vector_of(text: str, dim: int = DIM) -> Rows:
    """A unit vector that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return unit(np.random.default_rng(seed).standard_normal(dim))


def vectors_of(texts: Sequence[str], dim: int = DIM) -> Rows:
    """The vectors of texts, shape (len(texts), dim)."""
    return np.array([vector_of(text, dim) for text in texts], np.float32).reshape(-1, dim)


def key_of(text: str) -> bytes:
    """The cache key of a text."""
    return hashlib.sha256(text.encode()).digest()


def doc_id_of(path: str, root: str = "/docs") -> str:
    """The id of a document, as docs/format.md defines it."""
    return hashlib.sha256(f"{root}\0{path}".encode()).hexdigest()[:32]


def chunk_id_of(doc_id: str, start: int, end: int, text: str) -> str:
    """The id of a chunk, as docs/format.md defines it."""
    named = b"\0".join([doc_id.encode(), str(start).encode(), str(end).encode(), text.encode()])
    return hashlib.sha256(named).digest()[:16].hex()


def make_document(
    path: str, texts: Sequence[str], *, root: str = "/docs", **fields: Any
) -> tuple[Document, list[Chunk]]:
    """A document of the given chunks, one a line."""
    doc_id, body = doc_id_of(path, root), "\n".join(texts)
    chunks, start = [], 0
    for i, text in enumerate(texts):
        end = start + len(text)
        chunks.append(
            Chunk(chunk_id_of(doc_id, start, end, text), doc_id, i, start, end, text,
                  heading=("Part", path), tokens=len(text))
        )  # fmt: skip
        start = end + 1
    sha = hashlib.sha256(body.encode()).hexdigest()
    known: dict[str, Any] = {
        "title": path,
        "kind": "text",
        "size_bytes": len(body),
        "mtime_ns": 1,
    } | fields
    return Document(doc_id, root, path, text=body, file_sha256=sha, **(known | fields)), chunks


def put(
    writer: StoreWriter, path: str, texts: Sequence[str], *, vectors: Any = None, **fields: Any
) -> Document:
    """Add a document to a run: unknown vectors, of `DIM` if not given, first, as an ingest does."""
    document, chunks = make_document(path, texts, **fields)
    rows = vectors_of(texts) if vectors is None and texts else vectors
    known = writer.known([key_of(text) for text in texts])
    fresh = {t: i for i, t in reversed(list(enumerate(texts))) if key_of(t) not in known}
    if fresh:
        order = sorted(fresh.values())
        writer.add_vectors([key_of(texts[i]) for i in order], rows[order])
    writer.add(document, chunks, [key_of(text) for text in texts])
    return document


def ingest(store: VectorStore, documents: Mapping[str, Sequence[str]]) -> int:
    """Add documents, path to texts, in one run; returns its generation."""
    with store.writing("index") as writer:
        for path, texts in documents.items():
            put(writer, path, texts, vectors=vectors_of(texts, store.embedder["dim"]))
    return writer.generation


def dense(store: VectorStore, query: Any, k: int = 10, **fields: Any) -> list[Hit]:
    """A dense search."""
    return store.search(SearchRequest(k=k, mode="dense", vector=query, **fields))


def keyword(store: VectorStore, text: str, k: int = 10, **fields: Any) -> list[Hit]:
    """A keyword search."""
    return store.search(SearchRequest(k=k, mode="keyword", text=text, **fields))
