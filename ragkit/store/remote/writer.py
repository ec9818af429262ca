"""The one writer of an index on a cluster: what changes, and in which order.

Rows are sent as a run goes on, with the number of the commit to come, and no reader sees them. A
commit refreshes the indexes and then puts a new manifest in the old one's place; that alone makes
the rows visible, all at once. docs/opensearch.md tells why a kill at any point does no harm.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import IndexMismatchError, StoreError
from ragkit.records import NO_RULES, make_chunk_id, make_doc_id
from ragkit.store.relocation import is_below, moved_location, moved_place
from ragkit.store.remote.history import Changes, let_go, now_text
from ragkit.store.remote.layout import control_index, vectors_index
from ragkit.store.remote.manifest import Run
from ragkit.store.remote.rows import (
    Version,
    chunk_source,
    decode_row,
    encode_row,
    line,
    read_chunk,
    row_id,
    scalars,
    to_rows,
    version_source,
    with_vector,
)
from ragkit.store.remote.snapshot import PAGE, RemoteSnapshot
from ragkit.store.remote.sweeping import refresh, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ragkit.protocols import Vectors
    from ragkit.records import Chunk, Decision, Document, SourceRules
    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.manifest import Manifest, ManifestFile, RemoteBuild

_Given: TypeAlias = "tuple[Document, int, Sequence[Chunk], Sequence[bytes]]"
"""A document as a run adds it: without text, with the text's length, its chunks and their keys."""

_log = logging.getLogger(__name__)

FLUSHED_CHUNKS = 500
"""Chunks that are gathered before they are sent."""

BULK_BYTES = 8_000_000
_DIES = """
if (ctx._source.died == null || ctx._source.died < params.died) {
  ctx._source.died = params.died
} else {
  ctx.op = "none"
}
"""
_KEYS_A_REQUEST = 1_000


@dataclass(slots=True)
class _Gathered:
    """What a run has not sent yet.

    ``fetched`` are vectors of the cache that were read and will be needed.
    """

    vectors: dict[bytes, bytes] = field(default_factory=dict)
    fetched: dict[bytes, bytes] = field(default_factory=dict)
    documents: dict[str, _Given] = field(default_factory=dict)
    dying: list[str] = field(default_factory=list)

    @property
    def chunks(self) -> int:
        return sum(len(chunks) for _, _, chunks, _ in self.documents.values())


@dataclass(slots=True)
class _Seen:
    """What a run did to documents: ``born`` by it and alive; ``gone`` is what lived before."""

    born: dict[str, Version] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


class RemoteWriter:
    """A run that changes an index; satisfies `ragkit.protocols.StoreWriter`.

    The caller holds the lease, and has put its token into the manifest.

    Args:
        cluster: The nodes.
        file: The manifest's place.
        placed: The manifest, and its place.
        command: What runs, for the list of generations.
        build: The build to write to.
        is_last: Whether the token is given back with the last commit.
    """

    def __init__(
        self,
        cluster: Cluster,
        file: ManifestFile,
        placed: tuple[Manifest, tuple[int, int]],
        *,
        command: str,
        build: int,
        is_last: bool = True,
    ) -> None:
        self._cluster, self._file = cluster, file
        self._done, self._place = placed
        self._next = self._done
        self._command, self._build, self._is_last = command, build, is_last
        self.generation = self._done.last_generation + 1
        self.commits = self._done.commits
        self._begun = RemoteSnapshot(cluster, self._done, self._done.builds[build])
        self._gathered, self._seen = _Gathered(), _Seen()
        self._started_at = now_text()
        self._report: dict[str, Any] | None = None
        self._stale: dict[str, str] | None = None
        self._is_broken = self._is_changed = self._was_sent = False

    # Vectors -----------------------------------------------------------------------------------

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The cache keys whose vector is stored already, this run's own included."""
        own = self._gathered
        asked = [key for key in keys if key not in own.vectors and key not in own.fetched]
        fetched = cached_rows(self._cluster, asked)
        own.fetched.update(fetched)
        if fetched and self._current.waits:
            self._bring_known(fetched)
        return {key for key in keys if key in own.vectors or key in own.fetched}

    def _bring_known(self, rows: Mapping[bytes, bytes]) -> None:
        """Give vectors to chunks that wait for them since a run was killed before its commit."""
        now = self._unfinished()
        query = waiting_query(now)
        query["bool"]["filter"].append({"terms": {"key": [key.hex() for key in rows]}})
        if now.count(now.chunks_index, query):
            with self._changing():
                self._was_sent = True
                self._bring(rows)

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors, float32 (len(keys), dim), unit rows, under keys that are not known."""
        if not keys:
            return
        with self._changing():
            dim = self._current.dim
            if vectors.shape[1] != dim:
                given = str(vectors.shape[1])
                msg = (
                    f"the vectors have {given} dimensions and the index {self._cluster.location} "
                    f"has {dim}"
                )
                raise IndexMismatchError(msg, self._cluster.location, stored=str(dim), given=given)
            self._gathered.vectors.update(zip(keys, to_rows(vectors), strict=True))
            if len(self._gathered.vectors) >= FLUSHED_CHUNKS:
                self._flush()

    # Documents ---------------------------------------------------------------------------------

    def add(self, document: Document, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        """Replace a document and its chunks; one whose key is not known has no vector yet."""
        with self._changing():
            if self._current.embedder:
                list(zip(chunks, keys, strict=True))
            self._add(document, len(document.text), chunks, keys)

    def _add(
        self, document: Document, chars: int, chunks: Sequence[Chunk], keys: Sequence[bytes]
    ) -> None:
        self._set_stale(document.doc_id, None)
        self._gathered.documents[document.doc_id] = (document, chars, chunks, keys)
        names = {name for name, _ in scalars(document)}
        if not names <= set(self._next.fields):
            self._next = replace(self._next, fields=tuple(sorted(names.union(self._next.fields))))
        if self._gathered.chunks >= FLUSHED_CHUNKS or len(self._gathered.documents) >= PAGE:
            self._flush()

    def remove(self, doc_ids: Sequence[str]) -> int:
        """Remove documents; unknown ids are passed over. Returns how many there were."""
        wanted = list(dict.fromkeys(doc_ids))
        stored = self._stored(wanted)
        there = [d for d in wanted if d in stored or d in self._gathered.documents]
        if not there:
            return 0
        with self._changing():
            for doc_id in there:
                self._gathered.documents.pop(doc_id, None)
                self._set_stale(doc_id, None)
            self._retire({d: stored[d] for d in there if d in stored})
        return len(there)

    def _stored(self, doc_ids: Iterable[str]) -> dict[str, Version]:
        """The versions of documents that live now and were sent."""
        asked = list(doc_ids)
        found = {d: self._seen.born[d] for d in asked if d in self._seen.born}
        older = [d for d in asked if d not in found and d not in self._seen.gone]
        return found | self._begun.living(older)

    def _retire(self, versions: Mapping[str, Version]) -> None:
        for doc_id, version in versions.items():
            self._seen.born.pop(doc_id, None)
            self._seen.gone.add(doc_id)
            self._gathered.dying.append(version.id)

    def move(self, old: str, new: str) -> int:
        """Give documents a new place; see `ragkit.protocols.StoreWriter.move`."""
        self._refuse_if_broken()
        if self._is_changed:
            with self._changing():
                self._flush()
                refresh(self._cluster, self._build)
        now = self._unfinished()
        rows = list(now.scan(now.documents_index, now.alive_versions(), "version"))
        living = [now.versions([row["_id"]])[row["_id"]] for row in rows]
        roots = {v.document.root for v in living}
        moving = [
            (v, place)
            for v in living
            if (place := moved_place((v.document.root, v.document.path), old, new, roots=roots))
        ]
        there = {v.document.doc_id for v in living}
        for version, place in moving:
            with self._changing():
                self._move(now, version, place, there=there)
        self._move_sources(old, new)
        return len(moving)

    def _move(
        self, now: RemoteSnapshot, version: Version, place: tuple[str, str], *, there: set[str]
    ) -> None:
        d = version.document
        title = d.title
        if title == PurePosixPath(d.path).stem:  # it is named after its file, which may be renamed
            title = PurePosixPath(place[1]).stem
        moved = replace(d, doc_id=make_doc_id(*place), root=place[0], path=place[1], title=title)
        stale = self._stale_reasons().get(d.doc_id)
        self._set_stale(d.doc_id, None)
        self._retire({d.doc_id: version})
        if moved.doc_id in there or moved.doc_id in self._gathered.documents:
            return
        chunks, keys = [], []
        query = {"term": {"version": version.version}}
        for row in now.scan(now.chunks_index, query, "number"):
            source = row["_source"]
            chunk = read_chunk(source, version, self._cluster.location)
            chunk_id = make_chunk_id(moved.doc_id, chunk.start, chunk.end, chunk.text)
            chunks.append(replace(chunk, doc_id=moved.doc_id, chunk_id=chunk_id))
            keys.append(bytes.fromhex(source.get("key", "")))
            vector = decode_row(source["row"]) if "row" in source else None
            if vector is not None:
                self._gathered.fetched[keys[-1]] = vector
        self._add(moved, version.chars, chunks, keys)
        if stale is not None:
            self._set_stale(moved.doc_id, stale)

    def _move_sources(self, old: str, new: str) -> None:
        sources = {moved_location(s, old, new): rules for s, rules in self._next.sources.items()}
        decisions = {
            moved_location(location, old, new) if is_below(location, old) else location: what
            for location, what in self._next.decisions.items()
        }
        if (sources, decisions) != (self._next.sources, self._next.decisions):
            with self._changing():
                self._next = replace(self._next, sources=sources, decisions=decisions)

    def mark_stale(self, doc_id: str, reason: str | None) -> None:
        """Note that a document's newer content could not be loaded; None takes it back."""
        self._refuse_if_broken()
        if self._stale_reasons().get(doc_id) == reason:
            return
        if doc_id in self._gathered.documents or self._stored([doc_id]):
            with self._changing():
                self._set_stale(doc_id, reason)

    def _set_stale(self, doc_id: str, reason: str | None) -> None:
        reasons = dict(self._stale_reasons())
        before = reasons.pop(doc_id, None)
        if reason is not None:
            reasons[doc_id] = reason
        if before != reason:
            self._stale = reasons
            self._next = replace(self._next, stale="changed" if reasons else "")

    def _stale_reasons(self) -> dict[str, str]:
        if self._stale is None:
            self._stale = self._begun.stale()
        return self._stale

    # What stands beside the documents -----------------------------------------------------------

    def ask_for(self, sources: Sequence[str], rules: Mapping[str, SourceRules] = NO_RULES) -> None:
        """Note what the index is about; see `ragkit.protocols.StoreWriter.ask_for`."""
        stored = self._next.sources
        none: dict[str, list[str]] = {"include": [], "exclude": []}
        wanted = {
            s: _rules_json(rules[s]) if s in rules else stored.get(s, none)
            for s in sorted(set(sources))
        }
        if stored != wanted:
            with self._changing():
                self._next = replace(self._next, sources=wanted)

    def decide(self, locations: Sequence[str], decision: Decision | None) -> None:
        """Note what a person decided; see `ragkit.protocols.StoreWriter.decide`."""
        decided = {k: v for k, v in self._next.decisions.items() if k not in locations}
        if decision:
            decided |= dict.fromkeys(locations, decision)
        if decided != self._next.decisions:
            with self._changing():
                self._next = replace(self._next, decisions=decided)

    def account(self, report: Mapping[str, Any]) -> None:
        """Keep the run's account with its generation, if it opened one."""
        if self._has_generation:
            with self._changing():
                self._report = dict(report)

    def retain(self, *, last: int, days: int) -> int:
        """Keep the newest generations alone; see `ragkit.protocols.StoreWriter.retain`."""
        if not self._has_generation:
            return 0
        with self._changing():
            self._next, gone = let_go(self._next, self._run(), last=last, days=days)
            return gone

    # Commits -----------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make everything so far visible; nothing to do where nothing was written."""
        self._refuse_if_broken()
        if self._is_changed:
            with self._changing():
                self._commit(self._run())

    def close(self, *, failed: bool) -> None:
        """End the run: commit and close the generation, or take back what was not committed."""
        if failed or self._is_broken:
            self._take_back()
            if not failed:
                raise StoreError(self._broken_message(), self._cluster.location)
            return
        had = self._has_generation  # before this step counts as one
        with self._changing():
            if had:
                self._commit(replace(self._run(), state="closed", finished_at=now_text()))
            elif self._is_last:
                self._replace(replace(self._done, token=""))

    @property
    def _has_generation(self) -> bool:
        return self._is_changed or any(run.id == self.generation for run in self._done.runs)

    @property
    def _current(self) -> RemoteBuild:
        return self._next.builds[self._build]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One step of the run. After one that failed halfway nothing more is committed."""
        self._refuse_if_broken()
        changed, self._is_changed = self._is_changed, True
        try:
            yield
        except BaseException:
            self._is_broken, self._is_changed = True, changed
            raise

    def _refuse_if_broken(self) -> None:
        if self._is_broken:
            raise StoreError(self._broken_message(), self._cluster.location)

    def _broken_message(self) -> str:
        return (
            f"{self._cluster.location}: a step of this run failed, so it can commit no more; what "
            "was committed before stays"
        )

    def _run(self) -> Run:
        """This run's generation as the next commit has it."""
        moment = self._next.next_moment
        for run in self._next.runs:
            if run.id == self.generation:
                return replace(run, last=moment)
        return Run(
            self.generation, self._build, self._command, self._started_at,
            first=self._done.next_moment, last=moment,
        )  # fmt: skip

    def _commit(self, run: Run) -> None:
        self._flush()
        refresh(self._cluster, self._build)
        moment = self._next.next_moment
        self._write_beside(moment)
        report = run.report
        if self._report is not None:
            report = f"report-{self.generation}-{moment}"
            self._write_control(report, {"report": self._report})
            self._report = None
        run = replace(run, report=report)
        made = replace(
            self._next, commits=self._next.commits + 1, moment=moment,
            last_generation=max(self._next.last_generation, self.generation),
        )  # fmt: skip
        if run.state == "closed":
            made = self._without_waiting(made)
            made = replace(made, token="" if self._is_last else made.token)
            run = replace(run, counts=Changes(self._cluster, made, self._current).counts(run))
        self._replace(made.with_run(run))

    def _write_beside(self, moment: int) -> None:
        if self._next.stale == "changed":
            name = f"stale-{moment}"
            self._write_control(name, {"reasons": self._stale_reasons()})
            self._next = replace(self._next, stale=name)

    def _without_waiting(self, made: Manifest) -> Manifest:
        """The manifest, with it noted if no chunk waits any more."""
        build = made.builds[self._build]
        if build.waits:
            now = RemoteSnapshot(self._cluster, made, build)
            waits = bool(now.count(now.chunks_index, waiting_query(now)))
            made = made.with_build(replace(build, waits=waits))
        return made

    def _write_control(self, name: str, source: dict[str, Any]) -> None:
        path = f"/{control_index(self._cluster.endpoint.name)}/_doc/{name}"
        self._cluster.send("PUT", path, source)

    def _replace(self, manifest: Manifest) -> None:
        self._place = self._file.replace(manifest, self._place)
        self._done = self._next = manifest
        self._is_changed = self._was_sent = False

    def _take_back(self) -> None:
        """Leave what was committed, and nothing else."""
        done, lost = self._done, []
        if self._was_sent:
            lost = [done.next_moment]
            done = replace(done, lost=(*done.lost, *lost))
        own = [run for run in done.runs if run.id == self.generation]
        try:
            for run in own:
                counts = Changes(self._cluster, done, done.builds[self._build]).counts(run)
                ended = replace(run, state="interrupted", finished_at=now_text(), counts=counts)
                done = replace(done.with_run(ended), commits=done.commits + 1)
            self._replace(replace(done, token="" if self._is_last else done.token))
            if lost:
                sweep(self._cluster, self._done, lost)
        except StoreError as exc:  # the next writer does it; the run's own error is what counts
            _log.warning("%s: nothing was taken back: %s", self._cluster.location, exc)

    # Sending -----------------------------------------------------------------------------------

    def _unfinished(self) -> RemoteSnapshot:
        """The index with what was sent for the next commit."""
        return RemoteSnapshot(
            self._cluster, self._next, self._current, moment=self._next.next_moment
        )

    def _flush(self) -> None:
        """Send what was gathered."""
        own, self._gathered = self._gathered, _Gathered()
        if not (own.vectors or own.documents or own.dying):
            return
        self._was_sent = True
        self._gathered.dying = own.dying
        stored = self._stored(own.documents)
        self._retire(stored)
        bulk = _Bulk(self._cluster)
        cache = vectors_index(self._cluster.endpoint.name)
        for key, row in own.vectors.items():
            bulk.index(cache, key.hex(), {"key": key.hex(), "row": encode_row(row)})
        bulk.send()
        if self._current.waits and own.vectors:
            self._bring(own.vectors)
        rows = own.fetched | own.vectors
        wanted = {key for _, _, _, keys in own.documents.values() for key in keys if key}
        rows |= cached_rows(self._cluster, [key for key in wanted if key not in rows])
        for document in own.documents.values():
            self._send_document(bulk, document, rows)
        moment, index = self._next.next_moment, self._begun.documents_index
        for version in self._gathered.dying:
            bulk.let_die(index, version, moment)
        self._gathered.dying = []
        bulk.send()

    def _send_document(self, bulk: _Bulk, given: _Given, rows: Mapping[bytes, bytes]) -> None:
        document, chars, chunks, keys = given
        state, moment = self._next, self._next.next_moment
        version = Version(
            state.next_version, moment, len(chunks), chars, replace(document, text="")
        )
        build = state.builds[self._build]
        owned = list(keys) if build.embedder else [None] * len(chunks)
        for number, (chunk, key) in enumerate(zip(chunks, owned, strict=True), state.next_number):
            row = None if key is None else rows.get(key)
            build = replace(build, waits=build.waits or (key is not None and row is None))
            source = chunk_source(version, chunk, number, key=key, row=row)
            bulk.create(self._begun.chunks_index, row_id(moment, number), source)
        bulk.create(self._begun.documents_index, version.id, version_source(version))
        self._seen.born[document.doc_id] = version
        self._next = replace(
            state, next_version=state.next_version + 1,
            next_number=state.next_number + len(chunks),
        ).with_build(replace(build, chunks=build.chunks + len(chunks)))  # fmt: skip

    def _bring(self, vectors: Mapping[bytes, bytes]) -> None:
        """Give vectors to the chunks that wait for them."""
        refresh(self._cluster, self._build)
        now, bulk = self._unfinished(), _Bulk(self._cluster)
        keys = list(vectors)
        for i in range(0, len(keys), _KEYS_A_REQUEST):
            part = [key.hex() for key in keys[i : i + _KEYS_A_REQUEST]]
            query = {"bool": {
                "filter": [now.brought(), {"terms": {"key": part}}], "must_not": [now.embedded()],
            }}  # fmt: skip
            for row in now.scan(now.chunks_index, query, "number", places=True):
                source = row["_source"]
                changed = with_vector(source, vectors[bytes.fromhex(source["key"])], now.moment)
                place = (row["_seq_no"], row["_primary_term"])
                bulk.index(now.chunks_index, row["_id"], changed, place=place)
        bulk.send()


class _Bulk:
    """Gathers operations and sends many at once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lines: list[bytes] = []
        self._bytes = 0

    def index(
        self, index: str, name: str, source: Mapping[str, Any],
        *, place: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Write a row, if `place` is given only where it is as it was read."""
        action: dict[str, Any] = {"_index": index, "_id": name}
        if place is not None:
            action |= {"if_seq_no": place[0], "if_primary_term": place[1]}
        self._add(line({"index": action}), line(source))

    def create(self, index: str, name: str, source: Mapping[str, Any]) -> None:
        """Write a row unless it is there: it was sent before, and may have been changed since."""
        self._add(line({"create": {"_index": index, "_id": name}}), line(source))

    def let_die(self, index: str, name: str, moment: int) -> None:
        """Note when a version died, unless a later commit did: this may arrive long after it."""
        script = {"source": _DIES, "params": {"died": moment}}
        self._add(line({"update": {"_index": index, "_id": name}}), line({"script": script}))

    def _add(self, *lines: bytes) -> None:
        self._lines += lines
        self._bytes += sum(map(len, lines))
        if self._bytes >= BULK_BYTES:
            self.send()

    def send(self) -> None:
        """Send what was gathered."""
        if self._lines:
            self._cluster.bulk(self._lines, conflicts=True)
        self._lines, self._bytes = [], 0


def cached_rows(cluster: Cluster, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """The vectors that the embedding cache has, float16; damaged ones are left out."""
    found = {}
    path = f"/{vectors_index(cluster.endpoint.name)}/_mget"
    distinct = list(dict.fromkeys(keys))
    for i in range(0, len(distinct), _KEYS_A_REQUEST):
        part = [key.hex() for key in distinct[i : i + _KEYS_A_REQUEST]]
        _, reply = cluster.send("POST", path, {"ids": part})
        for row in reply["docs"]:
            stored = decode_row(row["_source"]["row"]) if row.get("found") else None
            if stored is not None:
                found[bytes.fromhex(row["_id"])] = stored
    return found


def waiting_query(now: RemoteSnapshot) -> dict[str, Any]:
    """The living chunks that wait for a vector."""
    query = now.alive_chunks([{"exists": {"field": "key"}}])
    query["bool"]["must_not"] = [*query["bool"]["must_not"], now.embedded()]
    return query


def _rules_json(rules: SourceRules) -> dict[str, list[str]]:
    return {name: list(globs) for name, globs in asdict(rules).items()}
