"""An index on a cluster as one commit left it: what is there, and how it is asked for."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.errors import StoreError
from ragkit.records import MODIFIED, modified_text
from ragkit.store.remote.layout import chunks_index, control_index, documents_index
from ragkit.store.remote.rows import damaged, fact_prefix, fact_value, read_version
from ragkit.store.remote.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ragkit.records import Condition, Filter
    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.manifest import Manifest, RemoteBuild
    from ragkit.store.remote.rows import Version

PAGE = 2_000
"""Rows a request when many are read."""

MOST_TERMS = 50_000  # of one clause; OpenSearch takes 65,536
MOST_VALUES = 60_000
MOST_KNOWN = 5_000  # versions of documents that are kept for hits
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ].*)?)?)?")
_LAST = "\uffff"

Query = dict[str, Any]
Source = bool | list[str] | dict[str, list[str]]
"""Which fields of rows are read."""


class MissingIndexError(StoreError):
    """One of the indexes that a manifest names is gone: another manifest has taken its place."""


@dataclass(slots=True)
class Kept:
    """What readers of one index keep from one commit to the next; threads share it.

    ``died`` has the versions of documents of one build that died, with the commit in which they
    did, of all commits that ``seen`` has. It grows with the commits; a compaction begins it anew.
    ``known`` has versions that were read, by their ids. Both begin anew where another index has
    taken the place.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    index: str = ""
    build: int = 0
    compacted: int = 0
    commits: int = 0
    seen: View = View(0)  # noqa: RUF009 -- it is frozen
    died: dict[int, int] = field(default_factory=dict)
    known: dict[str, Version] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget the versions that were read."""
        with self.lock:
            self.known.clear()

    def begin(self, manifest: Manifest, build: RemoteBuild) -> None:
        """Forget what is of another index, and the dead of another build."""
        if self.index != manifest.id:
            self.index, self.build = manifest.id, 0
            self.known.clear()
        if (self.build, self.compacted) != (build.id, build.compacted):
            self.build, self.compacted = build.id, build.compacted
            self.commits, self.seen, self.died = 0, View(0), {}


class RemoteSnapshot:
    """One build at one commit.

    Args:
        cluster: The nodes.
        manifest: The commit.
        build: Which build.
        view: Look at it as an earlier commit left it, or a writer; None: as this one.
        kept: From one commit to the next.
    """

    def __init__(
        self,
        cluster: Cluster,
        manifest: Manifest,
        build: RemoteBuild,
        *,
        view: View | None = None,
        kept: Kept | None = None,
    ) -> None:
        name = cluster.endpoint.name
        self.cluster, self.manifest, self.build = cluster, manifest, build
        self.view = manifest.view() if view is None else view
        self.documents_index = documents_index(name, build.id)
        self.chunks_index = chunks_index(name, build.id)
        self._kept = Kept() if kept is None else kept

    @property
    def location(self) -> str:
        """The index's URL."""
        return self.cluster.location

    # Asking ------------------------------------------------------------------------------------

    def search(self, index: str, body: Query, *, words: bool = False) -> dict[str, Any]:
        """Ask for rows, of all shards or none.

        Args:
            index: Which.
            body: The request.
            words: It is scored by words, whose frequencies are those of all shards.
        """
        params = {"allow_partial_search_results": "false"}
        if words:
            params["search_type"] = "dfs_query_then_fetch"
        status, reply = self.cluster.send(
            "POST", f"/{index}/_search", body, accept=(404,), params=params
        )
        if status == 404:
            raise self._missing(index)
        found: dict[str, Any] = reply
        return found

    def searches(self, index: str, bodies: Sequence[Query]) -> list[dict[str, Any]]:
        """Ask for rows in several ways with one request."""
        header = {"allow_partial_search_results": False}
        lines = [json.dumps(part).encode() for body in bodies for part in (header, body)]
        status, reply = self.cluster.send(
            "POST", f"/{index}/_msearch", b"\n".join(lines) + b"\n", accept=(404,)
        )
        if status == 404:
            raise self._missing(index)
        return [
            self.search(index, body) if "error" in found else found  # again, and with patience
            for found, body in zip(reply["responses"], bodies, strict=True)
        ]

    def scan(
        self,
        index: str,
        query: Query,
        sort: str,
        *,
        source: Source = True,
        after: int = 0,
        places: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """All rows that a query finds, by a field of distinct numbers above `after`.

        With `places` each has its sequence number and primary term.
        """
        while True:
            found = self.search(
                index,
                {"size": PAGE, "query": query, "sort": [{sort: "asc"}, {"born": "asc"}],
                 "search_after": [after, 2**62], "_source": source, "track_total_hits": False,
                 "seq_no_primary_term": places},
            )["hits"]["hits"]  # fmt: skip
            yield from found
            if len(found) < PAGE:
                return
            after = found[-1]["sort"][0]

    def count(self, index: str, query: Query) -> int:
        """How many rows a query finds."""
        body = {"size": 0, "query": query, "track_total_hits": True}
        return int(self.search(index, body)["hits"]["total"]["value"])

    # What is there -----------------------------------------------------------------------------

    def brought(self, name: str = "born") -> Query:
        """What a commit up to this one brought, by a field with the number of a commit."""
        return self.view.query(name)

    def alive_chunks(self, clauses: Iterable[Query] = ()) -> Query:
        """The chunks that live, and meet all of some clauses."""
        gone = [{"terms": {"version": part}} for part in _parts(self.dead(), MOST_TERMS)]
        return {"bool": {"filter": [self.brought(), *clauses], "must_not": gone}}

    def alive_versions(self, clauses: Iterable[Query] = ()) -> Query:
        """The versions of documents that live, and meet all of some clauses."""
        query = {"filter": [self.brought(), *clauses], "must_not": [self.brought("died")]}
        return {"bool": query}

    def dead(self) -> list[int]:
        """The versions that died, and whose chunks may still be stored."""
        kept, now = self._kept, self.manifest
        with kept.lock:
            kept.begin(now, self.build)
            if kept.commits < now.commits:
                kept.died.update(self._died_since(kept.seen, now.view()))
                kept.commits, kept.seen = now.commits, now.view()
            return sorted(v for v, died in kept.died.items() if self.view.has(died))

    def _died_since(self, seen: View, now: View) -> dict[int, int]:
        """The versions that died in commits that one view has and an earlier one has not."""
        came: list[Query] = [{"range": {"died": {"gt": seen.moment, "lte": now.moment}}}]
        if seen.without:
            came.append({"terms": {"died": sorted(seen.without)}})
        without = sorted(now.without)
        query = {"bool": {
            "filter": [{"bool": {"should": came}}],
            "must_not": [{"terms": {"died": without}}, {"terms": {"born": without}}],
        }}  # fmt: skip
        rows = self.scan(self.documents_index, query, "version", source=["version", "died"])
        return {row["_source"]["version"]: row["_source"]["died"] for row in rows}

    def embedded(self) -> Query:
        """The chunks that have their vector."""
        return self.brought("embedded")

    def living(self, doc_ids: Sequence[str]) -> dict[str, Version]:
        """The living versions of some documents."""
        found = {}
        for part in _parts(doc_ids, PAGE):
            query = self.alive_versions([{"terms": {"doc_id": list(part)}}])
            for row in self.scan(self.documents_index, query, "version"):
                version = read_version(row["_source"], self.location)
                found[version.document.doc_id] = version
        return found

    def versions(self, ids: Iterable[str]) -> dict[str, Version]:
        """Versions by the ids of their rows.

        Raises:
            IndexCorruptError: One is not there, or not what was written.
        """
        wanted, kept = list(dict.fromkeys(ids)), self._kept
        with kept.lock:
            kept.begin(self.manifest, self.build)
            found = {i: kept.known[i] for i in wanted if i in kept.known}
        missing = [i for i in wanted if i not in found]
        for i, source in self.rows(self.documents_index, missing).items():
            found[i] = read_version(source, self.location)
        with kept.lock:
            kept.begin(self.manifest, self.build)
            if len(kept.known) + len(missing) > MOST_KNOWN:
                kept.known.clear()
            kept.known.update(found)
        return {i: found[i] for i in wanted}

    def rows(
        self, index: str, ids: Sequence[str], *, source: Source = True
    ) -> dict[str, dict[str, Any]]:
        """Rows by their ids.

        Raises:
            IndexCorruptError: One is not there.
        """
        if not ids:
            return {}
        body = {"docs": [{"_id": i, "_source": source} for i in ids]}
        docs = self.cluster.get_many(f"/{index}/_mget", body)
        if docs is None:
            raise self._missing(index)
        found = {d["_id"]: d["_source"] for d in docs if d.get("found")}
        if len(found) < len(set(ids)):
            if any("error" in d for d in docs):
                raise self._missing(index)
            gone = next(i for i in ids if i not in found)
            raise damaged(self.location, "document-row", f"row {gone} of {index} is not there")
        return found

    def stale(self) -> dict[str, str]:
        """Which documents are stale, by their ids, and why."""
        found = self.control(self.manifest.stale)
        return {} if found is None else dict(found["reasons"])

    def control(self, name: str | None) -> dict[str, Any] | None:
        """A document beside the manifest, None if none of that name is there."""
        if not name:
            return None
        found = self.cluster.get(f"/{control_index(self.cluster.endpoint.name)}/_doc/{name}")
        return None if found is None else found["_source"]

    # Filters -----------------------------------------------------------------------------------

    def clauses(self, chosen: Filter) -> list[Query]:
        """What chunks must meet to be of the documents that a filter chooses."""
        found: list[Query] = []
        if chosen.kinds:
            found.append({"terms": {"kind": list(chosen.kinds)}})
        if chosen.paths:
            found.append({"bool": {"should": [_glob(path) for path in chosen.paths]}})
        return [*found, *(self._condition(condition) for condition in chosen.where)]

    def _condition(self, condition: Condition) -> Query:
        if condition.field == MODIFIED:
            return _modified(condition)
        prefix = fact_prefix(condition.field)
        body = {"size": 0, "aggs": {"values": {"terms": {
            "field": "facts", "size": MOST_VALUES, "include": _literal(prefix) + ".*",
        }}}}  # fmt: skip
        found = self.search(self.documents_index, body)["aggregations"]["values"]
        if found["sum_other_doc_count"]:
            msg = (
                f"{self.location}: the field {condition.field!r} has more than {MOST_VALUES} "
                "different values, which is more than can be compared here"
            )
            raise StoreError(msg, self.location)
        facts = [bucket["key"] for bucket in found["buckets"]]
        meeting = [f for f in facts if condition.is_met_by(fact_value(f, condition.field))]
        clauses = [{"terms": {"facts": part}} for part in _parts(meeting, MOST_TERMS)]
        return {"bool": {"should": clauses}} if clauses else {"match_none": {}}

    def _missing(self, index: str) -> MissingIndexError:
        msg = (
            f"{self.location}: the cluster has no index {index}, which belongs to it; restore a "
            "snapshot of the cluster"
        )
        return MissingIndexError(msg, self.location)


def _modified(condition: Condition) -> Query:
    """A condition on when the file was changed, which is a text that begins with a date."""
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    if condition.operator in {"=", "in"}:
        full = len(modified_text(0))
        cut = [t if _DATE.fullmatch(t) and len(t) <= full else None for t in texts]
        return {"bool": {"should": [
            {"match_none": {}} if text is None else {"prefix": {"modified": text}} for text in cut
        ]}}  # fmt: skip
    (text,) = texts
    end = text + _LAST if _DATE.fullmatch(text) else text
    bounds = {"<": {"lt": text}, "<=": {"lte": end}, ">": {"gt": end}, ">=": {"gte": text}}
    return {"range": {"modified": bounds[condition.operator]}}


def _glob(pattern: str) -> Query:
    """A shell glob, in which `*` crosses `/`, as a query on paths."""
    if "[" not in pattern:
        return {"wildcard": {"path": {"value": pattern.replace("\\", "\\\\")}}}
    made, i = "", 0
    while i < len(pattern):
        end = pattern.find("]", i + 2)
        if pattern[i] == "[" and end > 0:
            inner = re.sub(r"([\\\[\]\"&~])", r"\\\1", pattern[i + 1 : end])
            made += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
            i = end
        elif pattern[i] in "*?":
            made += ".*" if pattern[i] == "*" else "."
        else:
            made += _literal(pattern[i])
        i += 1
    return {"regexp": {"path": {"value": made, "flags": "NONE"}}}


def _literal(text: str) -> str:
    """A text in Lucene's regular expressions."""
    return re.sub(r'([.?+*|{}\[\]()"\\#@&<>~^$-])', r"\\\1", text)


def _parts(values: Sequence[Any], size: int) -> list[list[Any]]:
    return [list(values[i : i + size]) for i in range(0, len(values), size)]
