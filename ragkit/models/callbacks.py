"""Turn a blocking call that reports through a callback into an iterator that can be closed."""

from __future__ import annotations

import atexit
import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Item = TypeVar("Item")


def stream(call: Callable[[Callable[[Item], bool]], object]) -> Generator[Item, None, None]:
    """Run a call in a thread of its own and yield what it reports, as it comes.

    Args:
        call: Takes a callback, reports each item to it, and must end soon after the callback
            returned True.

    Yields:
        The items, in order.

    Closing the iterator, also by an exception or at the interpreter's exit, makes the callback
    return True and waits for the call to end. An exception of the call is raised here, after the
    items that came before it.
    """
    items: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
    cancelled = threading.Event()

    def report(item: Item) -> bool:
        items.put(item)
        return cancelled.is_set()

    def run() -> None:
        try:
            call(report)
        except BaseException as exc:  # noqa: BLE001 -- handed to the reader, who raises it
            items.put(exc)
        else:
            items.put(None)

    # A daemon, so that a reader who forgets the iterator cannot keep the process alive.
    thread = threading.Thread(target=run, name="ragkit-stream", daemon=True)

    def stop() -> None:
        cancelled.set()
        thread.join()

    # Native code that calls back into an interpreter that is gone would crash the process.
    atexit.register(stop)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop()
        atexit.unregister(stop)
