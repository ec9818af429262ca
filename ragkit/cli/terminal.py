"""Standard output without what a terminal would obey or nobody would see.

Paths, titles, passages and replies are other people's texts. An escape sequence in one could
move the cursor, rename the window or hide a link's target; a directional mark could turn
``txt.exe`` into ``exe.txt``. So whatever a command prints passes here once, and no command has
to think of it.
"""

from __future__ import annotations

import logging
import sys
from io import TextIOWrapper

from ragkit.visible import visible


class _VisibleOutput(TextIOWrapper):
    def write(self, text: str) -> int:
        return super().write(visible(text))

    def isatty(self) -> bool:
        # Click writes past a terminal's stream to the Windows console, and then past this one.
        return False


class VisibleFormatter(logging.Formatter):
    """Formats a log record as `visible` shows it."""

    def format(self, record: logging.LogRecord) -> str:
        """The message alone, with the traceback where there is one."""
        return visible(super().format(record))


def guard_stdout() -> None:
    """Let nothing but visible text through to standard output from now on."""
    out = sys.stdout
    if isinstance(out, TextIOWrapper) and not isinstance(out, _VisibleOutput):
        settings = {
            "encoding": out.encoding,
            "errors": out.errors,
            "line_buffering": out.line_buffering,
        }
        sys.stdout = _VisibleOutput(out.detach(), **settings)  # type: ignore[arg-type]  # as read
