"""The indexes of OpenSearch that make up one index of ragkit, and what their fields are.

docs/opensearch.md describes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ragkit.errors import FormatVersionError, IndexNotFoundError, StoreError

if TYPE_CHECKING:
    from ragkit.store.remote.cluster import Cluster

FORMAT = 1
"""The version of what is written to a cluster; a newer one is refused."""

KEYWORDS = {"analysis": 3}
"""By which rules texts were prepared for the keywords; see docs/format.md."""

SETTINGS = {"auto_expand_replicas": "0-1", "refresh_interval": "-1"}
"""Of every index: a copy where there is a second node; searches see what is refreshed."""

EF_CONSTRUCTION = 50
"""Among how many of the nearest a vector's neighbours in the graph are chosen."""

MOST_PATH = 8191
_STORED = {"type": "keyword", "index": False, "doc_values": False}
_WORD = {"type": "keyword", "ignore_above": MOST_PATH}
_NUMBER = {"type": "long"}


def control_index(name: str) -> str:
    """Holds the manifest, the writers' signs of life, reports and notes."""
    return name


def documents_index(name: str, build: int) -> str:
    """Holds a row for each version of a document of a build."""
    return f"{name}-documents-{build}"


def chunks_index(name: str, build: int) -> str:
    """Holds the chunks of a build with their words and vectors."""
    return f"{name}-chunks-{build}"


def vectors_index(name: str) -> str:
    """Holds the embedding cache."""
    return f"{name}-vectors"


def make_control(cluster: Cluster) -> bool:
    """Make the control index; False if it is there already."""
    return _make(cluster, control_index(cluster.endpoint.name), {"dynamic": False}, meta=True)


def make_cache(cluster: Cluster, shards: int = 1) -> None:
    """Make the embedding cache's index, if it is not there, with so many primary shards."""
    fields = {"row": {"type": "binary"}, "key": _WORD}
    mapping = {"dynamic": "strict", "properties": fields}
    _make(cluster, vectors_index(cluster.endpoint.name), mapping, shards=shards)


def make_build(cluster: Cluster, build: int, dim: int, shards: int = 1) -> None:
    """Make the indexes of a build, as far as they are not there.

    Args:
        cluster: The nodes.
        build: Its number.
        dim: The length of its vectors; 0: it has none.
        shards: The primary shards of its chunks; its documents, which are far fewer, have one.
    """
    name = cluster.endpoint.name
    document = {
        "version": _NUMBER, "born": _NUMBER, "died": _NUMBER, "chunks": _NUMBER,
        "doc_id": _WORD, "root": _WORD, "path": _WORD, "facts": _WORD,
        "row": _STORED, "hash": _STORED,
    }  # fmt: skip
    _make(cluster, documents_index(name, build), {"dynamic": "strict", "properties": document})
    chunk: dict[str, Any] = {
        "number": _NUMBER, "version": _NUMBER, "ordinal": _NUMBER, "born": _NUMBER,
        "embedded": _NUMBER, "start": _NUMBER, "end": _NUMBER, "key": _WORD,
        "path": _WORD, "kind": _WORD, "modified": _WORD, "facts": _WORD,
        "words": {"type": "text", "analyzer": "ragkit"},
        "row": {"type": "binary"},
        "document": _STORED, "text": _STORED,
        "rest": _STORED, "hash": _STORED,
    }  # fmt: skip
    if dim:
        chunk["vector"] = vector_field(dim)
    mapping = {
        "dynamic": "strict", "_source": {"excludes": ["vector", "words"]}, "properties": chunk,
    }  # fmt: skip
    _make(cluster, chunks_index(name, build), mapping, shards=shards)


def add_vector_field(cluster: Cluster, build: int, dim: int) -> None:
    """Let the chunks of a build without vectors have some."""
    path = f"/{chunks_index(cluster.endpoint.name, build)}/_mapping"
    cluster.send("PUT", path, {"properties": {"vector": vector_field(dim)}})


def drop_build(cluster: Cluster, build: int) -> None:
    """Delete the indexes of a build."""
    name = cluster.endpoint.name
    for index in (documents_index(name, build), chunks_index(name, build)):
        cluster.send("DELETE", f"/{index}", accept=(404,))


def delete_indexes(cluster: Cluster) -> None:
    """Delete all indexes of an index of ragkit's, that which names it last."""
    name = cluster.endpoint.name
    _, found = cluster.send("GET", f"/{name}-*", accept=(404,))
    own = re.compile(re.escape(name) + r"-(vectors|(documents|chunks)-\d+)")
    for index in [*sorted(filter(own.fullmatch, found)), control_index(name)]:
        cluster.send("DELETE", f"/{index}", accept=(404,))


def require_ours(cluster: Cluster) -> None:
    """See that the index of that name is ragkit's, of a format that is known.

    Raises:
        IndexNotFoundError: There is none.
        FormatVersionError: A newer ragkit wrote it.
        StoreError: It is another program's.
    """
    name = control_index(cluster.endpoint.name)
    status, reply = cluster.send("GET", f"/{name}/_mapping", accept=(404,))
    if status == 404:
        msg = f"no index at {cluster.location}; `ragkit index FOLDER -i URL` makes one"
        raise IndexNotFoundError(msg, cluster.location)
    (found,) = reply.values() if len(reply) == 1 else ({},)
    stored = found.get("mappings", {}).get("_meta", {}).get("ragkit", {}).get("format")
    if not isinstance(stored, int):
        msg = (
            f"{cluster.location}: the cluster has something else called {name}, which is not "
            "ragkit's; it was left as it is. Choose another name"
        )
        raise StoreError(msg, cluster.location)
    if stored > FORMAT:
        msg = (
            f"{cluster.location} has format {stored}, made by a newer ragkit; this one knows "
            f"formats up to {FORMAT}: upgrade with `pip install --upgrade ragkit-grounded`"
        )
        raise FormatVersionError(msg, cluster.location)


def vector_field(dim: int) -> dict[str, Any]:
    """How the engine keeps vectors of that length: once, and in a graph.

    Of a graph's making most of what writing takes is spent; docs/opensearch.md tells how its
    parameters were chosen. Scores read the vectors that the graph has, so that values of a
    document's fields would be a second copy.
    """
    method = {
        "name": "hnsw", "engine": "lucene", "space_type": "innerproduct",
        "parameters": {"m": 16, "ef_construction": EF_CONSTRUCTION},
    }  # fmt: skip
    return {"type": "knn_vector", "dimension": dim, "doc_values": False, "method": method}


def _make(
    cluster: Cluster, index: str, mapping: dict[str, Any], *, meta: bool = False, shards: int = 1
) -> bool:
    settings: dict[str, Any] = {**SETTINGS, "number_of_shards": shards}
    analysis = None
    if "words" in mapping.get("properties", {}):
        settings["knn"] = True
        analyzer = {"type": "custom", "tokenizer": "whitespace", "filter": ["porter_stem"]}
        analysis = {"analyzer": {"ragkit": analyzer}}
    if meta:
        mapping = mapping | {"_meta": {"ragkit": {"format": FORMAT}}}
    body = {"settings": {"index": settings}, "mappings": mapping}
    if analysis:
        body["settings"]["analysis"] = analysis
    status, reply = cluster.send("PUT", f"/{index}", body, accept=(400,))
    if status == 400:
        kind = reply.get("error", {}).get("type")
        if kind == "resource_already_exists_exception":
            return False
        if kind == "invalid_index_name_exception":
            msg = f"{cluster.location}: OpenSearch refuses the name {index}: choose another one"
            raise StoreError(msg, cluster.location)
        msg_0 = f"does not make the index {index}: {reply['error'].get('reason')}"
        raise cluster.failure(msg_0)
    return True
