"""What a process asks of the system: Ctrl-C in time, threads that hold nobody up, a calm OpenMP."""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from ragkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    Job = Callable[[], None]

T = TypeVar("T")
R = TypeVar("R")

# Turns of a waiting thread's loop before it sleeps; GNU's own default is 300,000 or more. Measured
# on two cores: as fast as the default on an idle machine; where others compute too, two to ten
# times as fast, since a spinning thread holds the core that the thread it waits for needs.
_SPIN_COUNT = "1000"
_M_ARENA_MAX = -8  # of <malloc.h>
_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
# Windows does not deliver Ctrl-C to a thread that waits on a lock without a limit.
_WAIT_S = 0.5


@contextmanager
def passive_openmp() -> Iterator[None]:
    """Let an OpenMP library that is loaded inside the block wait by sleeping.

    The library reads the environment once, when it is loaded; the environment is put back
    afterwards. A user's own setting is left alone, and libraries other than GNU's take no notice.
    """
    if any(name in os.environ for name in _SETTINGS):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block; what is inside must be short.

    Outside the main thread, which alone receives it, this does nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[FrameType | None] = []

    def remember(_number: int, frame: FrameType | None) -> None:
        came.append(frame)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(signal.SIGINT, came[-1])


def share_allocator() -> None:
    """Let all threads of the process allocate from one pool, where its C library has many.

    GNU's gives eight a core: memory that one thread freed is none to another, so that with twenty
    threads the pages of a catalog, which each commit drops, took the room again and again. A
    user's own setting is left alone. Call it before threads are started.
    """
    if not sys.platform.startswith("linux") or "MALLOC_ARENA_MAX" in os.environ:
        return
    from ctypes import CDLL  # for servers alone

    with suppress(AttributeError, OSError):  # another C library
        CDLL(None).mallopt(_M_ARENA_MAX, 1)


class StoppedError(KeyboardInterrupt):
    """What a call ends with that was asked to stop: as by Ctrl-C, what was done is kept."""


_STOP: ContextVar[threading.Event | None] = ContextVar("ragkit_stop", default=None)


@contextmanager
def stopping_by(event: threading.Event) -> Iterator[None]:
    """Let `check_stop` raise in this thread, within the block, once an event is set."""
    token = _STOP.set(event)
    try:
        yield
    finally:
        _STOP.reset(token)


def check_stop() -> None:
    """End what runs here if that was asked for.

    Raises:
        StoppedError: It was, by the event of `stopping_by`.
    """
    event = _STOP.get()
    if event is not None and event.is_set():
        raise StoppedError


class DaemonPool:
    """A few threads that call functions, each started when all others work; for several threads.

    The interpreter waits at its exit for the threads of a `ThreadPoolExecutor`, so that Ctrl-C
    would wait for a server that takes minutes to load a model. These are left behind instead.

    Functions that wait are called in the order in which they came. Of the threads that wait, the
    one that worked last is taken: each keeps memory of its own once it has worked.

    Args:
        count: Most threads, at least 1.
    """

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._crew = _Crew()
        self._finalizer = weakref.finalize(self, self._crew.stop)

    def submit(self, function: Callable[[], R]) -> Future[R]:
        """Have a function called; where its future is cancelled before, it is not.

        Raises:
            InputError: The pool was closed.
        """
        if not self._finalizer.alive:
            msg = "it was closed, and so its threads are: open another one"
            raise InputError(msg)
        future: Future[R] = Future()
        self._crew.take(partial(_settle, future, function), self._count)
        return future

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Apply a function to each item; a single one in the caller's own thread.

        Returns:
            The results in the order of the items.

        Raises:
            Exception: The first that the function raised; items not begun by then are left, as
                they are where the wait is interrupted.
            ValueError: The pool was closed.
        """
        if len(items) == 1 and self._finalizer.alive:
            return [function(items[0])]
        left, lock, stop = iter(enumerate(items)), threading.Lock(), threading.Event()
        results: dict[int, R] = {}

        def take() -> tuple[int, T] | None:
            with lock:
                return next(left, None)

        def drain() -> None:
            try:
                while not stop.is_set() and (taken := take()):
                    results[taken[0]] = function(taken[1])
            except BaseException:
                stop.set()
                raise

        running = {self.submit(drain) for _ in range(min(self._count, len(items)))}
        try:
            while running:
                ended, running = wait(running, _WAIT_S, FIRST_EXCEPTION)
                for future in ended:
                    future.result()
        finally:
            stop.set()
        return [results[place] for place in range(len(items))]

    def close(self) -> None:
        """End the threads once their work is done."""
        self._finalizer()


class _Crew:
    """The threads of a pool; they do not hold the pool, whose end is theirs."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may end a pool where a thread of it looks for work.
        self._lock = threading.RLock()
        self._jobs: deque[Job] = deque()
        self._idle: list[SimpleQueue[Job | None]] = []
        self.threads: list[threading.Thread] = []
        self._is_stopped = False

    def take(self, job: Job, most: int) -> None:
        """Have a job done by one of at most so many threads."""
        with self._lock:
            if self._idle:
                self._idle[-1].put(job)  # before it is taken off: Ctrl-C in between loses no thread
                self._idle.pop()
                return
            self._jobs.append(job)
            if len(self.threads) < most:
                thread = threading.Thread(target=self._work, name="ragkit-pool", daemon=True)
                self.threads.append(thread)
                thread.start()

    def stop(self) -> None:
        """Let the threads end once all jobs are done."""
        with self._lock:
            self._is_stopped = True
            for waiting in self._idle:
                waiting.put(None)

    def _work(self) -> None:
        own: SimpleQueue[Job | None] = SimpleQueue()
        while (job := self._next(own)) is not None:
            job()
            del job  # it has its result, which would be kept until the next one comes

    def _next(self, own: SimpleQueue[Job | None]) -> Job | None:
        with self._lock:
            if self._jobs:
                return self._jobs.popleft()
            self._idle.append(own)
            if self._is_stopped:
                return None
        return own.get()


def _settle(future: Future[R], function: Callable[[], R]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as exc:  # noqa: BLE001 -- raised again where the result is taken
        future.set_exception(exc)
