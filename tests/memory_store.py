"""MemoryStore: a second implementation of `VectorStore`, for the tests of the seam."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ragkit.errors import (
    IndexChangedError,
    IndexLockedError,
    IndexMismatchError,
    StoreError,
    UnsupportedByStoreError,
)
from ragkit.protocols import StoreStats, Violation
from ragkit.records import (
    MODIFIED,
    NO_RULES,
    Compaction,
    Condition,
    DocumentChange,
    DocumentInfo,
    Erasure,
    Generation,
    Hit,
    SourceRules,
    make_changes,
    make_chunk_id,
    make_doc_id,
    member_count,
    read_from_picture,
    reading_facts,
    told_metadata,
)
from ragkit.store.ranking import ranked_hits
from ragkit.store.relocation import is_below, moved_location, moved_place
from ragkit.text.analysis import QueryTerm, index_text, query_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Chunk, Decision, Document, IndexChanges


@dataclass(frozen=True)
class _StoredChunk:
    hit: Hit
    key: bytes
    words: Counter[str]
    chunk: Chunk


@dataclass(frozen=True)
class _Version:
    """A document as one generation left it; `chunks` are places in `_Contents.chunks`."""

    info: DocumentInfo
    document: Document
    chunks: range
    born: int
    died: int | None = None

    def lives(self, as_of: int | None) -> bool:
        if as_of is None:
            return self.died is None
        return self.born <= as_of and (self.died is None or self.died > as_of)


@dataclass
class _Contents:
    """What a commit publishes; a run changes a copy."""

    versions: list[_Version] = field(default_factory=list)
    chunks: list[_StoredChunk] = field(default_factory=list)
    cache: dict[bytes, Vectors] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    sources: dict[str, SourceRules] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    commits: int = 0

    def copy(self) -> _Contents:
        runs = [dict(run) for run in self.runs]
        return _Contents(
            [*self.versions],
            [*self.chunks],
            dict(self.cache),
            runs,
            dict(self.sources),
            dict(self.decisions),
            self.commits,
        )

    @property
    def newest(self) -> int:
        return self.runs[-1]["id"] if self.runs else 0

    @property
    def closed(self) -> list[int]:
        return [run["id"] for run in self.runs if run["state"] == "closed"]

    def at(self, generation: int) -> dict[str, _Version]:
        return {v.info.doc_id: v for v in self.versions if v.lives(generation)}

    def changes(self, before: int, after: int) -> IndexChanges:
        old, new = self.at(before), self.at(after)
        found = []
        for doc_id in old.keys() | new.keys():
            was, now = old.get(doc_id), new.get(doc_id)
            if was is now:
                continue
            kept, went, came = self._compared(was, now)
            what: Literal["added", "changed", "removed"] = "changed"
            if was is None or now is None:
                what = "removed" if now is None else "added"
            info = (was or now).info  # type: ignore[union-attr]  # one of them is there
            found.append(DocumentChange(info.root, info.path, what, came, went, kept))
        return make_changes(before, after, found)

    def _compared(self, was: _Version | None, now: _Version | None) -> tuple[int, int, int]:
        old, new = (
            Counter(self.chunks[i].hit.text for i in v.chunks) if v else Counter[str]()
            for v in (was, now)
        )
        return (old & new).total(), (old - new).total(), (new - old).total()

    def counts(self, generation: int) -> dict[str, int]:
        made = asdict(self.changes(generation - 1, generation))
        return {k: v for k, v in made.items() if k.startswith(("documents_", "chunks_"))}

    def freeze_counts(self) -> None:
        """Keep what each run changed, before what it is counted by goes."""
        for run in self.runs:
            run["counts"] = run.get("counts") or self.counts(run["id"])

    def require_closed(self, generation: int, location: str) -> None:
        if generation not in self.closed:
            gone = 0 < generation <= self.newest
            why = (
                f"generation {generation} is no longer kept; the oldest is {self.closed[0]}"
                if gone and self.closed
                else f"{location} has no finished run {generation} to search"
            )
            raise StoreError(why, location)


@dataclass
class _Shared:
    """What every view of one store sees."""

    embedder: Mapping[str, Any]
    splitter: Mapping[str, int]
    contents: _Contents = field(default_factory=_Contents)
    notes: dict[str, str] = field(default_factory=dict)
    writing: threading.Lock = field(default_factory=threading.Lock)


class MemoryStore:
    """Keeps everything in memory and scans it all for each question."""

    def __init__(self, shared: _Shared) -> None:
        self._shared: _Shared | None = shared
        self.location = f"memory://{id(shared)}"
        self.splitter = shared.splitter

    @classmethod
    def create(cls, embedder: Mapping[str, Any], splitter: Mapping[str, int]) -> MemoryStore:
        return cls(_Shared(dict(embedder), dict(splitter)))

    def view(self) -> MemoryStore:
        """The same store, opened again."""
        return MemoryStore(self._open)

    @property
    def _open(self) -> _Shared:
        if self._shared is None:
            msg = f"{self.location} is closed"
            raise StoreError(msg, self.location)
        return self._shared

    @property
    def embedder(self) -> Mapping[str, Any]:
        return self._open.embedder

    @property
    def _contents(self) -> _Contents:
        return self._open.contents

    def generation(self) -> int:
        return self._contents.newest

    def commits(self) -> int:
        return self._contents.commits

    def fields(self) -> tuple[str, ...]:
        versions = self._contents.versions
        told = (told_metadata(v.document.metadata, v.document.origin) for v in versions)
        return tuple(sorted({MODIFIED}.union(*told)))

    @contextmanager
    def writing(
        self, command: str, *, roots: Sequence[str] | None = None
    ) -> Iterator[_MemoryWriter]:
        del roots  # one run at a time
        shared = self._open
        if not shared.writing.acquire(blocking=False):
            msg = f"{self.location} is being written by another run"
            raise IndexLockedError(msg, self.location)
        try:
            writer = _MemoryWriter(shared, command)
            try:
                yield writer
            except BaseException:
                writer.end(failed=True)
                raise
            writer.end(failed=False)
        finally:
            shared.writing.release()

    def search(self, request: SearchRequest) -> list[Hit]:
        contents = self._contents
        if request.embedder is not None and request.embedder != self.embedder:
            msg = f"{self.location} has another embedder; embed the question anew"
            raise IndexChangedError(msg, self.location)
        request.filter.require_fields(self.fields())
        dim = self.embedder.get("dim", 0)
        if request.vector is not None and request.vector.shape != (dim,):
            given, stored = str(request.vector.shape[-1]), str(dim)
            msg = f"the question's vector has {given} dimensions and the index has {stored}"
            raise IndexMismatchError(msg, self.location, stored=stored, given=given)
        if request.as_of is not None:
            contents.require_closed(request.as_of, self.location)
        return ranked_hits(request, _Scan(request, contents))

    def neighbours(self, hit: Hit, count: int) -> list[Hit]:
        for version in self._living():
            info, near = version.info, [self._contents.chunks[i].hit for i in version.chunks]
            if (info.doc_id, info.file_sha256) == (hit.doc_id, hit.file_sha256):
                place = [h.chunk_id for h in near].index(hit.chunk_id)
                order = sorted(range(len(near)), key=lambda i: (abs(i - place), i))
                return [near[i] for i in order if 0 < abs(i - place) <= count]
        return []

    def chunks_at(self, doc_id: str, start: int, end: int) -> list[Hit]:
        found = (self._contents.chunks[i].hit for v in self._living() for i in v.chunks)
        return [h for h in found if h.doc_id == doc_id and h.start < end and h.end > start]

    def waiting(self) -> Iterator[tuple[bytes, Hit]]:
        chunks = [self._contents.chunks[i] for v in self._living() for i in v.chunks]
        for stored in chunks if self.embedder else []:
            if stored.key not in self._contents.cache:
                yield stored.key, stored.hit

    def content(self, doc_id: str) -> tuple[Document, list[Chunk]] | None:
        for version in self._living():
            if version.info.doc_id == doc_id:
                chunks = [self._contents.chunks[i].chunk for i in version.chunks]
                return version.document, chunks
        return None

    def give_embedder(self, embedder: Mapping[str, Any], key_of: Callable[[Hit], bytes]) -> None:
        shared = self._open
        if shared.embedder == embedder:
            return
        if shared.embedder:
            msg = f"{self.location} has another embedder"
            stored, given = shared.embedder["name"], embedder["name"]
            raise IndexMismatchError(msg, self.location, stored=stored, given=given)
        contents = shared.contents.copy()
        contents.chunks = [replace(c, key=key_of(c.hit)) for c in contents.chunks]
        contents.commits += 1
        shared.embedder, shared.contents = dict(embedder), contents

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        cache = self._contents.cache
        return {key: cache[key] for key in keys if key in cache}

    def documents(
        self,
        *,
        root: str | None = None,
        ever: bool = False,
        whole_only: bool = False,  # noqa: ARG002 -- nothing damages memory
    ) -> list[DocumentInfo]:
        versions = self._contents.versions if ever else self._living()
        infos = [v.info for v in versions if root in (None, v.info.root)]
        return sorted(infos, key=lambda info: (info.path, info.root))

    def sources(self) -> list[str]:
        return sorted(self._contents.sources)

    def rules(self) -> dict[str, SourceRules]:
        return dict(self._contents.sources)

    def decisions(self) -> dict[str, Decision]:
        return dict(self._contents.decisions)

    def runs(self) -> list[dict[str, Any]]:
        runs = reversed(self._contents.runs)
        return [{k: v for k, v in run.items() if k != "counts"} for run in runs]

    def log(self, limit: int | None = None) -> list[Generation]:
        told = []
        for run in reversed(self._contents.runs):
            counts = run.get("counts") or self._contents.counts(run["id"])
            values = {k: v for k, v in run.items() if k not in {"report", "counts"}}
            told.append(Generation(**values, build=1, **counts))
        return told[:limit]

    def diff(self, before: int, after: int | None = None) -> IndexChanges:
        contents = self._contents
        after = contents.closed[-1] if after is None and contents.closed else after
        for generation in (before, after or 0):
            contents.require_closed(generation, self.location)
        return contents.changes(before, after or 0)

    def generation_at(self, when: datetime) -> int:
        closed = [run for run in self._contents.runs if run["state"] == "closed"]
        then = [run for run in closed if datetime.fromisoformat(run["finished_at"]) <= when]
        if not then:
            oldest = f"; the oldest is {closed[0]['id']}" if closed else ""
            msg = f"no generation is as old as {when}{oldest}"
            raise StoreError(msg, self.location)
        return int(then[-1]["id"])

    def stats(self) -> StoreStats:
        contents, infos = self._contents, self.documents()
        return StoreStats(
            generation=self.generation(),
            documents=len(infos),
            chunks=sum(info.chunks for info in infos),
            vectors=len(contents.chunks),
            dim=self.embedder.get("dim", 0),
            size_bytes=sum(row.nbytes for row in contents.cache.values()),
            segments=1,
            embedder=self.embedder,
            splitter=self.splitter,
            stale=sum(info.stale is not None for info in infos),
            waiting=sum(1 for _ in self.waiting()),
        )

    def compact(self, on_progress: Callable[[int, int], None] | None = None) -> Compaction:
        own = self._open.contents.copy()
        kept = [*own.closed, None]
        unseen = [v for v in own.versions if not any(v.lives(g) for g in kept)]
        own.versions = [v for v in own.versions if v not in unseen]
        needed = {own.chunks[i].key for v in own.versions for i in v.chunks}
        before = self.stats().size_bytes
        vectors = len(own.cache.keys() - needed)
        own.cache = {key: row for key, row in own.cache.items() if key in needed}
        self._open.contents = own
        if on_progress:
            on_progress(len(unseen), len(unseen))
        chunks = sum(len(v.chunks) for v in unseen)
        after = self.stats().size_bytes
        return Compaction(len(unseen), chunks, vectors, before, after)

    def erase(
        self,
        doc_ids: Sequence[str],
        command: str,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Erasure:
        living = [v.info for v in self._living() if v.info.doc_id in doc_ids]
        with self.writing(command) as writer:
            writer.remove([info.doc_id for info in living])
            writer.account({})
        own = self._open.contents
        own.freeze_counts()
        gone = [v for v in own.versions if v.info.doc_id in doc_ids]
        own.versions = [v for v in own.versions if v not in gone]
        self.compact(on_progress)
        paths = tuple(sorted(info.path for info in living))
        return Erasure(paths, len(gone), sum(len(v.chunks) for v in gone))

    def backup(self, file: Path, _: Callable[[int, int], None] | None = None) -> int:
        msg = f"{self.location} is nowhere but in memory: there is nothing to back up to {file}"
        raise UnsupportedByStoreError(msg, self.location)

    def sentence_vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:  # noqa: ARG002 -- none are kept
        return {}

    def keep_sentence_vectors(
        self, vectors: Mapping[bytes, Vectors], sources: Mapping[str, str]
    ) -> None:
        """They are made again."""

    def note(self, name: str) -> Any:
        return json.loads(self._open.notes.get(name, "null"))

    def keep_note(self, name: str, value: Any) -> None:
        self._open.notes[name] = json.dumps(value)

    def recover(self) -> None:
        """A kill leaves nothing of it."""

    def repair(self) -> list[Violation]:
        msg = f"{self.location} derives nothing that could be made anew"
        raise UnsupportedByStoreError(msg, self.location)

    def check(self, *, quick: bool = False, keywords: bool = False) -> Iterator[Violation]:  # noqa: ARG002 -- words are counted, not looked up
        doc_ids = Counter(version.info.doc_id for version in self._living())
        for doc_id in [doc_id for doc_id, count in doc_ids.items() if count > 1]:
            yield Violation("one-version", "must", f"{doc_id} lives twice", "make it anew")
        for hit in [] if quick else [chunk.hit for chunk in self._contents.chunks]:
            if hit.chunk_id != make_chunk_id(hit.doc_id, hit.start, hit.end, hit.text):
                yield Violation("chunk-text", "must", hit.path, "make it anew")

    def rebuilding(self, **_: Any) -> AbstractContextManager[MemoryStore]:
        msg = f"{self.location} is not replaced as a whole: make a new one and index into that"
        raise UnsupportedByStoreError(msg, self.location)

    def close(self) -> None:
        self._shared = None

    def _living(self) -> list[_Version]:
        return [version for version in self._contents.versions if version.lives(None)]


def _meets(document: Document, condition: Condition) -> bool:
    """Compare with what the document itself says, without any index of fields."""
    if condition.field == MODIFIED:
        then = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=document.mtime_ns // 10**9)
        return condition.is_met_by(then.strftime("%Y-%m-%dT%H:%M:%S"))
    value = told_metadata(document.metadata, document.origin).get(condition.field, [])
    values: list[Any] = value if isinstance(value, list) else [value]
    return any(condition.is_met_by(v) for v in values if isinstance(v, (str, int, float)))


class _Scan:
    """What one request finds; satisfies `ragkit.store.ranking.Candidates`."""

    def __init__(self, request: SearchRequest, contents: _Contents) -> None:
        self._request, self._all, self._cache = request, contents.chunks, contents.cache
        chosen = request.filter
        self._allowed = [
            i
            for version in contents.versions
            if version.lives(request.as_of)
            and (not chosen.kinds or version.info.kind in chosen.kinds)
            and (not chosen.paths or any(fnmatchcase(version.info.path, g) for g in chosen.paths))
            and all(_meets(version.document, condition) for condition in chosen.where)
            for i in version.chunks
        ]

    def nearest(self, count: int) -> dict[int, float]:
        cosines = self.cosines(self._allowed)
        return {i: cosines[i] for i in sorted(cosines, key=lambda i: (-cosines[i], i))[:count]}

    def both(self, count: int) -> tuple[dict[int, float], tuple[dict[int, float], float]]:
        return self.nearest(count), self.matching(count)

    def cosines(self, chunks: Sequence[int]) -> dict[int, float]:
        if self._request.vector is None or not chunks:
            return {}
        chunks = [i for i in chunks if self._all[i].key in self._cache]
        if not chunks:
            return {}
        scores = np.einsum("ij,j->i", self.rows(chunks), self._request.vector)
        return dict(zip(chunks, np.clip(scores, -1, 1).tolist(), strict=True))

    def rows(self, chunks: Sequence[int]) -> Vectors:
        dim = 0 if self._request.vector is None else len(self._request.vector)
        missing = np.zeros(dim, np.float32)
        return np.array([self._cache.get(self._all[i].key, missing) for i in chunks], np.float32)

    def hits(self, chunks: Sequence[int]) -> dict[int, Hit]:
        return {i: self._all[i].hit for i in chunks}

    def matching(self, count: int) -> tuple[dict[int, float], float]:
        scores: defaultdict[int, float] = defaultdict(float)
        reach, total = 0.0, len(self._allowed)
        lengths = {i: self._all[i].words.total() for i in self._allowed}
        mean = sum(lengths.values()) / (total or 1)
        for term in query_terms(self._request.text):
            counts = {i: _count(self._all[i].words, term) for i in self._allowed}
            counts = {i: n for i, n in counts.items() if n}
            odds = (total - len(counts) + 0.5) / (len(counts) + 0.5)
            weight = max(math.log(odds), 1e-6)
            reach += 2.2 * weight
            for i, n in counts.items():
                scores[i] += weight * n * 2.2 / (n + 1.2 * (0.25 + 0.75 * lengths[i] / mean))
        best = sorted(scores, key=lambda i: (-scores[i], i))
        return {i: scores[i] for i in islice(best, count)}, reach


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", index_text(text).casefold())


def _count(words: Counter[str], term: QueryTerm) -> int:
    forms = tuple(form.casefold() for form in term.forms)
    if term.is_prefix:
        return sum(n for word, n in words.items() if word.startswith(forms))
    return sum(words[form] for form in forms)


class _MemoryWriter:
    """Satisfies `ragkit.protocols.StoreWriter`; changes a copy, which `commit` publishes."""

    roots = None

    def __init__(self, shared: _Shared, command: str) -> None:
        self._shared = shared
        self._own = shared.contents.copy()
        self.generation = self._own.newest + 1
        self.commits = self._own.commits
        self._run = {
            "id": self.generation, "command": command, "started_at": _now(), "finished_at": None,
            "state": "open", "report": None,
        }  # fmt: skip
        self._is_broken = self._is_changed = False

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        return self._own.cache.keys() & set(keys)

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        with self._step():
            stored, given = str(self._shared.embedder["dim"]), str(vectors.shape[-1])
            if stored != given:
                msg = f"vectors of {given} dimensions do not fit a store of {stored}"
                raise IndexMismatchError(msg, "memory", stored=stored, given=given)
            # Rounded as the local store rounds them, so that one oracle serves both.
            rows = np.asarray(vectors, np.float16).astype(np.float32)
            self._own.cache |= zip(keys, rows, strict=True)

    def add(self, document: Document, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        with self._step():
            self._retire(document.doc_id)
            d, first = document, len(self._own.chunks)
            named = keys if self._shared.embedder else [b""] * len(chunks)
            for c, key in zip(chunks, named, strict=True):
                words = Counter(_words(f"{' '.join(c.heading)}\n{c.text}"))
                self._own.chunks.append(_StoredChunk(_hit(d, c), key, words, c))
            info = DocumentInfo(
                d.doc_id, d.root, d.path, d.title, d.kind, d.encoding, d.size_bytes, d.mtime_ns,
                d.file_sha256, len(chunks), len(d.pages),
                tuple(page.number for page in d.pages if page.start == page.end),
                members=member_count(d.metadata),
                metadata=told_metadata(d.metadata, d.origin), origin=d.origin,
                reading=reading_facts(d.metadata) if d.origin == "file" else {},
            )  # fmt: skip
            places = range(first, len(self._own.chunks))
            self._own.versions.append(_Version(info, d, places, self.generation))

    def remove(self, doc_ids: Sequence[str]) -> int:
        if not doc_ids:
            return 0
        with self._step():
            return sum(self._retire(doc_id) for doc_id in doc_ids)

    def mark_stale(self, doc_id: str, reason: str | None) -> None:
        self._refuse_if_broken()
        stored = [v.info.stale for v in self._own.versions
                  if v.info.doc_id == doc_id and v.lives(None)]  # fmt: skip
        if stored in ([], [reason]):
            return
        with self._step():
            self._change(doc_id, lambda v: replace(v, info=replace(v.info, stale=reason)))

    def ask_for(self, sources: Sequence[str], rules: Mapping[str, SourceRules] = NO_RULES) -> None:
        stored = self._own.sources
        wanted = {s: rules.get(s, stored.get(s, SourceRules())) for s in sources}
        if wanted != stored:
            with self._step():
                self._own.sources = wanted

    def decide(self, locations: Sequence[str], decision: Decision | None) -> None:
        for location in locations:
            if self._own.decisions.get(location) != decision:
                with self._step():
                    self._own.decisions.pop(location, None)
                    if decision:
                        self._own.decisions[location] = decision

    def account(self, report: Mapping[str, Any]) -> None:
        if self._has_run:
            with self._step():
                self._run["report"] = json.loads(json.dumps(report))

    def move(self, old: str, new: str) -> int:
        own, moved = self._own, 0
        roots = {v.info.root for v in own.versions if v.lives(None)}
        for version in [v for v in own.versions if v.lives(None)]:
            info = version.info
            place = moved_place((info.root, info.path), old, new, roots=roots)
            if place is None:
                continue
            with self._step():
                self._move_version(version, *place)
            moved += 1
        rules = {moved_location(s, old, new): held for s, held in own.sources.items()}
        self.ask_for(list(rules), rules)
        for location, decision in dict(own.decisions).items():
            if is_below(location, old):
                self.decide([location], None)
                self.decide([moved_location(location, old, new)], decision)
        return moved

    def _move_version(self, version: _Version, root: str, path: str) -> None:
        own, doc_id = self._own, make_doc_id(root, path)
        is_there = any(v.info.doc_id == doc_id and v.lives(None) for v in own.versions)
        self._retire(version.info.doc_id)
        if is_there:
            return
        first = len(own.chunks)
        for stored in [own.chunks[i] for i in version.chunks]:
            hit = stored.hit
            chunk_id = make_chunk_id(doc_id, hit.start, hit.end, hit.text)
            hit = replace(hit, chunk_id=chunk_id, doc_id=doc_id, root=root, path=path)
            own.chunks.append(replace(stored, hit=hit))
        place: dict[str, Any] = {"doc_id": doc_id, "root": root, "path": path}
        info, document = replace(version.info, **place), replace(version.document, **place)
        places = range(first, len(own.chunks))
        own.versions.append(_Version(info, document, places, self.generation))

    def retain(self, *, last: int, days: int) -> int:
        if not self._has_run:
            return 0
        with self._step():
            own = self._own
            own.freeze_counts()
            closed = [r for r in own.runs if r["state"] == "closed" and r["id"] != self.generation]
            kept = [self.generation, *(r["id"] for r in closed[:-last:-1])]
            first_day = datetime.now().astimezone().date() - timedelta(days=days - 1)
            of_days = {_day(r): r["id"] for r in [*closed, self._run] if _day(r) >= first_day}
            keep = {*kept, *of_days.values()}
            before = len(own.runs)
            own.runs = [r for r in own.runs if r["id"] in keep
                        or (r["state"] != "closed" and r["id"] > min(keep))]  # fmt: skip
            return before - len(own.runs)

    def commit(self) -> None:
        self._refuse_if_broken()
        if self._is_changed:
            self._own.runs = [r for r in self._own.runs if r["id"] != self.generation]
            self._own.runs.append(self._run)
            self._own.commits += 1
            self._shared.contents, self._is_changed = self._own.copy(), False

    def end(self, *, failed: bool) -> None:
        broken, self._is_broken = self._is_broken, False
        if failed or broken:
            self._own, self._is_changed = self._shared.contents.copy(), False
        if self._has_run:
            state = "interrupted" if failed or broken else "closed"
            self._run |= {"state": state, "finished_at": _now()}
            self._is_changed = True
            self.commit()
        if not failed:
            self._is_broken = broken
            self._refuse_if_broken()

    def _refuse_if_broken(self) -> None:
        if self._is_broken:
            msg = "a step of this run failed, so nothing after it was kept"
            raise StoreError(msg)

    @property
    def _has_run(self) -> bool:
        return self._is_changed or self._own.newest >= self.generation

    @contextmanager
    def _step(self) -> Iterator[None]:
        self._refuse_if_broken()
        try:
            yield
        except BaseException:
            self._is_broken = True
            raise
        self._is_changed = True

    def _retire(self, doc_id: str) -> int:
        return self._change(doc_id, lambda v: replace(v, died=self.generation))

    def _change(self, doc_id: str, change: Callable[[_Version], _Version]) -> int:
        for i, version in enumerate(self._own.versions):
            if version.info.doc_id == doc_id and version.lives(None):
                self._own.versions[i] = change(version)
                return 1
        return 0


def _hit(d: Document, c: Chunk) -> Hit:
    pages = tuple(p for p in d.pages if p.start < min(p.end, c.end) and p.end > c.start)
    return Hit(
        rank=0, score=None, chunk_id=c.chunk_id, doc_id=d.doc_id, root=d.root, path=d.path,
        title=d.title, kind=d.kind, heading=c.heading, page=c.page, start=c.start, end=c.end,
        text=c.text, file_sha256=d.file_sha256, pages=pages,
        metadata=told_metadata(d.metadata, d.origin),
        from_picture=read_from_picture(d.metadata, (page.number for page in pages)),
    )  # fmt: skip


def _day(run: dict[str, Any]) -> date:
    return datetime.fromisoformat(run["finished_at"] or _now()).astimezone().date()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
