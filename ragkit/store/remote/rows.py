"""Documents and chunks as the cluster stores them, and back."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from ragkit.errors import IndexCorruptError
from ragkit.records import (
    Chunk,
    Document,
    DocumentInfo,
    Hit,
    Page,
    copy_fields,
    failed_pages,
    make_chunk_id,
    make_doc_id,
    member_count,
    modified_text,
    read_from_picture,
    reading_facts,
    reading_notes,
    told_metadata,
)
from ragkit.store.remote.keywords import words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

_HASH_DIGITS = 32
_PLAIN = ("title", "kind", "encoding", "size_bytes", "mtime_ns", "file_sha256", "origin")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a document, as it is stored; ``chars`` is the length of its text."""

    version: int
    born: int
    chunks: int
    chars: int
    document: Document
    died: int | None = None

    @property
    def id(self) -> str:
        """The id of its document in the cluster's index."""
        return row_id(self.born, self.version)


def row_id(born: int, number: int) -> str:
    """The id under which a chunk or a version is stored.

    What a writer that lost its lease still sends has another number of a commit, so it never
    overwrites what another one wrote.
    """
    return f"{born}.{number}"


def version_source(version: Version) -> dict[str, Any]:
    """The document that a version is stored as."""
    d = version.document
    row = {name: getattr(d, name) for name in _PLAIN} | {
        "doc_id": d.doc_id, "root": d.root, "path": d.path, "chars": version.chars,
        "pages": [[p.number, p.start, p.end] for p in d.pages], "metadata": d.metadata,
    }  # fmt: skip
    text = json.dumps(row)
    return {
        "version": version.version, "born": version.born, "chunks": version.chunks,
        "doc_id": d.doc_id, "root": _sound(d.root), "path": _sound(d.path),
        "facts": facts_of(d), "row": text,
        "hash": _hash(text, version.version, version.born, version.chunks),
    }  # fmt: skip


def read_version(source: Mapping[str, Any], location: str) -> Version:
    """A version from the document that it is stored as.

    Raises:
        IndexCorruptError: It is not what was written.
    """
    try:
        text, born = source["row"], source["born"]
        row = json.loads(text)
        if _hash(text, source["version"], born, source["chunks"]) != source["hash"]:
            raise damaged(location, "document-row", f"the row of {row['path']} was changed")
        document = Document(
            row["doc_id"], row["root"], row["path"], text="",
            pages=tuple(Page(*page) for page in row["pages"]), metadata=row["metadata"],
            **{name: row[name] for name in _PLAIN},
        )  # fmt: skip
        if make_doc_id(document.root, document.path) != document.doc_id:
            raise damaged(location, "document-row", f"{row['path']} has the id of another one")
    except (KeyError, TypeError, ValueError) as exc:
        raise damaged(location, "document-row", f"a document cannot be read: {exc!r}") from exc
    return Version(
        source["version"], born, source["chunks"], row["chars"], document, source.get("died")
    )


def chunk_source(
    version: Version, chunk: Chunk, number: int, *, key: bytes | None, row: bytes | None
) -> dict[str, Any]:
    """The document that a chunk is stored as.

    Args:
        version: Its document's; ``born`` is the chunk's too.
        chunk: It.
        number: Its place among all chunks of the index, by age.
        key: The cache key of its vector, if the index has vectors.
        row: Its vector, `dim` little-endian float16; None: it waits for it.
    """
    d = version.document
    touched = [
        [p.number, p.start, p.end]
        for p in d.pages
        if p.start < min(p.end, chunk.end) and p.end > chunk.start
    ]
    pages = touched if chunk.page is not None else []
    rest = json.dumps([list(chunk.heading), chunk.page, pages, chunk.tokens])
    source: dict[str, Any] = {
        "number": number, "version": version.version, "ordinal": chunk.ordinal,
        "born": version.born, "start": chunk.start, "end": chunk.end,
        "path": _sound(d.path), "kind": d.kind, "modified": modified_text(d.mtime_ns),
        "facts": facts_of(d), "document": version.id, "text": chunk.text, "rest": rest,
        "hash": _hash(chunk.chunk_id, rest, number, version.version, chunk.ordinal),
        "words": words_of(chunk.heading, chunk.text),
    }  # fmt: skip
    if key is not None:
        source["key"] = key.hex()
    return source if row is None else with_vector(source, row, version.born)


def with_vector(source: Mapping[str, Any], row: bytes, moment: int) -> dict[str, Any]:
    """A chunk's document with its vector.

    Args:
        source: As it was read, or made.
        row: `dim` little-endian float16.
        moment: The number of the commit that brings the vector.
    """
    source = with_words(source)
    numbers = np.frombuffer(row, "<f2").astype(np.float32)
    return {
        **source, "embedded": moment, "row": encode_row(row), "vector": numbers,
    }  # fmt: skip


def with_words(source: Mapping[str, Any]) -> dict[str, Any]:
    """A chunk's document with its words, which are not read back."""
    if "words" in source:
        return dict(source)
    heading, *_ = json.loads(source["rest"])
    return {**source, "words": words_of(heading, source["text"])}


def make_hit(source: Mapping[str, Any], version: Version, location: str) -> Hit:
    """A chunk as a hit, without rank and score.

    Raises:
        IndexCorruptError: It is not what was written.
    """
    chunk = read_chunk(source, version, location)
    d = version.document
    pages = tuple(Page(*page) for page in json.loads(source["rest"])[2])
    metadata = told_metadata(d.metadata, d.origin)
    return Hit(
        rank=0, score=None, chunk_id=chunk.chunk_id, doc_id=d.doc_id, root=d.root, path=d.path,
        title=d.title, kind=d.kind, heading=chunk.heading, page=chunk.page, start=chunk.start,
        end=chunk.end, text=chunk.text, file_sha256=d.file_sha256, pages=pages, metadata=metadata,
        from_picture=read_from_picture(metadata, (page.number for page in pages)),
    )  # fmt: skip


def read_chunk(source: Mapping[str, Any], version: Version, location: str) -> Chunk:
    """A chunk from the document that it is stored as.

    Raises:
        IndexCorruptError: It is not what was written.
    """
    path = version.document.path
    try:
        start, end, text = source["start"], source["end"], source["text"]
        chunk_id = make_chunk_id(version.document.doc_id, start, end, text)
        stored = (source["rest"], source["number"], source["version"], source["ordinal"])
        if _hash(chunk_id, *stored) != source["hash"] or source["version"] != version.version:
            raise damaged(location, "chunk-row", f"a chunk of {path} was changed")
        heading, page, _, tokens = json.loads(source["rest"])
    except (KeyError, TypeError, ValueError) as exc:
        raise damaged(location, "chunk-row", f"a chunk of {path} cannot be read: {exc!r}") from exc
    doc_id = version.document.doc_id
    return Chunk(
        chunk_id, doc_id, source["ordinal"], start, end, text, tuple(heading), page, tokens
    )


def read_info(version: Version, stale: str | None) -> DocumentInfo:
    """A version as a document without its text."""
    d = version.document
    known: dict[str, Any] = {}
    if d.origin == "file":
        known = {
            "failed_pages": failed_pages(d.metadata), "notes": reading_notes(d.metadata),
            "members": member_count(d.metadata), "reading": reading_facts(d.metadata),
        }  # fmt: skip
    return copy_fields(
        d, DocumentInfo,
        **({"failed_pages": (), "notes": ()} | known), chunks=version.chunks, pages=len(d.pages),
        pages_without_text=d.pages_without_text, stale=stale,
        metadata=told_metadata(d.metadata, d.origin),
    )  # fmt: skip


def facts_of(document: Document) -> list[str]:
    """The texts and numbers of a document's metadata, by which it can be found."""
    return [fact_of(name, value) for name, value in scalars(document)]


def scalars(document: Document) -> list[tuple[str, Any]]:
    """The texts and numbers that a document says of itself, one for each item of a list."""
    found = []
    for name, value in told_metadata(document.metadata, document.origin).items():
        items = value if isinstance(value, list) else [value]
        found += [(name, item) for item in items if isinstance(item, (str, int, float))]
    return found


def fact_of(name: str, value: str | int | float) -> str:
    """A field's value as it is stored; `fact_value` reads it."""
    return fact_prefix(name) + json.dumps(value)


def fact_prefix(name: str) -> str:
    """What the values of a field begin with."""
    return json.dumps(name) + ":"


def fact_value(fact: str, name: str) -> Any:  # noqa: ANN401 -- a JSON scalar
    """The value that a fact gives a field."""
    return json.loads(fact[len(fact_prefix(name)) :])


def encode_row(row: bytes) -> str:
    """A vector's bytes, and their CRC-32 before them, as a binary field has them."""
    return base64.b64encode(zlib.crc32(row).to_bytes(4, "little") + row).decode("ascii")


def decode_row(stored: str) -> bytes | None:
    """The bytes of a vector; None if they are not what was written."""
    try:
        data = base64.b64decode(stored, validate=True)
    except ValueError:
        return None
    row = data[4:]
    return row if zlib.crc32(row).to_bytes(4, "little") == data[:4] else None


def to_rows(vectors: Vectors) -> list[bytes]:
    """Vectors as they are stored: float16, little-endian."""
    return [row.tobytes() for row in np.asarray(vectors).astype("<f2")]


def from_row(row: bytes) -> NDArray[np.float32]:
    """A vector as it is served: float32."""
    return np.frombuffer(row, "<f2").astype(np.float32)


def line(value: Mapping[str, Any]) -> bytes:
    """A JSON value as one line of a bulk request."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def joined(chunks: Sequence[Chunk], chars: int) -> str:
    """The texts of chunks at their places in a text of that length, with spaces between them."""
    parts, end = [], 0
    for chunk in chunks:
        if chunk.end > end:
            begin = max(end, chunk.start)
            parts += [" " * (begin - end), chunk.text[begin - chunk.start :]]
            end = chunk.end
    return "".join([*parts, " " * (chars - end)])


def damaged(location: str, invariant: str, detail: str) -> IndexCorruptError:
    """The error for something that is not what was written."""
    msg = (
        f"{location} is damaged ({invariant}): {detail}; restore a snapshot of the cluster, or "
        "make the index anew with `ragkit rebuild`"
    )
    return IndexCorruptError(msg, location)


def _sound(text: str) -> str:
    """A path as the cluster takes it: bytes of file names that are no UTF-8 become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _hash(*values: object) -> str:
    joined_values = "\0".join(map(str, values)).encode("utf-8", "surrogatepass")
    return sha256(joined_values).hexdigest()[:_HASH_DIGITS]
