"""How far an ingest is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragkit.cli.output import on_terminal, say
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ragkit.ingest.run import Progress

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
