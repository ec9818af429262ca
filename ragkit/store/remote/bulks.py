"""Bulk requests, several at a time."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ragkit.store.remote.rows import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ragkit.store.remote.cluster import Cluster

BULK_BYTES = 8_000_000
"""How much is gathered before it is sent."""

IN_FLIGHT = 3
"""How many bulk requests are under way at once."""

_DIES = """
if (ctx._source.died == null || ctx._source.died < params.died) {
  ctx._source.died = params.died
} else {
  ctx.op = "none"
}
"""


class BulkSender:
    """Gathers operations and sends many at once, in threads beside its caller's.

    Operations of one row must not be under way together: `drain` between them. At most
    `IN_FLIGHT` requests of some `BULK_BYTES` are under way, and one more is gathered; who adds
    to more waits. After one that failed, each further call raises its error.

    Args:
        cluster: The nodes; each thread has connections of its own to them.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lines: list[bytes] = []
        self._bytes = 0
        self._room = threading.Semaphore(IN_FLIGHT)
        self._waiting: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._errors: list[Exception] = []

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

    def send(self) -> None:
        """Send what was gathered, as soon as there is room.

        Raises:
            StoreError: An earlier request failed for good.
        """
        if not self._lines:
            return
        self._room.acquire()
        if self._errors:
            self._room.release()
            self._raise_first()
        if len(self._threads) < IN_FLIGHT:
            thread = threading.Thread(target=self._work, name="ragkit-bulk", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._waiting.put(self._lines)
        self._lines, self._bytes = [], 0

    def drain(self) -> None:
        """Send what was gathered, and wait until all of it has been carried out.

        Raises:
            StoreError: A request failed for good; what befell others stands in its notes.
        """
        self.send()
        with ExitStack() as held:  # all of the room: then nothing is under way
            for _ in range(IN_FLIGHT):
                held.enter_context(self._room)
        self._raise_first()

    def close(self) -> None:
        """Wait for what is under way, and end; what was gathered is not sent."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _add(self, *lines: bytes) -> None:
        self._lines += lines
        self._bytes += sum(map(len, lines))
        if self._bytes >= BULK_BYTES:
            self.send()

    def _work(self) -> None:
        while (lines := self._waiting.get()) is not None:
            try:
                if not self._errors:
                    self._cluster.bulk(lines, conflicts=True)
            except Exception as exc:  # noqa: BLE001 -- raised where the caller waits
                self._errors.append(exc)
            finally:
                self._room.release()
        self._cluster.close()

    def _raise_first(self) -> None:
        if not self._errors:
            return
        first, *others = self._errors
        for other in dict.fromkeys(map(str, others)):
            if other != str(first):
                first.add_note(f"beside it: {other}")
        self._errors = [first]
        raise first
