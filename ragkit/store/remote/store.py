"""RemoteStore: an index on an OpenSearch cluster."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ragkit.errors import (
    IndexExistsError,
    IndexMismatchError,
    StoreError,
    UnsupportedByStoreError,
)
from ragkit.protocols import StoreStats
from ragkit.records import MODIFIED, Compaction, Erasure, SourceRules
from ragkit.store.ranking import ranked_hits
from ragkit.store.remote import compaction, history, layout
from ragkit.store.remote.check import check_health, check_rows
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import parse_endpoint, read_shards
from ragkit.store.remote.lease import LEASE_S, Lease, forget_beats, is_gone, relieve
from ragkit.store.remote.manifest import ManifestFile, RemoteBuild, first_manifest
from ragkit.store.remote.reader import RemoteCandidates, check_request, make_hits
from ragkit.store.remote.rows import (
    from_row,
    joined,
    line,
    read_chunk,
    read_info,
    read_version,
    with_vector,
    with_words,
)
from ragkit.store.remote.snapshot import PAGE, Kept, MissingIndexError, RemoteSnapshot
from ragkit.store.remote.sweeping import note_gone, refresh, sweep, sweep_gone
from ragkit.store.remote.writer import RemoteWriter, cached_rows, waiting_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ragkit.protocols import SearchRequest, Vectors, Violation
    from ragkit.records import (
        Chunk,
        Decision,
        Document,
        DocumentInfo,
        Generation,
        Hit,
        IndexChanges,
    )
    from ragkit.store.remote.manifest import Manifest
    from ragkit.store.remote.view import View

T = TypeVar("T")

WAITING_A_READ = 512
_NOTES = "notes"


class RemoteStore:
    """Satisfies `ragkit.protocols.VectorStore`; any number of programs may open one.

    Usage::

        store = RemoteStore("opensearch://host1,host2,host3/handbook")
        with store.writing("index") as writer: ...

    Threads may share it.

    Args:
        location: Its URL; `ragkit.store.remote.endpoint` has the form and the variables of access.
        rebuilding: The build to look at and to write to, and the lease that is held for that;
            None: the living one.
        lease_s: After how long without a sign of life a writer counts as gone.

    Raises:
        IndexNotFoundError: There is none.
        FormatVersionError: It was written by a newer ragkit.
        StoreError: No node answers, access is refused, or the name is another program's.
    """

    def __init__(
        self,
        location: str,
        *,
        rebuilding: tuple[int, Lease] | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._cluster = Cluster(parse_endpoint(location))
        self._rebuilding, self._lease_s = rebuilding, lease_s
        self._file = ManifestFile(self._cluster)
        self._kept = Kept()
        self._is_closed = False
        layout.require_ours(self._cluster)
        self._id = self._file.read().id

    @classmethod
    def create(
        cls, location: str, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any],
        lease_s: float = LEASE_S,
    ) -> RemoteStore:  # fmt: skip
        """Make an empty index.

        Raises:
            IndexExistsError: There is one already.
            InputError: The environment wants an impossible number of shards.
            StoreError: The name is another program's, or refused, or no node answers.
        """
        shards = read_shards()
        cluster = Cluster(parse_endpoint(location))
        if not layout.make_control(cluster):
            layout.require_ours(cluster)
        layout.make_cache(cluster, shards)
        manifest = first_manifest(embedder, splitter, shards)
        if ManifestFile(cluster).read_or_none() is None:
            layout.make_build(cluster, 1, manifest.builds[1].dim, shards)
            if ManifestFile(cluster).create(manifest):
                return cls(location, lease_s=lease_s)
        msg = f"there is an index at {location} already"
        raise IndexExistsError(msg, location)

    @property
    def location(self) -> str:
        """The index's URL."""
        return self._cluster.location

    @property
    def embedder(self) -> dict[str, Any]:
        """The record of the build's embedder; empty for an index without vectors."""
        return self._current(self._manifest()).embedder

    @property
    def splitter(self) -> dict[str, int]:
        """The settings that the build's chunks were made with."""
        return self._current(self._manifest()).splitter

    def generation(self) -> int:
        """The newest generation, 0 if nothing was ever written."""
        manifest = self._manifest()
        build = self._current(manifest).id
        return max((run.id for run in manifest.runs if run.build == build), default=0)

    def commits(self) -> int:
        """How many commits the index has seen."""
        return self._manifest().commits

    def fields(self) -> tuple[str, ...]:
        """The names of all fields; see `ragkit.protocols.VectorStore.fields`."""
        return tuple(sorted({MODIFIED, *self._manifest().fields}))

    # Writing -----------------------------------------------------------------------------------

    @contextmanager
    def writing(
        self, command: str, *, roots: Sequence[str] | None = None
    ) -> Iterator[RemoteWriter]:
        """Begin a run that changes the index; see `ragkit.protocols.VectorStore.writing`.

        Runs of other `roots` may go on meanwhile, from any machine.
        """
        with ExitStack() as held:
            if self._rebuilding is None:
                lease = held.enter_context(self._leased(command, roots=roots))
                build = lease.manifest.build
            else:
                build, lease = self._rebuilding
            is_last = self._rebuilding is None
            writer = RemoteWriter(
                self._cluster, lease, command=command, build=build, is_last=is_last
            )
            try:
                yield writer
            except BaseException:
                writer.close(failed=True)
                raise
            writer.close(failed=False)

    @contextmanager
    def _leased(self, command: str, *, roots: Sequence[str] | None = None) -> Iterator[Lease]:
        """Hold a lease, with the index as it was left put right."""
        self._refuse_if_closed()
        lease = Lease(self._cluster, self._file, command, roots=roots, lease_s=self._lease_s)
        lease.take(self._id)
        try:
            if lease.given_up:
                sweep(self._cluster, lease.manifest, lease.given_up)
                lease.commit(self._counted(lease.manifest))
            sweep_gone(self._cluster, lease.manifest)
            yield lease
        finally:
            lease.release()

    def _counted(self, manifest: Manifest) -> Manifest:
        """The manifest with what each ended generation changed."""
        for run in manifest.runs:
            build = manifest.builds.get(run.build)
            if run.counts is None and run.state != "open" and build is not None:
                counts = history.Changes(self._cluster, manifest, build).counts(run)
                manifest = manifest.with_run(replace(run, counts=counts))
        return manifest

    def give_embedder(self, embedder: Mapping[str, Any], key_of: Callable[[Hit], bytes]) -> None:
        """Let chunks wait for vectors; see `ragkit.protocols.VectorStore.give_embedder`."""
        with self._leased("index") as lease:
            build = self._current(lease.manifest)
            if build.embedder and build.embedder != dict(embedder):
                msg = (
                    f"{self.location} has vectors of {build.embedder['name']}, not of "
                    f"{embedder['name']}"
                )
                raise IndexMismatchError(
                    msg, self.location, stored=build.embedder["name"], given=embedder["name"]
                )
            if build.embedder:
                return
            layout.add_vector_field(self._cluster, build.id, embedder["dim"])
            waits = self._set_keys(self._snapshot(lease.manifest), key_of)
            given = lease.manifest.with_build(replace(build, embedder=dict(embedder), waits=waits))
            lease.commit(replace(given, commits=given.commits + 1), ends=True)

    def _set_keys(self, now: RemoteSnapshot, key_of: Callable[[Hit], bytes]) -> bool:
        """Note with each living chunk the key of its vector; returns whether there are any."""
        rows, any_waits = [], False
        for row in now.scan(now.chunks_index, now.alive_chunks(), "number"):
            rows.append(row)
            any_waits = True
            if len(rows) == PAGE:
                self._set_page(now, rows, key_of)
                rows = []
        self._set_page(now, rows, key_of)
        refresh(self._cluster, now.build.id)
        return any_waits

    def _set_page(
        self, now: RemoteSnapshot, rows: list[dict[str, Any]], key_of: Callable[[Hit], bytes]
    ) -> None:
        hits = make_hits(now, {row["_id"]: row["_source"] for row in rows})
        cached = cached_rows(self._cluster, [key_of(hit) for hit in hits.values()])
        lines = []
        for row in rows:
            key = key_of(hits[row["_id"]])
            source = row["_source"] | {"key": key.hex()}
            if key in cached:
                source = with_vector(source, cached[key], now.manifest.moment)
            else:
                source = with_words(source)
            action = {"index": {"_index": now.chunks_index, "_id": row["_id"]}}
            lines += [line(action), line(source)]
        if lines:
            self._cluster.bulk(lines)

    # Reading -----------------------------------------------------------------------------------

    def search(self, request: SearchRequest) -> list[Hit]:
        """Find chunks; see `ragkit.protocols.VectorStore.search`."""

        def find(manifest: Manifest) -> list[Hit]:
            build = self._current(manifest)
            view = check_request(request, manifest, build, self.location)
            request.filter.require_fields(tuple(sorted({MODIFIED, *manifest.fields})))
            return ranked_hits(request, RemoteCandidates(request, self._snapshot(manifest, view)))

        return self._read(find)

    def neighbours(self, hit: Hit, count: int) -> list[Hit]:
        """The chunks around a hit; see `ragkit.protocols.VectorStore.neighbours`."""
        near = [h for h in self._chunks_of(hit.doc_id) if h.file_sha256 == hit.file_sha256]
        places = {h.chunk_id: i for i, h in enumerate(near)}
        if hit.chunk_id not in places:
            return []
        place = places[hit.chunk_id]
        order = sorted(range(len(near)), key=lambda i: (abs(i - place), i))
        return [near[i] for i in order if 0 < abs(i - place) <= count]

    def chunks_at(self, doc_id: str, start: int, end: int) -> list[Hit]:
        """The chunks of a range; see `ragkit.protocols.VectorStore.chunks_at`."""
        touching: list[dict[str, Any]] = [
            {"range": {"start": {"lt": end}}}, {"range": {"end": {"gt": start}}},
        ]  # fmt: skip
        return self._chunks_of(doc_id, touching)

    def _chunks_of(self, doc_id: str, clauses: Sequence[dict[str, Any]] = ()) -> list[Hit]:
        def find(manifest: Manifest) -> list[Hit]:
            now = self._snapshot(manifest)
            version = now.living([doc_id]).get(doc_id)
            if version is None:
                return []
            query = {"bool": {"filter": [{"term": {"version": version.version}}, *clauses]}}
            rows = now.scan(now.chunks_index, query, "number", source={"excludes": ["row"]})
            return list(make_hits(now, {row["_id"]: row["_source"] for row in rows}).values())

        return self._read(find)

    def waiting(self) -> Iterator[tuple[bytes, Hit]]:
        """The chunks that wait for a vector; see `ragkit.protocols.VectorStore.waiting`."""
        last = 0
        while True:
            found = self._read(lambda manifest, after=last: self._waiting_page(manifest, after))  # type: ignore[misc]
            for _, key, hit in found:
                yield key, hit
            if len(found) < WAITING_A_READ:
                return
            last = found[-1][0]

    def _waiting_page(self, manifest: Manifest, after: int) -> list[tuple[int, bytes, Hit]]:
        now = self._snapshot(manifest)
        if not (now.build.embedder and now.build.waits):
            return []
        body = {
            "size": WAITING_A_READ, "query": waiting_query(now), "sort": [{"number": "asc"}],
            "search_after": [after], "_source": {"excludes": ["row"]},
        }  # fmt: skip
        rows = now.search(now.chunks_index, body)["hits"]["hits"]
        hits = make_hits(now, {row["_id"]: row["_source"] for row in rows})
        return [
            (r["_source"]["number"], bytes.fromhex(r["_source"]["key"]), hits[r["_id"]])
            for r in rows
        ]

    def content(self, doc_id: str) -> tuple[Document, list[Chunk]] | None:
        """A document with its chunks; see `ragkit.protocols.VectorStore.content`."""

        def find(manifest: Manifest) -> tuple[Document, list[Chunk]] | None:
            now = self._snapshot(manifest)
            version = now.living([doc_id]).get(doc_id)
            if version is None:
                return None
            query = {"term": {"version": version.version}}
            rows = now.scan(now.chunks_index, query, "number", source={"excludes": ["row"]})
            chunks = [read_chunk(row["_source"], version, self.location) for row in rows]
            return replace(version.document, text=joined(chunks, version.chars)), chunks

        return self._read(find)

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The stored vectors of those keys that are known; see `VectorStore.vectors`."""
        dim = self._current(self._manifest()).dim
        found = cached_rows(self._cluster, keys)
        return {key: from_row(row) for key, row in found.items() if len(row) == 2 * dim}

    def documents(
        self, *, root: str | None = None, ever: bool = False, whole_only: bool = False
    ) -> list[DocumentInfo]:
        """The documents by path; see `ragkit.protocols.VectorStore.documents`."""

        def find(manifest: Manifest) -> list[DocumentInfo]:
            now = self._snapshot(manifest)
            query = now.brought() if ever else now.alive_versions()
            stale = now.stale()
            infos = []
            for row in now.scan(now.documents_index, query, "version"):
                try:
                    version = read_version(row["_source"], self.location)
                except StoreError:
                    if whole_only:
                        continue
                    raise
                infos.append(read_info(version, stale.get(version.document.doc_id)))
            chosen = [info for info in infos if root in (None, info.root)]
            return sorted(chosen, key=lambda info: (info.path, info.root))

        return self._read(find)

    def sources(self) -> list[str]:
        """The folders and files that ingests were asked for; none before the first."""
        return sorted(self._manifest().sources)

    def rules(self) -> dict[str, SourceRules]:
        """Which files of each source count; see `ragkit.protocols.VectorStore.rules`."""
        return {
            source: SourceRules(tuple(rules["include"]), tuple(rules["exclude"]))
            for source, rules in sorted(self._manifest().sources.items())
        }

    def decisions(self) -> dict[str, Decision]:
        """What persons decided; see `ragkit.protocols.VectorStore.decisions`."""
        return dict(sorted(self._manifest().decisions.items()))  # type: ignore[arg-type]

    def runs(self) -> list[dict[str, Any]]:
        """The generations, newest first; see `ragkit.protocols.VectorStore.runs`.

        ``writer`` tells which process of whom on which machine each was.
        """
        manifest = self._manifest()
        now = self._snapshot(manifest)
        return [
            {
                "id": run.id, "build": run.build, "command": run.command,
                "started_at": run.started_at, "finished_at": run.finished_at, "state": run.state,
                "report": history.report_of(now.control(run.report)), "writer": run.writer,
            }
            for run in reversed(manifest.runs)
        ]  # fmt: skip

    def log(self, limit: int | None = None) -> list[Generation]:
        """The generations with what each changed; see `ragkit.protocols.VectorStore.log`."""
        return self._read(lambda manifest: history.read_log(self._cluster, manifest, limit))

    def diff(self, before: int, after: int | None = None) -> IndexChanges:
        """What changed between two; see `ragkit.protocols.VectorStore.diff`."""
        return self._read(
            lambda manifest: history.read_difference(
                self._cluster, manifest, self._current(manifest), (before, after)
            )
        )

    def generation_at(self, when: datetime) -> int:
        """The last one closed by a moment; see `ragkit.protocols.VectorStore.generation_at`."""
        manifest = self._manifest()
        return history.last_closed_by(manifest, self._current(manifest), when, self.location)

    def stats(self) -> StoreStats:
        """The size and state now."""

        def find(manifest: Manifest) -> StoreStats:
            now = self._snapshot(manifest)
            build = now.build
            total = {"size": 0, "query": now.alive_versions(), "track_total_hits": True,
                     "aggs": {"chunks": {"sum": {"field": "chunks"}}}}  # fmt: skip
            found = now.search(now.documents_index, total)
            with_vectors = {"bool": {"filter": [now.brought(), now.embedded()]}}
            waits = bool(build.embedder) and build.waits
            return StoreStats(
                generation=max((r.id for r in manifest.runs if r.build == build.id), default=0),
                documents=found["hits"]["total"]["value"],
                chunks=int(found["aggregations"]["chunks"]["value"]),
                vectors=now.count(now.chunks_index, with_vectors) if build.dim else 0,
                dim=build.dim,
                size_bytes=compaction.size_bytes(self._cluster),
                segments=1,
                embedder=build.embedder,
                splitter=build.splitter,
                stale=len(now.stale()),
                waiting=now.count(now.chunks_index, waiting_query(now)) if waits else 0,
            )

        return self._read(find)

    # Upkeep ------------------------------------------------------------------------------------

    def compact(self, on_progress: Callable[[int, int], None] | None = None) -> Compaction:
        """Give space back; see `ragkit.protocols.VectorStore.compact`."""
        with self._leased("compact") as lease:
            before = compaction.size_bytes(self._cluster)
            erasing = compaction.versions_of(self._cluster, lease.manifest, lease.manifest.erasing)
            unseen = compaction.unseen_versions(self._cluster, lease.manifest)
            earlier = lease.manifest.gone if lease.manifest.erasing else ()
            self._note_gone(lease, [*erasing, *unseen], before=earlier)
            made = self._counted(lease.manifest)
            if erasing:  # an erasure was ended halfway
                made, _ = compaction.erase_versions(self._cluster, made, erasing, None)
            made, gone = compaction.compact_index(self._cluster, made, unseen, on_progress)
            lease.commit(replace(made, erasing=()), ends=True)
            params = {"only_expunge_deletes": "true"}
            index = layout.chunks_index(self._cluster.endpoint.name, made.build)
            if gone.chunks:
                self._cluster.send("POST", f"/{index}/_forcemerge", params=params)
            after = compaction.size_bytes(self._cluster)
        return Compaction(gone.documents, gone.chunks, gone.vectors, before, after)

    def erase(
        self,
        doc_ids: Sequence[str],
        command: str,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Erasure:
        """Take documents out of every generation; see `ragkit.protocols.VectorStore.erase`."""
        doc_ids = self._begin_erasing(doc_ids)
        now = self._snapshot(self._manifest())
        paths = tuple(sorted(v.document.path for v in now.living(doc_ids).values()))
        with self.writing(command) as writer:
            writer.remove(doc_ids)
            writer.account({})
        with self._leased(command) as lease:
            versions = compaction.versions_of(self._cluster, lease.manifest, doc_ids)
            self._note_gone(lease, versions, before=lease.manifest.gone)
            made, gone = compaction.erase_versions(
                self._cluster, self._counted(lease.manifest), versions, on_progress
            )
            lease.commit(replace(made, erasing=()), ends=True)
            self._kept.forget()
            is_complete = compaction.expunge(self._cluster, made.build) if gone.documents else True
        return Erasure(paths, gone.documents, gone.chunks, is_complete=is_complete)

    def _begin_erasing(self, doc_ids: Sequence[str]) -> list[str]:
        """Note what is to be erased, and drop an unfinished rebuild, which may hold its text.

        Returns:
            The documents, with those that an erasure which was ended halfway had left.
        """
        with self._leased("remove --erase") as lease:
            manifest = lease.manifest
            wanted = sorted({*manifest.erasing, *doc_ids})
            left = {n: b for n, b in manifest.builds.items() if b.state == "living"}
            lease.commit(replace(manifest, erasing=tuple(wanted), builds=left), ends=True)
            for build in manifest.builds.keys() - left.keys():
                layout.drop_build(self._cluster, build)
        return wanted

    def _note_gone(self, lease: Lease, versions: Sequence[int], *, before: tuple[str, ...]) -> None:
        """Write down what is about to be deleted, after what else was, so that it stays away."""
        names = note_gone(self._cluster, lease.grant.moment, versions)
        if names or before != lease.manifest.gone:
            lease.commit(replace(lease.manifest, gone=(*before, *names)))

    def backup(self, file: Path, _: Callable[[int, int], None] | None = None) -> int:
        """Not done by ragkit: a cluster is backed up by its own snapshots."""
        msg = (
            f"{self.location} is backed up by snapshots of the cluster, not to {file}: "
            "docs/opensearch.md says how"
        )
        raise UnsupportedByStoreError(msg, self.location)

    def sentence_vectors(self, _: Sequence[bytes]) -> dict[bytes, Vectors]:
        """None: each process embeds a sentence once."""
        return {}

    def keep_sentence_vectors(self, *_: Mapping[Any, Any]) -> None:
        """They are not kept."""

    def note(self, name: str) -> Any:  # noqa: ANN401 -- any JSON value
        """A note kept beside the manifest, None if there is none."""
        found = self._cluster.get(self._notes_path())
        return None if found is None else found["_source"]["notes"].get(name)

    def keep_note(self, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
        """Keep a note, if the index can be written."""
        with suppress(StoreError):
            while True:
                found = self._cluster.get(self._notes_path())
                notes = {} if found is None else dict(found["_source"]["notes"])
                place = None if found is None else (found["_seq_no"], found["_primary_term"])
                source = {"notes": notes | {name: value}}
                if self._cluster.put_if(self._notes_path(), source, place) is not None:
                    return

    def _notes_path(self) -> str:
        self._refuse_if_closed()
        return f"/{layout.control_index(self._cluster.endpoint.name)}/_doc/{_NOTES}"

    def recover(self) -> None:
        """Put right what a killed run left, unless a run goes on; see `VectorStore.recover`."""
        self._refuse_if_closed()
        while True:
            manifest, place = self._file.read_placed()
            dead = [grant for grant in manifest.grants if is_gone(grant)]
            if not dead:
                return
            left = relieve(manifest, dead)
            if self._file.put(left, place) is not None:
                break
        forget_beats(self._cluster, dead)
        sweep(self._cluster, left, [grant.moment for grant in dead])

    def check(self, *, quick: bool = False, keywords: bool = False) -> Iterator[Violation]:
        """Verify the index; see `ragkit.protocols.VectorStore.check`."""
        now = self._snapshot(self._manifest())
        unreadable = False
        for found in check_health(now):
            unreadable = unreadable or found.severity == "must"
            yield found
        if not (quick or unreadable):
            yield from check_rows(now, keywords=keywords)

    def repair(self) -> NoReturn:
        """Not done: what is derived is the engine's own, which repairs it from its copies."""
        msg = (
            f"{self.location} derives nothing that could be made anew here: OpenSearch repairs "
            "shards from their copies; what is broken beyond that, `ragkit rebuild` makes anew"
        )
        raise UnsupportedByStoreError(msg, self.location)

    @contextmanager
    def rebuilding(
        self, *, embedder: Mapping[str, Any], splitter: Mapping[str, int]
    ) -> Iterator[RemoteStore]:
        """A new build beside the living one, in its place at the end; see `VectorStore.rebuilding`.

        One that was left unfinished with the same embedder and splitter is taken up again.
        """
        with self._leased("rebuild") as lease:
            build = self._begin_build(lease, dict(embedder), dict(splitter))
            made = RemoteStore(self.location, rebuilding=(build, lease), lease_s=self._lease_s)
            try:
                yield made
            finally:
                made.close()
            manifest = lease.manifest
            living = replace(manifest.builds[build], state="living")
            switched = replace(
                manifest, build=build, builds={build: living}, commits=manifest.commits + 1
            )
            lease.commit(switched, ends=True)
            for other in manifest.builds:
                if other != build:
                    layout.drop_build(self._cluster, other)

    def _begin_build(self, lease: Lease, embedder: dict[str, Any], splitter: dict[str, Any]) -> int:
        manifest = lease.manifest
        shards = read_shards(self._current(manifest).shards)
        for build in manifest.builds.values():
            made_alike = (build.embedder, build.splitter, build.shards)
            if build.state == "making" and made_alike == (embedder, splitter, shards):
                return build.id
        used = [*manifest.builds, *(run.build for run in manifest.runs)]
        build = RemoteBuild(max(used) + 1, embedder, splitter, "making", shards=shards)
        layout.drop_build(self._cluster, build.id)  # of an attempt that was killed here
        layout.make_build(self._cluster, build.id, build.dim, shards)
        lease.commit(manifest.with_build(build))
        return build.id

    def close(self) -> None:
        """Let go of connections; calling it again does nothing."""
        self._is_closed = True
        self._cluster.close()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            msg = f"{self.location} is closed"
            raise StoreError(msg, self.location)

    def _manifest(self) -> Manifest:
        self._refuse_if_closed()
        return self._file.read()

    def _current(self, manifest: Manifest) -> RemoteBuild:
        build = manifest.build if self._rebuilding is None else self._rebuilding[0]
        return manifest.builds[build]

    def _snapshot(self, manifest: Manifest, view: View | None = None) -> RemoteSnapshot:
        return RemoteSnapshot(
            self._cluster, manifest, self._current(manifest), view=view, kept=self._kept
        )

    def _read(self, find: Callable[[Manifest], T]) -> T:
        """Read at one manifest; once more where a rebuild took the build away meanwhile."""
        try:
            return find(self._manifest())
        except MissingIndexError:
            return find(self._manifest())
