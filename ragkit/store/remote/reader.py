"""What a search finds on a cluster; the ranking is `ragkit.store.ranking`'s, as for every store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import IndexChangedError, IndexMismatchError
from ragkit.store.remote.keywords import WordQuery
from ragkit.store.remote.manifest import no_such_generation
from ragkit.store.remote.rows import damaged, decode_row, from_row, make_hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Hit
    from ragkit.store.remote.manifest import Manifest, RemoteBuild
    from ragkit.store.remote.snapshot import Query, RemoteSnapshot
    from ragkit.store.remote.view import View

EXACT_CHUNKS = 10_000
"""Up to so many chunks a search compares all vectors; of more it walks the engine's graph."""

# Further neighbours that are looked for: a walk that looks for more misses fewer of the nearest.
_SPARE = 260


def check_request(
    request: SearchRequest, manifest: Manifest, build: RemoteBuild, location: str
) -> View:
    """See that a request fits; returns which commits it looks at.

    Raises:
        IndexChangedError: The index has another embedder than the request's.
        IndexMismatchError: The vector's length is not the index's.
        StoreError: `as_of` is no closed generation.
    """
    if request.vector is not None:
        if request.embedder is not None and dict(request.embedder) != build.embedder:
            msg = f"{location} was rebuilt with another embedder; embed the question anew"
            raise IndexChangedError(msg, location)
        if request.vector.shape != (build.dim,):
            given = str(request.vector.shape[-1])
            msg = (
                f"the question's vector has {given} dimensions and the index {location} has "
                f"{build.dim}: it was built with another embedder"
            )
            raise IndexMismatchError(msg, location, stored=str(build.dim), given=given)
    if request.as_of is None:
        return manifest.view()
    closed = {run.id: run for run in manifest.closed(build.id)}
    if request.as_of not in closed:
        raise no_such_generation(manifest, build.id, request.as_of, location)
    return manifest.view_of(closed[request.as_of])


class RemoteCandidates:
    """What one request finds; satisfies `ragkit.store.ranking.Candidates`.

    Chunks are named by their numbers.
    """

    def __init__(self, request: SearchRequest, snapshot: RemoteSnapshot) -> None:
        self._request, self._snapshot = request, snapshot
        self._clauses = snapshot.clauses(request.filter)
        self._question = WordQuery(request.text)
        self._ids: dict[int, str] = {}

    def nearest(self, count: int) -> dict[int, float]:
        """The nearest chunks; see `Candidates.nearest`."""
        if self._request.vector is None or not self._snapshot.build.chunks:
            return {}
        found = self._snapshot.search(self._snapshot.chunks_index, self._near(count))
        return self._cosines_of(found, count)

    def matching(self, count: int) -> tuple[dict[int, float], float]:
        """The chunks that share words; see `Candidates.matching`."""
        if not self._question or not self._snapshot.build.chunks:
            return {}, 0.0
        counted = self._snapshot.search(self._snapshot.chunks_index, self._question.count_request())
        return self._scored(counted, count)

    def both(self, count: int) -> tuple[dict[int, float], tuple[dict[int, float], float]]:
        """Both with two requests; see `Candidates.both`."""
        if self._request.vector is None or not self._question or not self._snapshot.build.chunks:
            return self.nearest(count), self.matching(count)
        near, counted = self._snapshot.searches(
            self._snapshot.chunks_index, [self._near(count), self._question.count_request()]
        )
        return self._cosines_of(near, count), self._scored(counted, count)

    def cosines(self, chunks: Sequence[int]) -> dict[int, float]:
        """The cosines of some chunks, those without a vector left out."""
        if self._request.vector is None or not chunks:
            return {}
        among = [{"terms": {"number": list(chunks)}}]
        found = self._snapshot.search(self._snapshot.chunks_index, self._exact(len(chunks), among))
        return self._cosines_of(found, len(chunks))

    def rows(self, chunks: Sequence[int]) -> Vectors:
        """The vectors of some chunks; zeros where there is none."""
        rows = np.zeros((len(chunks), self._snapshot.build.dim), np.float32)
        ids = [self._ids[chunk] for chunk in chunks]
        found = self._snapshot.rows(self._snapshot.chunks_index, ids, source=["row"])
        for i, chunk in enumerate(ids):
            if "row" in found[chunk]:
                row = decode_row(found[chunk]["row"])
                if row is None:
                    raise damaged(self._snapshot.location, "row-checksum", f"of chunk {chunk}")
                rows[i] = from_row(row)
        return rows

    def hits(self, chunks: Sequence[int]) -> dict[int, Hit]:
        """Complete hits but for rank, score and ranks."""
        ids = [self._ids[chunk] for chunk in chunks]
        found = fetch_hits(self._snapshot, ids)
        return {chunk: found[i] for chunk, i in zip(chunks, ids, strict=True)}

    def _near(self, count: int) -> Query:
        if self._snapshot.build.chunks <= EXACT_CHUNKS:
            return self._exact(count, [])
        assert self._request.vector is not None  # noqa: S101 -- for mypy; callers look
        near = {
            "vector": self._request.vector.tolist(), "k": count + _SPARE,
            "filter": self._findable([self._snapshot.embedded()]),
        }  # fmt: skip
        return _asked({"knn": {"vector": near}}, count + _SPARE)

    def _exact(self, count: int, clauses: Sequence[Query]) -> Query:
        """The chunks with the best inner products, computed for each."""
        assert self._request.vector is not None  # noqa: S101 -- for mypy; callers look
        script = {"lang": "knn", "source": "knn_score", "params": {
            "field": "vector", "query_value": self._request.vector.tolist(),
            "space_type": "innerproduct",
        }}  # fmt: skip
        findable = self._findable([self._snapshot.embedded(), *clauses])
        return _asked({"script_score": {"query": findable, "script": script}}, count)

    def _findable(self, clauses: Sequence[Query]) -> Query:
        return self._snapshot.alive_chunks([*clauses, *self._clauses])

    def _scored(self, counted: dict[str, Any], count: int) -> tuple[dict[int, float], float]:
        scored, reach = self._question.scored(counted)
        if scored is None:
            return {}, reach
        query = self._findable([])
        query["bool"]["must"] = [scored]
        found = self._snapshot.search(self._snapshot.chunks_index, _asked(query, count), words=True)
        return self._scores_of(found), reach

    def _scores_of(self, found: dict[str, Any]) -> dict[int, float]:
        scores = {}
        for row in found["hits"]["hits"]:
            score, number = row["sort"]
            self._ids[number] = row["_id"]
            scores[number] = float(score)
        return scores

    def _cosines_of(self, found: dict[str, Any], count: int) -> dict[int, float]:
        cosines = {number: _cosine(s) for number, s in self._scores_of(found).items()}
        order = sorted(cosines, key=lambda number: (-cosines[number], number))[:count]
        return {number: cosines[number] for number in order}


def fetch_hits(snapshot: RemoteSnapshot, ids: Sequence[str]) -> dict[str, Hit]:
    """Chunks by the ids of their rows, as hits without rank and score, in the order given."""
    excluded = {"excludes": ["row", "facts"]}
    rows = snapshot.rows(snapshot.chunks_index, ids, source=excluded)
    return make_hits(snapshot, {i: rows[i] for i in ids})


def make_hits(snapshot: RemoteSnapshot, rows: dict[str, dict[str, Any]]) -> dict[str, Hit]:
    """Chunks as hits without rank and score."""
    versions = snapshot.versions(row["document"] for row in rows.values())
    return {
        i: make_hit(row, versions[row["document"]], snapshot.location) for i, row in rows.items()
    }


def _asked(query: Query, count: int) -> Query:
    return {
        "size": count, "query": query, "_source": False, "track_total_hits": False,
        "sort": ["_score", {"number": "asc"}],
    }  # fmt: skip


def _cosine(score: float) -> float:
    """What the engine's score of an inner product stands for, in [-1, 1]."""
    product = score - 1 if score >= 1 else 1 - 1 / score
    return max(-1.0, min(1.0, product))
