"""A command at a terminal of its own, typed at and read as a person would."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Shell

CTRL_C, CTRL_D = "\x03", "\x04"
_LIMIT_S = 20.0
# The terminal must be the process's own for Ctrl-C to reach it; only the process can say so.
_LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'ragkit', *sys.argv[1:]])"
)


class Terminal:
    """What stands on the screen, and the keys.

    Args:
        fd: The terminal's other end.
        process: The command.
    """

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd, self._process = fd, process
        self.screen = ""

    def keys(self, text: str) -> None:
        """Type; a line ends with ``\\n``."""
        os.write(self._fd, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait until a text stands on the screen after what was waited for before.

        Returns:
            What came up to it, with it.
        """
        deadline = time.monotonic() + _LIMIT_S
        while text not in self.screen:
            assert self._more(deadline), f"no {text!r} in {self.screen!r}"
        before, _, self.screen = self.screen.partition(text)
        return before + text

    def press(self, key: str, *, until: str) -> None:
        """Press a key again and again until a text stands on the screen.

        For Ctrl-C at a prompt: one that comes in the instant between the prompt and the wait for
        a key is seen by Python only with the next key.
        """
        deadline = time.monotonic() + _LIMIT_S
        while until not in self.screen:
            assert time.monotonic() < deadline, f"no {until!r} in {self.screen!r}"
            self.keys(key)
            self._more(time.monotonic() + 0.5)
        self.wait_for(until)

    def end(self) -> tuple[int, str]:
        """Wait for the command's end; its exit code, and the rest of the screen."""
        deadline = time.monotonic() + _LIMIT_S
        while self._more(deadline):
            pass
        return self._process.wait(_LIMIT_S), self.screen

    def _more(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            got = os.read(self._fd, 65536)
        except OSError:  # how Linux tells that the command has closed its end
            return False
        self.screen += got.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(got)


@contextmanager
def at_terminal(shell: Shell, *words: str, **variables: str) -> Iterator[Terminal]:
    """A command at a terminal; it is killed where the block leaves it running."""
    own, other = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *words],
        cwd=shell.folder,
        env=shell.env | {"TERM": "dumb", "COLUMNS": "100"} | variables,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    with process:
        try:
            yield Terminal(own, process)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(own)
