"""How far long work is, told on stderr: bars at a terminal, else a line every ten seconds."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.cli.output import duration_text, end_interrupted, on_terminal, say, size_text
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
# Of a run, until how long it takes is told: the first files and a model's first reply tell little.
_SURE_AFTER_S = 5.0
_SURE_AFTER_SHARE = 0.02


@contextmanager
def ingest_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far an ingest is while the block runs; yields what to call after every file."""
    started = time.monotonic()

    def step(told: Progress) -> None:
        if told.texts_waiting:
            show(_Step("", "All files are read: words can be searched already."))
        show(_ingest_step(told, time.monotonic() - started))

    with _shown(_ingest_columns, quiet=quiet) as show:
        show(_Step("index", "reading", 0, None, columns={"rate": "", "left": "", "path": ""}))
        yield step


def _ingest_step(step: Progress, seconds: float) -> _Step:
    """How far an ingest is, so many seconds after its start."""
    done, total = _ingest_work(step)
    files = f"{step.files_done}/{step.files_total} files"
    label = f"{done}/{total} passages" if step.texts_waiting else files
    rate = step.texts_embedded / max(seconds, 1e-3)
    columns = {
        "rate": f"{rate:.1f} passages/s" if rate else "",
        "left": _ingest_left(step, total - done, seconds),
    }
    page = f"{step.path}, page {step.page} of {step.pages}" if step.pages else ""
    parts = [label, f"{done / total:.0%}" if total else "", *columns.values(), page]
    line = ", ".join(part for part in parts if part)
    columns["path"] = page or step.path
    return _Step("index", label, done, total or None, line=line, columns=columns)


def _ingest_work(step: Progress) -> tuple[int, int]:
    """What is done, and of how much: passages if vectors are made, which take the time, else bytes.

    While files are read, how many passages there will be is judged by those of the bytes so far.
    """
    if not step.makes_vectors:
        return step.bytes_done, step.bytes_total
    done = step.texts_embedded + step.texts_reused
    if step.texts_waiting:
        return done, done + step.texts_waiting
    read = _share_read(step)
    return done, max(round(step.texts_read / read), done) if read else 0


def _ingest_left(step: Progress, undone: int, seconds: float) -> str:
    """How long it takes yet, in words; "" while nothing tells, or too little to be believed."""
    if step.files_done == step.files_total and undone <= 0:
        return "finishing"  # it is measured which questions to refuse
    undone, read = max(undone, 0), _share_read(step)
    left = seconds * (1 - read) / read if read else None
    done = read
    if step.texts_embedded and (read or undone):
        left = max(left or 0.0, undone * seconds / step.texts_embedded)
        done = step.texts_embedded / (step.texts_embedded + undone)
    elif step.makes_vectors and (step.texts_waiting or step.texts_reused < step.texts_read):
        left = None  # how fast the model is has yet to be seen
    is_sure = seconds >= _SURE_AFTER_S and done >= _SURE_AFTER_SHARE
    return "" if left is None or not is_sure else f"about {duration_text(left)} left"


def _share_read(step: Progress) -> float:
    return step.bytes_done / max(step.bytes_total, 1)


def _ingest_columns() -> tuple[ProgressColumn, ...]:
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    one_line = Column(no_wrap=True, overflow="ellipsis")
    return (
        SpinnerColumn(),  # a batch of passages may take a minute, in which nothing else moves
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[path]}", markup=False, table_column=one_line),
    )


def shown_until(
    events: Iterator[T], doing: str, is_seen: Callable[[T], bool] = lambda _: True
) -> Iterator[T]:
    """Events, and at a terminal what is being done until the first of them that a person sees.

    Args:
        events: Of an answer that is being made.
        doing: The words that stand beside the spinner.
        is_seen: Whether an event is printed; one that is not leaves the spinner where it is.
    """
    if on_terminal():
        from rich.console import Console

        held = []
        with Console(stderr=True).status(doing):
            for event in events:
                held.append(event)
                if is_seen(event):
                    break
        yield from held
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
    return f"{share}, {size_text(rate)}/s, about {duration_text((total - done) / rate)} left"


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
    done: int = 0
    total: int | None = None
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
