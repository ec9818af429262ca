"""What is told of a run while it lasts: by passages, with a time that can be believed."""

from __future__ import annotations

import logging
import os
import re
import select
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ragkit.cli import progress
from ragkit.cli.progress import ingest_progress
from ragkit.cli.terminal import StderrHandler
from ragkit.ingest.run import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = "annual report.pdf"


def told(*steps: tuple[float, Progress]) -> None:
    """Run through steps, each so many seconds after the start, away from a terminal."""
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
        with ingest_progress(quiet=False) as show:
            for seconds, step in steps:
                now[0] = seconds
                show(step)


def reading(done: int, embedded: int, read: int, **more: int) -> Progress:
    """Of a run over 10 files of 100 bytes each."""
    return Progress(
        done, 10, 100 * done, 1000, embedded, PAGE, texts_read=read, makes_vectors=True, **more
    )


@pytest.mark.parametrize(
    ("seconds", "step", "line"),
    [
        # half the bytes hold 200 passages: there are 400, of which 300 have yet to be made
        (50, reading(5, 100, 200), "5/10 files, 25%, 2.0 passages/s, about 2 min left"),
        # one file is read, and its passages are with the model: nothing tells how fast that is
        (20, reading(1, 0, 40), "1/10 files, 0%"),
        # the first vectors are there before the first file is done
        (20, reading(0, 5, 40), "0/10 files, 0.2 passages/s"),
        # all is read, 30 of 400 have a vector
        (60, reading(10, 30, 400, texts_waiting=370), "30/400 passages, 8%, 0.5 passages/s, about "
         "12 min left"),
        # most vectors were there before; of the last 100 half are made
        (100, reading(10, 50, 400, texts_waiting=50, texts_reused=300),
         "350/400 passages, 88%, 0.5 passages/s, about 2 min left"),
        # the first passages tell little
        (60, reading(10, 7, 400, texts_waiting=393), "7/400 passages, 2%, 0.1 passages/s"),
        # all is made; what is left takes no time that could be foretold
        (100, reading(10, 400, 400), "10/10 files, 100%, 4.0 passages/s, finishing"),
        # without vectors it goes by the bytes
        (30, Progress(5, 10, 500, 1000, 0, PAGE, texts_read=200),
         "5/10 files, 50%, about 30 s left"),
    ],
)  # fmt: skip
def test_it_goes_by_passages_and_the_time_is_that_of_what_is_left(
    seconds: float, step: Progress, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told((seconds, step))

    assert capsys.readouterr().err == line + "\n"


@contextmanager
def stderr_at_terminal() -> Iterator[Callable[[], str]]:
    """Standard error as a pseudo-terminal; yields what gives all that was written to it."""
    own, other = os.openpty()
    before, sys.stderr = sys.stderr, os.fdopen(other, "w", encoding="utf-8")

    def screen() -> str:
        sys.stderr.flush()
        read = b""
        while select.select([own], [], [], 0.1)[0]:
            read += os.read(own, 65536)
        return read.decode().replace("\r\n", "\n")

    try:
        yield screen
    finally:
        sys.stderr.close()
        sys.stderr = before
        os.close(own)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_warning_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    warning = logging.LogRecord("ragkit", logging.WARNING, "", 1, "the server is slow", (), None)
    with stderr_at_terminal() as screen:
        with ingest_progress(quiet=False) as show:
            show(reading(5, 100, 200))
            StderrHandler().emit(warning)
            show(reading(10, 120, 400, texts_waiting=280))
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen())

    lines = [line.split("\r")[-1].strip() for line in shown.split("\n")]
    assert "the server is slow" in lines  # alone in its row
    assert "All files are read: words can be searched already." in lines
    bar = r"120/400 passages ━+[╸╺]━+  30 % 0:00:00 [0-9.]+ passages/s +annual report.pdf"
    assert re.search(bar, shown)
    assert "left" not in shown  # an instant after the start, nobody knows
