"""A writer of an index on a cluster: what changes, and in which order.

Rows are sent as a run goes on, with the number of the commit to come, and no reader sees them. A
commit refreshes the indexes and then puts a new manifest in the old one's place; that alone makes
the rows visible, all at once. Other writers may do the same with other roots.
docs/opensearch.md tells why a kill at any point does no harm.
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
from ragkit.store.remote.bulks import BulkSender
from ragkit.store.remote.history import Changes, let_go, now_text
from ragkit.store.remote.layout import control_index, vectors_index
from ragkit.store.remote.manifest import Run
from ragkit.store.remote.rows import (
    Version,
    chunk_source,
    decode_row,
    encode_row,
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
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ragkit.protocols import Vectors
    from ragkit.records import Chunk, Decision, Document, SourceRules
    from ragkit.store.remote.cluster import Cluster
    from ragkit.store.remote.lease import Lease
    from ragkit.store.remote.manifest import Manifest, RemoteBuild

_Given: TypeAlias = "tuple[Document, int, Sequence[Chunk], Sequence[bytes]]"
"""A document as a run adds it: without text, with the text's length, its chunks and their keys."""

_log = logging.getLogger(__name__)

FLUSHED_CHUNKS = 500
"""Chunks that are gathered before they are sent."""

MOST_SENT = 4 * FLUSHED_CHUNKS
"""Vectors that are kept until it is known that the cluster has them."""

_KEYS_A_REQUEST = 1_000
_NUMBERS = 2**28  # for the chunks of one commit, and for the versions of documents


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
    """What a run did to documents: ``born`` by it and alive; ``gone`` is what lived before.

    ``was_stale`` are those that were stale, once that was read; ``stale`` those that it noted as
    stale, with the reason, or as no longer so.
    """

    born: dict[str, Version] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    was_stale: dict[str, str] | None = None
    stale: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Sent:
    """What was sent for the next commit, whose number is `moment`.

    ``vectors`` are those that the cluster may not have yet.
    """

    moment: int
    versions: int = 0
    chunks: int = 0
    anything: bool = False
    vectors: dict[bytes, bytes] = field(default_factory=dict)


class RemoteWriter:
    """A run that changes an index; satisfies `ragkit.protocols.StoreWriter`.

    Args:
        cluster: The nodes.
        lease: Held by the caller.
        command: What runs, for the list of generations.
        build: The build to write to.
        is_last: Whether the lease ends with the last commit.
    """

    def __init__(
        self, cluster: Cluster, lease: Lease, *, command: str, build: int, is_last: bool = True
    ) -> None:
        self._cluster, self._lease = cluster, lease
        self._next = lease.manifest
        self._command, self._build, self._is_last = command, build, is_last
        known = {run.id for run in self._next.runs}
        is_new = lease.grant.generation not in known  # else of an earlier run of the same lease
        self.generation = lease.grant.generation if is_new else self._next.next_generation
        self.commits = self._next.commits
        self._begun = RemoteSnapshot(cluster, self._next, self._next.builds[build])
        self._gathered, self._seen = _Gathered(), _Seen()
        self._sent = _Sent(lease.grant.moment)
        self._sender = BulkSender(cluster)
        self._started_at = now_text()
        self._report: dict[str, Any] | None = None
        self._retention: dict[str, int] | None = None
        self._is_broken = self._is_changed = False

    @property
    def roots(self) -> tuple[str, ...] | None:
        """The roots whose documents it may change; None: all."""
        return self._lease.grant.roots

    # Vectors -----------------------------------------------------------------------------------

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The cache keys whose vector is stored already, this run's own included."""
        own, sent = self._gathered, self._sent.vectors
        ours = {key for key in keys if key in own.vectors or key in own.fetched or key in sent}
        fetched = cached_rows(self._cluster, [key for key in keys if key not in ours])
        own.fetched.update(fetched)
        if fetched and self._current.waits:
            self._bring_known(fetched)
        return ours | fetched.keys()

    def _bring_known(self, rows: Mapping[bytes, bytes]) -> None:
        """Give vectors to chunks that wait for them since a run was killed before its commit."""
        now = self._unfinished()
        query = waiting_query(now)
        query["bool"]["filter"].append({"terms": {"key": [key.hex() for key in rows]}})
        if now.count(now.chunks_index, query):
            with self._changing():
                self._sent.anything = True
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
            self._require_ours(document.root)
            if self._current.embedder:
                list(zip(chunks, keys, strict=True))
            self._add(document, len(document.text), chunks, keys)

    def _require_ours(self, root: str) -> None:
        """Refuse what another writer may be changing."""
        if not self._lease.grant.covers(root):
            msg = f"{self._cluster.location}: this run is not of {root}"
            raise StoreError(msg, self._cluster.location)

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
            self._require_ours(version.document.root)
            self._seen.born.pop(doc_id, None)
            self._seen.gone.add(doc_id)
            self._gathered.dying.append(version.id)

    def move(self, old: str, new: str) -> int:
        """Give documents a new place; see `ragkit.protocols.StoreWriter.move`."""
        self._refuse_if_broken()
        if self._is_changed:
            with self._changing():
                self._flush()
                self._settle()
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
        if self._stale_reasons().get(doc_id) != reason:
            self._seen.stale[doc_id] = reason

    def _stale_reasons(self) -> dict[str, str]:
        if self._seen.was_stale is None:
            self._seen.was_stale = self._begun.stale()
        return _with_changes(self._seen.was_stale, self._seen.stale)

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
            self._retention = {"last": last, "days": days}
            manifest = self._lease.manifest
            return let_go(manifest, self._run(manifest), last=last, days=days)[1]

    # Commits -----------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make everything so far visible; nothing to do where nothing was written."""
        self._refuse_if_broken()
        if self._is_changed:
            with self._changing():
                self._commit()

    def close(self, *, failed: bool) -> None:
        """End the run: commit and close the generation, or take back what was not committed."""
        try:
            if failed or self._is_broken:
                self._take_back()
                if not failed:
                    raise StoreError(self._broken_message(), self._cluster.location)
                return
            had = self._has_generation  # before this step counts as one
            with self._changing():
                if had:
                    self._commit(closes=True)
                elif self._is_last:
                    self._lease.commit(self._next, ends=True)
        finally:
            self._sender.close()

    @property
    def _has_generation(self) -> bool:
        return self._is_changed or any(
            run.id == self.generation for run in self._lease.manifest.runs
        )

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

    def _run(self, manifest: Manifest) -> Run:
        """This run's generation as a commit on top of a manifest has it."""
        seen = manifest.view(self._sent.moment)
        run = next((run for run in manifest.runs if run.id == self.generation), None)
        if run is None:
            run = Run(
                self.generation, self._build, self._command, self._started_at,
                first=self._sent.moment, last=0, roots=self.roots,
                writer=self._lease.grant.writer,
            )  # fmt: skip
        without = tuple(sorted(seen.without - set(manifest.lost)))
        return replace(run, last=seen.moment, without=without, commit=manifest.commits + 1)

    def _commit(self, *, closes: bool = False) -> None:
        self._flush()
        self._settle()
        counts: dict[str, int] = {}

        def finish(manifest: Manifest) -> Manifest:
            run = replace(self._run(manifest), report=self._kept_report(manifest))
            made = replace(
                manifest, commits=run.commit, moment=run.last, stale=self._kept_stale(manifest),
                last_generation=max(manifest.last_generation, self.generation),
            )  # fmt: skip
            if closes:
                made = self._without_waiting(made)
                run = replace(run, state="closed", finished_at=now_text())
                counts.update(counts or Changes(self._cluster, made, self._current).counts(run))
                run = replace(run, counts=counts)
            made = made.with_run(run)
            return let_go(made, run, **self._retention)[0] if self._retention else made

        self._put(finish, ends=closes and self._is_last)
        self._report = None

    def _kept_report(self, manifest: Manifest) -> str | None:
        """Write the run's account, if there is a new one; returns the name of what has it."""
        if self._report is None:
            return self._run(manifest).report
        name = f"report-{self.generation}-{self._sent.moment}"
        self._write_control(name, {"report": self._report})
        return name

    def _kept_stale(self, manifest: Manifest) -> str:
        """Write the list of stale documents, if it changed; returns the name of what has it."""
        if not self._seen.stale:
            return manifest.stale
        before = RemoteSnapshot(self._cluster, manifest, self._current).stale()
        reasons = _with_changes(before, self._seen.stale)
        if reasons == before:
            return manifest.stale
        if not reasons:
            return ""
        name = f"stale-{self._sent.moment}-{manifest.commits}"
        self._write_control(name, {"reasons": reasons})
        return name

    def _without_waiting(self, made: Manifest) -> Manifest:
        """The manifest, with it noted if no chunk waits any more; other writers may add some."""
        build = made.builds[self._build]
        if build.waits and {grant.token for grant in made.grants} <= {self._lease.token}:
            view = made.view(self._sent.moment)
            now = RemoteSnapshot(self._cluster, made, build, view=view)
            waits = bool(now.count(now.chunks_index, waiting_query(now)))
            made = made.with_build(replace(build, waits=waits))
        return made

    def _write_control(self, name: str, source: dict[str, Any]) -> None:
        path = f"/{control_index(self._cluster.endpoint.name)}/_doc/{name}"
        self._cluster.send("PUT", path, source)

    def _put(
        self,
        finish: Callable[[Manifest], Manifest],
        *,
        ends: bool,
        gives_up: bool = False,
    ) -> None:
        """Put the manifest in place, and begin the next commit."""
        self._lease.commit(self._next, gives_up=gives_up, ends=ends, finish=finish)
        self._next = self._lease.manifest
        self._sent = _Sent(self._lease.grant.moment)
        self._is_changed = False

    def _take_back(self) -> None:
        """Leave what was committed, and nothing else."""
        self._sender.close()
        given_up = self._sent.moment
        was_sent = self._sent.anything
        self._next = self._lease.manifest

        def finish(manifest: Manifest) -> Manifest:
            lost = (*manifest.lost, given_up) if was_sent else manifest.lost
            seen = replace(manifest, lost=lost)
            for run in (run for run in manifest.runs if run.id == self.generation):
                counts = Changes(self._cluster, seen, seen.builds[self._build]).counts(run)
                ended = replace(run, state="interrupted", finished_at=now_text(), counts=counts)
                manifest = replace(manifest.with_run(ended), commits=manifest.commits + 1)
            return manifest

        try:
            self._put(finish, gives_up=was_sent, ends=self._is_last)
            if was_sent and given_up in self._next.lost:
                sweep(self._cluster, self._next, [given_up])
            elif was_sent and self._lease.is_held:  # its commit was carried out, unanswered
                was_sent = False
                self._put(finish, ends=self._is_last)
        except StoreError as exc:  # the next writer does it; the run's own error is what counts
            _log.warning("%s: nothing was taken back: %s", self._cluster.location, exc)

    # Sending -----------------------------------------------------------------------------------

    def _unfinished(self) -> RemoteSnapshot:
        """The index with what was sent for the next commit."""
        view = self._next.view(self._sent.moment)
        return RemoteSnapshot(self._cluster, self._next, self._current, view=view)

    def _settle(self) -> None:
        """Let searches see all that was sent."""
        self._drain()
        refresh(self._cluster, self._build)

    def _drain(self) -> None:
        self._sender.drain()
        self._sent.vectors.clear()

    def _flush(self) -> None:
        """Send what was gathered."""
        own, self._gathered = self._gathered, _Gathered()
        if not (own.vectors or own.documents or own.dying):
            return
        self._sent.anything = True
        self._gathered.dying = own.dying
        self._retire(self._stored(own.documents))
        cache = vectors_index(self._cluster.endpoint.name)
        for key, row in own.vectors.items():
            self._sender.index(cache, key.hex(), {"key": key.hex(), "row": encode_row(row)})
        if self._current.waits and own.vectors:
            self._bring(own.vectors)
        rows = self._rows_of(own)
        for document in own.documents.values():
            self._send_document(document, rows)
        self._send_deaths()
        self._sender.send()
        self._sent.vectors.update(own.vectors)
        if len(self._sent.vectors) > MOST_SENT:
            self._drain()

    def _rows_of(self, own: _Gathered) -> dict[bytes, bytes]:
        """The vectors of what was gathered, as far as they were made."""
        rows = self._sent.vectors | own.fetched | own.vectors
        wanted = {key for _, _, _, keys in own.documents.values() for key in keys if key}
        return rows | cached_rows(self._cluster, [key for key in wanted if key not in rows])

    def _send_deaths(self) -> None:
        moment, index = self._sent.moment, self._begun.documents_index
        dying, self._gathered.dying = self._gathered.dying, []
        if any(version.startswith(f"{moment}.") for version in dying):
            self._drain()  # what was created just now must be there to be changed
        for version in dying:
            self._sender.let_die(index, version, moment)

    def _send_document(self, given: _Given, rows: Mapping[bytes, bytes]) -> None:
        document, chars, chunks, keys = given
        moment, sent = self._sent.moment, self._sent
        if max(sent.versions + 1, sent.chunks + len(chunks)) >= _NUMBERS:
            msg = f"{self._cluster.location}: a commit takes up to {_NUMBERS - 1} passages"
            raise StoreError(msg, self._cluster.location)
        number = moment * _NUMBERS + sent.chunks
        version = Version(
            moment * _NUMBERS + sent.versions, moment, len(chunks), chars,
            replace(document, text=""),
        )  # fmt: skip
        build = self._next.builds[self._build]
        owned = list(keys) if build.embedder else [None] * len(chunks)
        for chunk, key in zip(chunks, owned, strict=True):
            row = None if key is None else rows.get(key)
            build = replace(build, waits=build.waits or (key is not None and row is None))
            source = chunk_source(version, chunk, number, key=key, row=row)
            self._sender.create(self._begun.chunks_index, row_id(moment, number), source)
            number += 1
        self._sender.create(self._begun.documents_index, version.id, version_source(version))
        self._seen.born[document.doc_id] = version
        sent.versions, sent.chunks = sent.versions + 1, sent.chunks + len(chunks)
        self._next = self._next.with_build(replace(build, chunks=build.chunks + len(chunks)))

    def _bring(self, vectors: Mapping[bytes, bytes]) -> None:
        """Give vectors to the chunks of this run's roots that wait for them."""
        self._settle()
        now = self._unfinished()
        keys = list(vectors)
        for i in range(0, len(keys), _KEYS_A_REQUEST):
            part = [key.hex() for key in keys[i : i + _KEYS_A_REQUEST]]
            query = {"bool": {
                "filter": [now.brought(), {"terms": {"key": part}}], "must_not": [now.embedded()],
            }}  # fmt: skip
            for row in self._ours(now, now.scan(now.chunks_index, query, "number", places=True)):
                source = row["_source"]
                vector = vectors[bytes.fromhex(source["key"])]
                changed = with_vector(source, vector, self._sent.moment)
                place = (row["_seq_no"], row["_primary_term"])
                self._sender.index(now.chunks_index, row["_id"], changed, place=place)

    def _ours(
        self, now: RemoteSnapshot, rows: Iterable[dict[str, Any]]
    ) -> Iterable[dict[str, Any]]:
        """Those of rows of chunks that are of this run's roots."""
        if self.roots is None:
            return rows
        rows = list(rows)
        owners = now.versions(row["_source"]["document"] for row in rows)
        covers = self._lease.grant.covers
        return [row for row in rows if covers(owners[row["_source"]["document"]].document.root)]


def cached_rows(cluster: Cluster, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """The vectors that the embedding cache has, float16; damaged ones are left out."""
    found = {}
    path = f"/{vectors_index(cluster.endpoint.name)}/_mget"
    distinct = list(dict.fromkeys(keys))
    for i in range(0, len(distinct), _KEYS_A_REQUEST):
        part = [key.hex() for key in distinct[i : i + _KEYS_A_REQUEST]]
        rows = cluster.get_many(path, {"ids": part})
        if rows is None:
            msg = "has no index of cached vectors, which belongs to it; restore a snapshot of it"
            raise cluster.failure(msg)
        for row in rows:
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


def _with_changes(reasons: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Why documents are stale, after changes, of which None takes a document out."""
    return {k: v for k, v in {**reasons, **changes}.items() if v is not None}
