"""Keep OpenMP's threads from burning the processor that other programs need."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Turns of a waiting thread's loop before it sleeps; GNU's own default is 300,000 or more. Measured
# on two cores: as fast as the default on an idle machine; where others compute too, two to ten
# times as fast, since a spinning thread holds the core that the thread it waits for needs.
_SPIN_COUNT = "1000"
_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@contextmanager
def short_waits() -> Iterator[None]:
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
def held_back() -> Iterator[None]:
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
