"""Keeps the served indexes up to date with their folders, each in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ragkit.errors import RagkitError
from ragkit.ingest.load.document import document_path
from ragkit.ingest.update import indexed_sources, kept_choices
from ragkit.ingest.watch import Watcher, WatchTimes
from ragkit.records import IndexReport
from ragkit.store.locate import url_scheme
from ragkit.system import StoppedError, check_stop, stopping_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ragkit.serve.registry import IndexRegistry

_LOOK_S = 5.0
"""Between looks at which indexes and folders there are."""

_REST_S = 600.0
"""An index that could not be updated is tried again after so long."""

_END_S = 5.0


@dataclass(slots=True)
class _Watch:
    """A thread that watches the folders of an index."""

    roots: tuple[str, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(default_factory=threading.Thread)
    ended: float = 0.0


class IndexWatch:
    """Watches the folders of all indexes that are served; used in the event loop's thread.

    Args:
        indexes: Also those that are made later.
        tell: Called with each sentence for people, in any thread.
        report: Called with an index's name and the account of each update, in any thread.
        times: When to look.
    """

    def __init__(
        self,
        indexes: IndexRegistry,
        tell: Callable[[str], None],
        report: Callable[[str, IndexReport], None] = lambda _name, _report: None,
        *,
        times: WatchTimes | None = None,
    ) -> None:
        self._indexes, self._tell, self._report = indexes, tell, report
        self._times = times or WatchTimes()
        self._watches: dict[str, _Watch] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    def stop(self) -> None:
        """End all updates after the file at hand; what was read is kept."""
        if self._task is not None:
            self._task.cancel()
        for watch in self._watches.values():
            watch.stop.set()

    async def close(self) -> None:
        """Stop, and wait a moment for the threads."""
        self.stop()
        end = time.monotonic() + _END_S
        while any(w.thread.is_alive() for w in self._watches.values()) and time.monotonic() < end:
            await asyncio.sleep(0.02)

    async def _keep_on(self) -> None:
        while True:
            names = self._indexes.names()
            for gone in self._watches.keys() - set(names):
                self._watches.pop(gone).stop.set()
            for name in names:
                await self._look_after(name)
            await asyncio.sleep(_LOOK_S)

    async def _look_after(self, name: str) -> None:
        """Have an index watched as its folders are now."""
        try:
            place = self._indexes.place_of(name)
            async with self._indexes.using(name) as rag:
                roots = tuple(await rag.run(lambda pipeline: indexed_sources(pipeline.store)))
        except RagkitError:  # who asks it is told; it may be mended meanwhile
            return
        there = self._watches.get(name)
        if there is not None and there.roots == roots:
            is_over = not there.thread.is_alive()
            if not is_over or time.monotonic() - there.ended < _REST_S:
                return
        if there is not None:
            there.stop.set()
        if roots:
            self._watches[name] = self._begin(name, place, roots)

    def _begin(self, name: str, place: str | Path, roots: tuple[str, ...]) -> _Watch:
        watch = _Watch(roots)
        watch.thread = threading.Thread(
            target=self._watched, args=(watch, name, place), name=f"watch {name}", daemon=True
        )
        watch.thread.start()
        return watch

    def _watched(self, watch: _Watch, name: str, place: str | Path) -> None:
        watcher = Watcher(
            watch.roots,
            partial(self._update, name, place),
            lambda said: self._tell(f"{name}: {said}"),
            apart=[] if url_scheme(place) else [os.path.realpath(place), str(place)],
            times=self._times,
            shows_hidden=self._indexes.config.load.hidden,
        )
        try:
            with stopping_by(watch.stop):
                watcher.run(watch.stop)
        except StoppedError:
            return
        except RagkitError as exc:
            self._tell(f"{name}: not watched for {_REST_S / 60:g} minutes: {exc}")
        finally:
            watch.ended = time.monotonic()

    def _update(self, name: str, place: str | Path, due: Sequence[str]) -> IndexReport:
        """Bring an index up to date with some of its folders, but for what was removed by hand."""
        with self._indexes.open_apart(place) as rag:
            removed = kept_choices(rag.store).removed
            wanted = [root for root in due if document_path(root) not in removed]
            report = IndexReport()
            if wanted:
                report = rag.index(*wanted, on_progress=lambda _: check_stop())
        self._report(name, report)
        return report
