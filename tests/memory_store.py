"""MemoryStore: a second implementation of `VectorStore`, for the tests of the seam."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import (
    IndexChangedError,
    IndexLockedError,
    IndexMismatchError,
    StoreError,
    UnsupportedByStoreError,
)
from ragkit.protocols import StoreStats, Violation
from ragkit.records import DocumentInfo, Hit, make_chunk_id
from ragkit.store.ranking import ranked_hits
from ragkit.text.analysis import QueryTerm, index_text, query_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ragkit.protocols import SearchRequest, Vectors
    from ragkit.records import Chunk, Document


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
    sources: frozenset[str] = frozenset()
    commits: int = 0

    def copy(self) -> _Contents:
        runs = [dict(run) for run in self.runs]
        return _Contents(
            [*self.versions], [*self.chunks], dict(self.cache), runs, self.sources, self.commits
        )


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
        return len(self._contents.runs)

    def commits(self) -> int:
        return self._contents.commits

    @contextmanager
    def writing(self, command: str) -> Iterator[_MemoryWriter]:
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
        dim = self.embedder.get("dim", 0)
        if request.vector is not None and request.vector.shape != (dim,):
            given, stored = str(request.vector.shape[-1]), str(dim)
            msg = f"the question's vector has {given} dimensions and the index has {stored}"
            raise IndexMismatchError(msg, self.location, stored=stored, given=given)
        closed = {run["id"] for run in contents.runs if run["state"] == "closed"}
        if request.as_of is not None and request.as_of not in closed:
            msg = f"{self.location} has no closed generation {request.as_of} to search"
            raise StoreError(msg, self.location)
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

    def documents(self, *, root: str | None = None) -> list[DocumentInfo]:
        infos = [v.info for v in self._living() if root in (None, v.info.root)]
        return sorted(infos, key=lambda info: (info.path, info.root))

    def sources(self) -> list[str]:
        return sorted(self._contents.sources)

    def runs(self) -> list[dict[str, Any]]:
        return [dict(run) for run in reversed(self._contents.runs)]

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

    def note(self, name: str) -> Any:
        return json.loads(self._open.notes.get(name, "null"))

    def keep_note(self, name: str, value: Any) -> None:
        self._open.notes[name] = json.dumps(value)

    def check(self, *, quick: bool = False) -> Iterator[Violation]:
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
            for i in version.chunks
        ]

    def nearest(self, count: int) -> dict[int, float]:
        cosines = self.cosines(self._allowed)
        return {i: cosines[i] for i in sorted(cosines, key=lambda i: (-cosines[i], i))[:count]}

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

    def __init__(self, shared: _Shared, command: str) -> None:
        self._shared = shared
        self._own = shared.contents.copy()
        self.generation = len(self._own.runs) + 1
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
            )  # fmt: skip
            places = range(first, len(self._own.chunks))
            self._own.versions.append(_Version(info, d, places, self.generation))

    def remove(self, doc_ids: Sequence[str]) -> int:
        if not doc_ids:
            return 0
        with self._step():
            return sum(self._retire(doc_id) for doc_id in doc_ids)

    def mark_stale(self, doc_id: str, reason: str | None) -> None:
        with self._step():
            self._change(doc_id, lambda v: replace(v, info=replace(v.info, stale=reason)))

    def ask_for(self, sources: Sequence[str]) -> None:
        if set(sources) != self._own.sources:
            with self._step():
                self._own.sources = frozenset(sources)

    def account(self, report: Mapping[str, Any]) -> None:
        if self._has_run:
            with self._step():
                self._run["report"] = json.loads(json.dumps(report))

    def commit(self) -> None:
        self._refuse_if_broken()
        if self._is_changed:
            self._own.runs[self.generation - 1 :] = [self._run]
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
        return self._is_changed or len(self._own.runs) >= self.generation

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
    )  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
