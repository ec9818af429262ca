"""Events for tracing: each stage tells how long it took and how much there was."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from ragkit import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ragkit.records import TraceEvent

    OnEvent: TypeAlias = "Callable[[TraceEvent], None] | None"


@contextmanager
def traced(on_event: OnEvent, stage: str) -> Iterator[dict[str, int]]:
    """Tell of a stage when it ends, also by an error.

    Args:
        on_event: Told in the thread that runs the stage; None: nobody.
        stage: Its name in `ragkit.records.TraceEvent`.

    Yields:
        Where the stage puts its counts.
    """
    counts: dict[str, int] = {}
    if on_event is None:
        yield counts
        return
    started, error = time.perf_counter(), ""
    try:
        yield counts
    except BaseException as exc:
        error = type(exc).__name__
        raise
    finally:
        on_event(records.TraceEvent(stage, time.perf_counter() - started, counts, error))
