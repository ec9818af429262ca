"""How far long work is, told on stderr: bars at a terminal, else a line every ten seconds."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.cli.output import end_interrupted, on_terminal, say, size_text
from ragkit.errors import ModelUnavailableError
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn, TaskID

    from ragkit.ingest.run import Progress
    from ragkit.models.ollama import ModelProgress

T = TypeVar("T")

LINE_EVERY_S = 10.0


@contextmanager
def ingest_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far an ingest is while the block runs; yields what to call after every file."""
    started = time.monotonic()
    with _shown(_ingest_columns, quiet=quiet) as show:
        show(_Step("index", "reading", 0, None, columns={"rate": "0.0 passages/s", "path": ""}))
        yield lambda step: show(_ingest_step(step, time.monotonic() - started))


def _ingest_step(step: Progress, seconds: float) -> _Step:
    if step.texts_waiting:
        return _vector_step(step, seconds)
    files = f"{step.files_done}/{step.files_total} files"
    rate = f"{step.texts_embedded / max(seconds, 1e-3):.1f} passages/s"
    share = step.bytes_done / max(step.bytes_total, 1)
    left = _seconds_left(step, seconds, share)
    line = f"{files}, {share:.0%}, {rate}, about {left:.0f} s left"
    columns = {"rate": rate, "path": step.path}
    return _Step("index", files, step.bytes_done, step.bytes_total, line=line, columns=columns)


def _seconds_left(step: Progress, seconds: float, share: float) -> float:
    """How long a run may take yet: files are read sooner than their passages are embedded."""
    by_files = seconds * (1 - share) / max(share, 1e-6)
    if not step.texts_embedded:
        return by_files
    texts = step.texts_read / max(share, 1e-6)
    return max(by_files, (texts - step.texts_embedded) * seconds / step.texts_embedded)


def _vector_step(step: Progress, seconds: float) -> _Step:
    """Of a run that has read all files, and makes the vectors that they wait for."""
    done, left = step.texts_embedded, step.texts_waiting
    rate = done / max(seconds, 1e-3)
    texts = f"{done}/{done + left} vectors"
    line = f"{texts}, {rate:.1f} passages/s, about {left / max(rate, 1e-6):.0f} s left"
    columns = {"rate": f"{rate:.1f} passages/s", "path": "words can be searched already"}
    return _Step("vectors", texts, done, done + left, line=line, columns=columns)


def _ingest_columns() -> tuple[ProgressColumn, ...]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[path]}", markup=False),
    )


def shown_until_first(events: Iterator[T], doing: str) -> Iterator[T]:
    """Events, and at a terminal what is being done until the first of them comes."""
    if on_terminal():
        from rich.console import Console

        with Console(stderr=True).status(doing):
            first = [*islice(events, 1)]
        yield from first
    yield from events


@contextmanager
def question_progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show how many questions were asked while the block runs; yields what to call after each."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        show(_Step("questions", "questions", done, total, line=f"{done} of {total} questions"))

    with _shown(_question_columns, quiet=quiet) as show:
        show(_Step("questions", "questions", 0, total))
        yield step


@contextmanager
def work_progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how far some work is while the block runs.

    Args:
        what: The work, in a word.
        quiet: Show nothing.

    Yields:
        What to call with the steps done and the steps there are.
    """

    def step(done: int, total: int) -> None:
        show(_Step(what, what, done, total, line=f"{what}: {done / max(total, 1):.0%}"))

    with _shown(_question_columns, quiet=quiet) as show:
        yield step


def _question_columns() -> tuple[ProgressColumn, ...]:
    from rich.progress import Progress

    return Progress.get_default_columns()


def follow_download(events: Generator[ModelProgress, None, None], *, kept: str) -> None:
    """Show a stream's progress to its end, which is an error exactly if it was.

    Args:
        events: From `pull`, `push` or `create`. Ctrl-C closes it.
        kept: What to tell after Ctrl-C, or if the stream broke off.
    """
    begun = False
    try:
        with closing(events), download_progress() as show:
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
def download_progress() -> Iterator[Callable[[ModelProgress], None]]:
    """Show how far a model's layers are while the block runs; yields what to call with events."""
    with _shown(_download_columns, transient=False) as show:
        yield _Download(show).add


class _Download:
    """Makes steps of events: of the layer that one is about, and of those it tells to be whole."""

    def __init__(self, show: Callable[[_Step], None]) -> None:
        from ragkit.models.ollama import LayerProgress

        self._show, self._layers = show, LayerProgress()
        self._last: dict[str, ModelProgress] = {}
        self._begun: dict[str, tuple[float, int]] = {}

    def add(self, event: ModelProgress) -> None:
        self._layers.add(event)
        if not event.digest:
            self._show(self._step(event))
        for layer in self._layers.layers:
            if layer.digest == event.digest or layer != self._last.get(layer.digest):
                self._last[layer.digest] = layer
                self._show(self._step(layer))

    def _step(self, event: ModelProgress) -> _Step:
        status, done, total = event.status, event.completed_bytes, event.total_bytes
        begun = self._begun.setdefault(event.digest or status, (time.monotonic(), done))
        return _Step(
            event.digest,
            status,
            done,
            total,
            opening=f"{status}, {size_text(total)}" if total else status,
            line=f"{status}: {_pace(done, total, *begun)}" if total else "",
        )


def _pace(done: int, total: int, then: float, before: int) -> str:
    """The share that is done, and how fast, without what was there from an earlier try."""
    share = f"{done / total:.0%}"
    rate = (done - before) / max(time.monotonic() - then, 1e-3)
    if rate <= 0:
        return share
    return f"{share}, {size_text(rate)}/s, about {(total - done) / rate:.0f} s left"


def _download_columns() -> tuple[ProgressColumn, ...]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """How far a piece of work is.

    Attributes:
        key: Names the piece, which has a bar of its own; empty: its label is a line above them.
        label: Stands before the bar.
        done: How much of it is done.
        total: Of how much; None if that is not known.
        opening: The line that is said when it begins, if no bars are drawn.
        line: The line that is said of it every ten seconds, if no bars are drawn.
        columns: What the bar's own columns show, by name.
    """

    key: str
    label: str
    done: int
    total: int | None
    opening: str = ""
    line: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _shown(
    columns: Callable[[], tuple[ProgressColumn, ...]],
    *,
    quiet: bool = False,
    transient: bool = True,
) -> Iterator[Callable[[_Step], None]]:
    """Show steps while the block runs; yields what to call with each."""
    if quiet:
        yield lambda _: None
    elif on_terminal():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(*columns(), console=Console(stderr=True), transient=transient) as bars:
            yield _bars(bars)
    else:
        yield _lines()


def _bars(bars: Bars) -> Callable[[_Step], None]:
    """Draw a bar for each key, in the order in which they come; other labels are lines above."""
    tasks: dict[str, TaskID] = {}
    said = ""

    def show(step: _Step) -> None:
        nonlocal said
        label = visible(step.label)
        columns: dict[str, Any] = {name: visible(text) for name, text in step.columns.items()}
        if step.key in tasks:
            task = tasks[step.key]
            bars.update(task, description=label, total=step.total, completed=step.done, **columns)
        elif step.key:
            # What was there from an earlier try must not count as speed: it is given at the start.
            tasks[step.key] = bars.add_task(label, total=step.total, completed=step.done, **columns)
        elif label != said:
            said = label
            bars.console.print(label, markup=False, highlight=False)

    return show


def _lines() -> Callable[[_Step], None]:
    """Say the opening of each key or label, and a line if nothing was said for ten seconds."""
    begun: set[str] = set()
    last = time.monotonic()

    def show(step: _Step) -> None:
        nonlocal last
        key, now = step.key or step.label, time.monotonic()
        if key not in begun:
            begun.add(key)
            text = step.opening
        else:
            text = step.line if now - last >= LINE_EVERY_S else ""
        if text:
            last = now
            say(text)

    return show
