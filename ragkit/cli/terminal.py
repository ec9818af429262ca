"""Standard output and input, made safe.

Paths, titles, passages and replies are other people's texts. An escape sequence in one could
move the cursor, rename the window or hide a link's target; a directional mark could turn
``txt.exe`` into ``exe.txt``. So whatever a command prints passes here once, and no command has
to think of it. What comes in may be of another encoding than UTF-8.
"""

from __future__ import annotations

import codecs
import logging
import os
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING

from ragkit.errors import RagkitError
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = "-"
"""What stands for standard input where a text or a file is given."""


def guard_descriptors() -> None:
    """Let nothing stand for a stream that was closed (``2>&-``).

    Else the next file that is opened gets its number, and what a library says lands in that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def guard_stdout() -> None:
    """Let nothing but visible text through to standard output from now on."""
    out = sys.stdout
    if isinstance(out, TextIOWrapper) and not isinstance(out, _VisibleOutput):
        # Click would put a stream of its own in front of one that is ASCII, past this one.
        is_ascii = codecs.lookup(out.encoding).name == "ascii"
        encoding = "utf-8" if is_ascii else out.encoding
        line_buffering = out.line_buffering
        sys.stdout = _VisibleOutput(
            out.detach(),
            encoding=encoding,
            errors="backslashreplace",
            line_buffering=line_buffering,
        )


class _VisibleOutput(TextIOWrapper):
    def write(self, text: str) -> int:
        with _failure_told():
            return super().write(visible(text))

    def flush(self) -> None:
        with _failure_told():
            super().flush()

    def isatty(self) -> bool:
        # Click writes past a terminal's stream to the Windows console, and then past this one.
        return False


@contextmanager
def _failure_told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader has seen enough; typer ends the command quietly
        raise
    except OSError as exc:
        msg = f"the output cannot be written: {exc.strerror}"
        raise RagkitError(msg) from exc


def tell(text: str) -> None:
    """Write a line to stderr, above a bar while one is drawn.

    Not with `typer.echo`: what stands for stderr while there is a bar names no encoding, and click
    writes past such a stream, into the bar's row.
    """
    if sys.stderr is not None:  # a program without a console has none
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class StderrHandler(logging.Handler):
    """Writes log records where stderr goes now."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        tell(self.format(record))


class VisibleFormatter(logging.Formatter):
    """Formats a log record as `visible` shows it."""

    def format(self, record: logging.LogRecord) -> str:
        """The message alone, with the traceback if there is one."""
        return visible(super().format(record))


def stdin_lines() -> Iterator[str]:
    """The lines of standard input as UTF-8, without their ends; odd bytes are replaced."""
    for line in sys.stdin.buffer if sys.stdin else ():  # None if it was closed
        yield line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")


def text_or_stdin(text: str) -> str:
    """A text as it was given on the command line; all of standard input for `STDIN`."""
    return "\n".join(stdin_lines()) if text == STDIN else clean(text)


def clean(text: str) -> str:
    """Replace what a terminal or pipe that speaks no UTF-8 left in a text."""
    return text.encode("utf-8", "replace").decode()
