"""Finding what is broken in an index on a cluster; docs/opensearch.md names the invariants."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import IndexCorruptError
from ragkit.protocols import Violation
from ragkit.store.remote.keywords import WordQuery
from ragkit.store.remote.layout import chunks_index, documents_index
from ragkit.store.remote.rows import decode_row, read_chunk, read_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.store.remote.rows import Version
    from ragkit.store.remote.snapshot import RemoteSnapshot

_RESTORE = "restore a snapshot of the cluster, or make the index anew with `ragkit rebuild`"
_UNIT = 2e-3
_SAMPLE = 20
_COPIES_S = 10


def check_health(now: RemoteSnapshot) -> Iterator[Violation]:
    """Shards that are not there, and indexes that were changed by hand."""
    name = now.cluster.endpoint.name
    chunks = chunks_index(name, now.build.id)
    for index in (documents_index(name, now.build.id), chunks):
        status, reply = now.cluster.send("GET", f"/{index}/_mapping", accept=(404,))
        if status == 404:
            yield Violation("shards", "must", f"the index {index} is gone", _RESTORE)
            continue
        yield from _check_shards(now, index)
        fields = reply[index]["mappings"].get("properties", {})
        if index == chunks and not _is_as_made(fields, now.build.dim):
            yield Violation("mapping", "must", "the mapping of the chunks was changed", _RESTORE)


def _check_shards(now: RemoteSnapshot, index: str) -> Iterator[Violation]:
    # Copies of what was written or made a moment ago are still being made.
    path = f"/_cluster/health/{index}?wait_for_status=green&timeout={_COPIES_S}s"
    _, health = now.cluster.send("GET", path, accept=(404, 408))
    if health.get("status") == "red":
        yield Violation(
            "shards", "must", f"a shard of {index} is on no node",
            "bring back the nodes that are missing; `GET _cluster/allocation/explain` says why",
        )  # fmt: skip
    elif health.get("status") == "yellow":
        yield Violation(
            "copies", "should", f"a shard of {index} has fewer copies than it should",
            "bring back the node that is missing, or add one",
        )  # fmt: skip


def _is_as_made(fields: dict[str, Any], dim: int) -> bool:
    """Whether the fields of chunks can be searched as they should."""
    found = fields.get("vector", {}).get("dimension", 0)
    analyzer = fields.get("words", {}).get("analyzer")
    return bool(found == dim and analyzer == "ragkit")


def check_rows(now: RemoteSnapshot, *, keywords: bool) -> Iterator[Violation]:
    """Every document and chunk of a build against its hash, and each against the other."""
    versions: dict[int, Version] = {}
    yield from _check_documents(now, versions)
    found: Counter[int] = Counter()
    for count, row in enumerate(now.scan(now.chunks_index, now.brought(), "number")):
        owner = versions.get(row["_source"].get("version"))
        if owner is None:
            yield _orphan(row["_id"])
            continue
        found[owner.version] += 1
        yield from _check_chunk(now, row["_source"], owner)
        if keywords or count < _SAMPLE:
            yield from _check_words(now, row["_id"], row["_source"])
    for number, version in versions.items():
        if found[number] != version.chunks:
            detail = f"{version.document.path} has {found[number]} of its {version.chunks} chunks"
            yield Violation("document-row", "must", detail, _RESTORE)


def _check_documents(now: RemoteSnapshot, versions: dict[int, Version]) -> Iterator[Violation]:
    """Check the documents, and gather those that are whole by their numbers."""
    living: Counter[str] = Counter()
    for row in now.scan(now.documents_index, now.brought(), "version"):
        try:
            version = read_version(row["_source"], now.location)
        except IndexCorruptError as exc:
            yield Violation("document-row", "must", str(exc), _RESTORE)
            continue
        versions[version.version] = version
        if not now.view.has(version.died):
            living[version.document.doc_id] += 1
    for doc_id, count in living.items():
        if count > 1:
            detail = f"document {doc_id} lives {count} times"
            yield Violation("one-version", "must", detail, _RESTORE)


def _orphan(name: str) -> Violation:
    return Violation(
        "orphans", "should", f"chunk {name} belongs to no document", "`ragkit compact` deletes it"
    )


def _check_chunk(
    now: RemoteSnapshot, source: dict[str, Any], owner: Version
) -> Iterator[Violation]:
    try:
        read_chunk(source, owner, now.location)
    except IndexCorruptError as exc:
        yield Violation("chunk-row", "must", str(exc), _RESTORE)
    where = f"the vector of chunk {source['number']}, of {owner.document.path},"
    if not now.view.has(source.get("embedded")):
        if now.build.embedder and not now.build.waits and owner.died is None:
            yield Violation("pending", "must", f"{where} is not there", "`ragkit index` makes it")
        return
    row = decode_row(source.get("row", ""))
    if row is None or len(row) != 2 * now.build.dim:
        yield Violation("row-checksum", "must", f"{where} was changed", _RESTORE)
        return
    length = float(np.linalg.norm(np.frombuffer(row, "<f2").astype(np.float32)))
    if abs(length - 1) > _UNIT:
        yield Violation("row-checksum", "must", f"{where} has length {length:.3f}", _RESTORE)


def _check_words(now: RemoteSnapshot, name: str, source: dict[str, Any]) -> Iterator[Violation]:
    """See that a chunk is found by a word of its own."""
    text = " ".join([*json.loads(source["rest"])[0], source["text"][:200]])
    question = WordQuery(text)
    if not question:
        return
    query = {"bool": {"filter": [{"ids": {"values": [name]}}, question.any_term()]}}
    if not now.count(now.chunks_index, query):
        yield Violation(
            "keywords", "should", f"chunk {name} is not found by its words",
            "make the index anew with `ragkit rebuild`",
        )  # fmt: skip
