"""Copying an index to another place, be it a folder or a cluster, without embedding anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import IndexExistsError, StoreError
from ragkit.ingest.prepare import own_title
from ragkit.ingest.split import embedding_text
from ragkit.store.embedding_keys import cache_keys
from ragkit.store.open import create_store, index_exists, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import StoreWriter, VectorStore
    from ragkit.records import Chunk, Document, DocumentInfo

_COMMITTED_CHUNKS = 2_000
_NOTE = "copy of"  # of an index that is not whole yet


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What was copied. ``waiting`` chunks had no vector; `index` makes them, as in the original."""

    documents: int
    chunks: int
    vectors: int
    waiting: int


def copy_index(
    source: VectorStore,
    location: str | Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> CopyReport:
    """Make an index that holds what another one holds now, and compare the two.

    Texts, vectors, folders with their rules, and decisions are copied; earlier runs are not. A
    copy that was ended halfway is gone on with by the next one from the same index.

    Args:
        source: It may be written meanwhile: that makes the comparison fail.
        location: Where the copy is to be.
        on_progress: Called now and then with the documents done and the documents there are.

    Raises:
        IndexExistsError: There is another index at the location.
        StoreError: The copy is not equal.
    """
    target = _begun(source, location)
    try:
        there = {d.doc_id: d for d in target.documents()}
        documents = source.documents()
        with target.writing(f"copy {source.location}") as writer:
            gone = there.keys() - {d.doc_id for d in documents}
            writer.remove(sorted(gone))
            writer.ask_for(source.sources(), source.rules())
            decided = source.decisions()
            writer.decide([place for place in target.decisions() if place not in decided], None)
            for place, decision in decided.items():
                writer.decide([place], decision)
            for done, batch in _batches(source, documents, there):
                _write(source, writer, batch)
                writer.commit()
                if on_progress:
                    on_progress(done, len(documents))
            for info in documents:
                writer.mark_stale(info.doc_id, info.stale)
        report = _compare(source, target)
        target.keep_note(_NOTE, None)
        return report
    finally:
        target.close()


def _begun(source: VectorStore, location: str | Path) -> VectorStore:
    """The index to write to: new, or that of a copy that was ended halfway."""
    if not index_exists(location):
        made = create_store(location, embedder=source.embedder, splitter=source.splitter)
        made.keep_note(_NOTE, source.location)
        return made
    found = open_store(location)
    is_ours = found.note(_NOTE) == source.location
    if is_ours and (found.embedder, found.splitter) == (source.embedder, source.splitter):
        return found
    found.close()
    msg = f"there is an index at {location} already; name a place where none is"
    raise IndexExistsError(msg, location)


Batch = list[tuple["Document", "list[Chunk]"]]


def _batches(
    source: VectorStore, documents: Sequence[DocumentInfo], there: Mapping[str, DocumentInfo]
) -> Iterator[tuple[int, Batch]]:
    """The documents with their chunks, some thousand chunks at a time, those that are there not."""
    batch: Batch = []
    for number, info in enumerate(documents, 1):
        if there.get(info.doc_id) != info:
            content = source.content(info.doc_id)
            if content is not None:
                batch.append(content)
        if sum(len(chunks) for _, chunks in batch) >= _COMMITTED_CHUNKS or number == len(documents):
            yield number, batch
            batch = []


def _write(source: VectorStore, writer: StoreWriter, batch: Batch) -> None:
    record = source.embedder
    keys = [_keys(record, *content) for content in batch]
    distinct = list(dict.fromkeys(key for part in keys for key in part))
    known = writer.known(distinct)
    found = source.vectors([key for key in distinct if key not in known])
    if found:
        writer.add_vectors(list(found), np.stack(list(found.values())))
    for (document, chunks), part in zip(batch, keys, strict=True):
        writer.add(document, chunks, part)


def _keys(record: Mapping[str, Any], document: Document, chunks: Sequence[Chunk]) -> list[bytes]:
    if not record:
        return []
    title = own_title(document)
    return cache_keys(record, [embedding_text(chunk, title) for chunk in chunks])


def _compare(source: VectorStore, target: VectorStore) -> CopyReport:
    """Hold a copy against its original.

    Raises:
        StoreError: They differ.
    """
    documents = source.documents()
    if target.documents() != documents:
        raise _differs(source, target, "the documents")
    if (target.sources(), target.rules()) != (source.sources(), source.rules()):
        raise _differs(source, target, "the folders and their rules")
    if target.decisions() != source.decisions():
        raise _differs(source, target, "the decisions")
    chunks = vectors = 0
    for info in documents:
        content = source.content(info.doc_id)
        if content is None or target.content(info.doc_id) != content:
            raise _differs(source, target, f"the passages of {info.path}")
        keys = _keys(source.embedder, *content)
        ours, theirs = source.vectors(keys), target.vectors(keys)
        if ours.keys() != theirs.keys() or any(
            not np.array_equal(ours[key], theirs[key]) for key in ours
        ):
            raise _differs(source, target, f"the vectors of {info.path}")
        chunks += len(content[1])
        vectors += sum(key in ours for key in keys)
    return CopyReport(len(documents), chunks, vectors, target.stats().waiting)


def _differs(source: VectorStore, target: VectorStore, what: str) -> StoreError:
    msg = (
        f"{target.location} is not equal to {source.location}: {what} differ. If the original was "
        "changed meanwhile, run the same command again; it goes on where this one ended"
    )
    return StoreError(msg, target.location)
