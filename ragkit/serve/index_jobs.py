"""Indexing on behalf of clients: one job an index at a time, which can be watched and cancelled."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from starlette.exceptions import HTTPException

from ragkit.async_pipeline import AsyncPipeline
from ragkit.errors import IndexLockedError, InputError
from ragkit.records import IndexReport, copy_fields
from ragkit.serve.client_names import folder_below
from ragkit.serve.failures import told
from ragkit.serve.own_replies import ToldError
from ragkit.serve.uploads import uploads_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ragkit.ingest.run import Progress
    from ragkit.serve.serving import Serving

JobState: TypeAlias = Literal["running", "cancelling", "done", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")

_KEPT = 50
"""Jobs that are over and can still be asked for."""

_TELL_S = 0.2
"""Progress is told no more often."""

_LOCKED_S, _TRY_S = 120.0, 0.5
"""For so long a job waits for another one that writes to its index, as `--watch` may."""

_ALIVE_S = 15.0
"""After so long without news a stream says that it is there: proxies cut what is silent."""


@dataclass(frozen=True, slots=True)
class ProgressReply:
    """How far a job is, as `ragkit.ingest.run.Progress` has it."""

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    texts_embedded: int
    path: str
    texts_waiting: int
    texts_read: int
    texts_reused: int
    makes_vectors: bool
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class JobReply:
    """A job that brings an index up to date.

    ``folders`` are those that it was asked to add. ``report`` is the account of one that is done,
    ``error`` why one failed. What was read before a job was cancelled or failed is kept.
    """

    id: str
    index: str
    folders: tuple[str, ...]
    state: JobState
    started_at: str
    finished_at: str | None = None
    progress: ProgressReply | None = None
    report: IndexReport | None = None
    error: ToldError | None = None


@dataclass(frozen=True, slots=True)
class JobsReply:
    """The jobs of a server, newest first."""

    jobs: tuple[JobReply, ...]


class IndexJob:
    """One job; used in the thread of the event loop, but for `note`.

    Args:
        index: Its name.
        folders: That are added.
    """

    def __init__(self, index: str, folders: Sequence[str]) -> None:
        self.id = secrets.token_hex(8)
        self.index, self.folders = index, tuple(folders)
        self.state: JobState = "running"
        self.started_at, self.finished_at = _now(), ""
        self.progress: Progress | None = None
        self.report: IndexReport | None = None
        self.error: ToldError | None = None
        self.task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._told = 0.0

    def note(self, progress: Progress) -> None:
        """Take note of how far it is; called in the thread that works."""
        now = time.monotonic()
        self.progress = progress
        if now - self._told >= _TELL_S:
            self._told = now
            self._loop.call_soon_threadsafe(self.announce)

    def announce(self) -> None:
        """Wake those who watch it."""
        self._news.set()
        self._news = asyncio.Event()

    def end(self, state: JobState) -> None:
        """It is over."""
        self.state, self.finished_at = state, _now()
        self.announce()

    def reply(self) -> JobReply:
        """As it is now."""
        progress = self.progress
        return JobReply(
            self.id,
            self.index,
            self.folders,
            self.state,
            self.started_at,
            self.finished_at or None,
            None if progress is None else copy_fields(progress, ProgressReply),
            self.report,
            self.error,
        )

    async def states(self) -> AsyncGenerator[JobReply | None, None]:
        """The job as it is now and whenever it is further; None: nothing new for a while."""
        while True:
            news = self._news
            yield self.reply()
            if self.state in ENDED:
                return
            while not news.is_set():
                try:
                    await asyncio.wait_for(news.wait(), _ALIVE_S)
                except TimeoutError:
                    yield None


class IndexJobs:
    """The jobs of a server; used in the thread of its event loop.

    Args:
        serving: The indexes, and the folders that may be added.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._jobs: OrderedDict[str, IndexJob] = OrderedDict()

    def all(self) -> list[IndexJob]:
        """Those that run and the last that are over, newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> IndexJob:
        """A job by its id.

        Raises:
            HTTPException: There is none; 404.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise HTTPException(404, f"no job {job_id!r:.80}; it may have been long ago")
        return job

    async def start(self, index: str, folders: Sequence[str]) -> IndexJob:
        """Begin to bring an index up to date, or to make it.

        Args:
            index: Its name; "" is the only one.
            folders: To be added, each below one of ``serve.roots``; none: what it was made of, and
                files that were sent to it.

        Raises:
            InputError: A folder may not be added, or there is nothing to make the index of.
            HTTPException: The server is being stopped, 503; a job for this index is running, 409.
        """
        from ragkit.ingest.update import indexed_sources  # most servers only read

        if self._serving.is_stopping:
            raise HTTPException(503, "the server is being stopped")
        indexes = self._serving.indexes
        name, place = indexes.place_for(index)
        added = [folder_below(path, self._serving.settings.roots) for path in folders]
        known = []
        if indexes.has(name):
            async with indexes.using(name) as rag:
                known = await rag.run(lambda pipeline: indexed_sources(pipeline.store))
        sources = _sources(added, known, uploads_folder(name, place))
        if not sources and not known:
            msg = f"there is nothing to make the index {name!r} of: name a folder, or send a file"
            raise InputError(msg)
        self._require_idle(name)
        rag = AsyncPipeline(indexes.open_apart(place), threads=1)
        job = IndexJob(name, folders)
        self._jobs[job.id] = job
        self._forget()
        job.task = asyncio.get_running_loop().create_task(_run(job, rag, sources))
        return job

    def _require_idle(self, index: str) -> None:
        for job in self._jobs.values():
            if job.index == index and job.state not in ENDED:
                msg = f"the index {index!r} is being brought up to date by the job {job.id}"
                raise HTTPException(409, msg)

    def cancel(self, job: IndexJob) -> None:
        """Ask a job to stop; it does after its next file, and what was read is kept."""
        if job.state == "running" and job.task is not None:
            job.state = "cancelling"
            job.announce()
            job.task.cancel()

    def cancel_all(self) -> None:
        """Ask all to stop."""
        for job in self._jobs.values():
            self.cancel(job)

    async def close(self) -> None:
        """Stop all, and wait for their ends."""
        self.cancel_all()
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        over = [job.id for job in self._jobs.values() if job.state in ENDED]
        for job_id in over[: max(0, len(self._jobs) - _KEPT)]:
            del self._jobs[job_id]


def _sources(folders: list[Path], known: list[str], uploads: Path) -> list[Path]:
    """What a job reads; none: all that the index was made of."""
    is_new = uploads.is_dir() and str(uploads) not in known
    if not is_new:
        return folders
    return [*(folders or map(Path, known)), uploads]


async def _run(job: IndexJob, rag: AsyncPipeline, sources: Sequence[Path]) -> None:
    """Do a job to its end, however it ends."""
    end: JobState = "failed"
    try:
        job.report = await _indexed(job, rag, sources)
        end = "done"
    except asyncio.CancelledError:
        end = "cancelled"
    except Exception as exc:  # noqa: BLE001 -- told by the job; its request was answered long ago
        status, kind, message = told(exc)
        job.error = ToldError(kind, message, status)
    finally:
        await asyncio.shield(rag.close())  # waits for the thread: the index is left in order
        job.end(end)


async def _indexed(job: IndexJob, rag: AsyncPipeline, sources: Sequence[Path]) -> IndexReport:
    """Bring the index up to date, after whoever writes to it now."""
    deadline = time.monotonic() + _LOCKED_S
    while True:
        try:
            return await rag.index(*sources, on_progress=job.note)
        except IndexLockedError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_TRY_S)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
