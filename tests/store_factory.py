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

    from ragkit.store.local.segments import SegmentSizes
    from ragkit.store.local.writer import Writer

    Rows = NDArray[np.float32]

DIM = 16


def new_store(path: Path, dim: int = DIM, sizes: SegmentSizes | None = None) -> LocalStore:
    """An empty index with an embedder of that dimension in its manifest."""
    embedder = {"backend": "test", "name": "seeded", "digest": "0", "dim": dim, "options": {}}
    return LocalStore.create(path, embedder=embedder, splitter={"chunk_tokens": 8}, sizes=sizes)


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
    return np.stack([vector_of(text, dim) for text in texts])


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
    writer: Writer, path: str, texts: Sequence[str], *, vectors: Any = None, **fields: Any
) -> Document:
    """Add a document to a run: unknown vectors first, as an ingest does."""
    document, chunks = make_document(path, texts, **fields)
    rows = vectors_of(texts, writer_dim(writer)) if vectors is None and texts else vectors
    known = writer.known([key_of(text) for text in texts])
    fresh = {t: i for i, t in reversed(list(enumerate(texts))) if key_of(t) not in known}
    if fresh:
        order = sorted(fresh.values())
        writer.add_vectors([key_of(texts[i]) for i in order], rows[order])
    writer.add(document, chunks, [key_of(text) for text in texts])
    return document


def writer_dim(writer: Writer) -> int:
    """The length of the vectors that a writer takes."""
    return writer._segments._dim


def ingest(store: LocalStore, documents: Mapping[str, Sequence[str]]) -> int:
    """Add documents, path to texts, in one run; returns its generation."""
    with store.writing("index") as writer:
        for path, texts in documents.items():
            put(writer, path, texts)
    return writer.generation


def dense(store: LocalStore, query: Any, k: int = 10, **fields: Any) -> list[Hit]:
    """A dense search."""
    return store.search(SearchRequest(k=k, mode="dense", vector=query, **fields))


def keyword(store: LocalStore, text: str, k: int = 10, **fields: Any) -> list[Hit]:
    """A keyword search."""
    return store.search(SearchRequest(k=k, mode="keyword", text=text, **fields))
