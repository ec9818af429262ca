"""How far long work is, an ingest or a download: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ragkit.cli.output import end_interrupted, on_terminal, say, size_text
from ragkit.errors import ModelUnavailableError
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ragkit.ingest.run import Progress
    from ragkit.models.ollama import ModelProgress

LINE_EVERY_S = 10.0


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr while the block runs; yields what to call with each step."""
    if quiet:
        yield lambda _: None
    elif on_terminal():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.fields[files]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]:.1f} passages/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[path]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    started = time.monotonic()
    with bar:
        task = bar.add_task("index", total=None, files="reading", rate=0.0, path="")

        def show(step: Progress) -> None:
            rate = step.texts_embedded / max(time.monotonic() - started, 1e-3)
            bar.update(
                task,
                completed=step.files_done,
                total=step.files_total,
                files=f"{step.files_done}/{step.files_total} files",
                rate=rate,
                path=visible(step.path),
            )

        yield show


def _lines() -> Callable[[Progress], None]:
    started = last = time.monotonic()

    def show(step: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S:
            return
        last = now
        share = step.bytes_done / max(step.bytes_total, 1)
        left = (now - started) * (1 - share) / max(share, 1e-6)
        say(
            f"{step.files_done}/{step.files_total} files, {share:.0%}, "
            f"{step.texts_embedded / (now - started):.1f} passages/s, about {left:.0f} s left"
        )

    return show


def follow(events: Generator[ModelProgress, None, None], *, kept: str) -> None:
    """Show a stream's progress on stderr to its end, which is an error exactly if it was.

    Args:
        events: From `pull`, `push` or `create`. Ctrl-C closes it.
        kept: What to tell after Ctrl-C, or where the stream broke off.
    """
    begun = False
    try:
        with closing(events), layers_shown() as show:
            for event in events:
                begun = True
                show(event)
    except KeyboardInterrupt:
        end_interrupted(kept)
    except ModelUnavailableError:
        if begun:
            say(f"({kept})")
        raise


@contextmanager
def layers_shown() -> Iterator[Callable[[ModelProgress], None]]:
    """Show progress on stderr while the block runs; yields what to call with each event."""
    if not on_terminal():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        yield _Bars(bar).show


class _Bars:
    """One bar for each layer, in the order in which they come; other events are lines above."""

    def __init__(self, bar: Bar) -> None:
        from ragkit.models.ollama import LayerProgress

        self._bar = bar
        self._layers = LayerProgress()
        self._tasks: dict[str, TaskID] = {}
        self._status = ""

    def show(self, event: ModelProgress) -> None:
        if not event.digest and event.status != self._status:
            self._status = event.status
            self._bar.console.print(event.status, markup=False, highlight=False)
        self._layers.add(event)
        for layer in self._layers.layers:
            self._show_layer(layer)

    def _show_layer(self, layer: ModelProgress) -> None:
        done, total = layer.completed_bytes, layer.total_bytes
        task = self._tasks.get(layer.digest)
        if task is None:
            # What lay there from an earlier try must not count as speed: it is given at the start.
            task = self._bar.add_task(layer.status, total=total, completed=done)
            self._tasks[layer.digest] = task
        self._bar.update(task, total=total, completed=done)


class _Lines:
    """A line for each new status and layer, and one now and then for a layer that takes long."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, int]] = {}
        self._last = time.monotonic()

    def show(self, event: ModelProgress) -> None:
        now, key = time.monotonic(), event.digest or event.status
        if key not in self._begun:
            self._begun[key] = (now, event.completed_bytes)
            of = f", {size_text(event.total_bytes)}" if event.total_bytes else ""
            say(event.status + of)
        elif event.total_bytes and now - self._last >= LINE_EVERY_S:
            say(f"{event.status}: {self._pace(event, event.total_bytes, now)}")
        else:
            return
        self._last = now

    def _pace(self, event: ModelProgress, total: int, now: float) -> str:
        then, before = self._begun[event.digest or event.status]
        share = f"{event.completed_bytes / total:.0%}"
        rate = (event.completed_bytes - before) / max(now - then, 1e-3)
        if rate <= 0:
            return share
        left = (total - event.completed_bytes) / rate
        return f"{share}, {size_text(rate)}/s, about {left:.0f} s left"
