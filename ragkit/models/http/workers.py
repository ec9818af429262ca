"""A small pool of daemon threads.

`concurrent.futures` joins its threads when the interpreter ends, so that Ctrl-C would wait for
replies that may be minutes away (a model that loads). These threads are left behind instead.
"""

from __future__ import annotations

import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Drain = Callable[[], None]

T = TypeVar("T")
R = TypeVar("R")
# Windows does not deliver Ctrl-C to a thread that waits on a lock without a limit.
_WAIT_S = 0.5


class Workers:
    """Applies functions to items on a few threads, started when first needed.

    `map` may be called from several threads at once; they share the workers.

    Args:
        count: Most items in work at the same time, at least 1.
    """

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._queue: SimpleQueue[Drain | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _stop, self._queue, self._threads)

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Apply a function to each item.

        Returns:
            The results in the order of the items.

        Raises:
            Exception: The first that the function raised; items not begun by then are left.
            ValueError: The workers were closed.
        """
        if not self._finalizer.alive:
            msg = "the workers are closed"
            raise ValueError(msg)
        if len(items) == 1:
            return [function(items[0])]
        batch = _Batch(function, items, min(self._count, len(items)))
        self._start()
        for _ in range(batch.drains):
            self._queue.put(batch.drain)
        return batch.wait()

    def close(self) -> None:
        """End the threads once their work is done."""
        self._finalizer()

    def _start(self) -> None:
        with self._lock:
            while len(self._threads) < self._count:
                thread = threading.Thread(
                    target=_work, args=(self._queue,), name="ragkit-embed", daemon=True
                )
                self._threads.append(thread)
                thread.start()


class _Batch(Generic[T, R]):
    """One call of `Workers.map`: several threads take its items, each the next one."""

    def __init__(self, function: Callable[[T], R], items: Sequence[T], drains: int) -> None:
        self.drains = drains
        self._function, self._items = function, items
        self._results: dict[int, R] = {}
        self._error: BaseException | None = None
        self._next, self._running = 0, drains
        self._lock = threading.Lock()
        self._done = threading.Event()

    def drain(self) -> None:
        """Take items until none is left."""
        try:
            while (position := self._take()) is not None:
                self._results[position] = self._function(self._items[position])
        except BaseException as exc:  # noqa: BLE001 -- raised again in the thread that waits
            self._error = self._error or exc
        with self._lock:
            self._running -= 1
            if not self._running or self._error:
                self._done.set()

    def wait(self) -> list[R]:
        """Wait for the results; whatever interrupts the wait lets the rest of the items go."""
        try:
            while not self._done.wait(_WAIT_S):
                pass
        finally:
            self._next = len(self._items)
        if self._error:
            raise self._error
        return [self._results[position] for position in range(len(self._items))]

    def _take(self) -> int | None:
        with self._lock:
            position = self._next
            self._next += 1
        return position if position < len(self._items) and not self._error else None


def _work(queue: SimpleQueue[Drain | None]) -> None:
    while (drain := queue.get()) is not None:
        drain()


def _stop(queue: SimpleQueue[Drain | None], threads: list[threading.Thread]) -> None:
    for _ in threads:
        queue.put(None)
