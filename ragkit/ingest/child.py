"""Processes of our own, with pipes to and from them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import ragkit

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of files that are to be read: less is split in the time that a process takes to start, 0.1 s.
APART_BYTES = 1_000_000
END_S = 5.0  # for a process to end its own child
PIPE_BYTES = 1 << 20  # the most that Linux grants everybody; other systems keep their own size


def start_child(module: str, *arguments: str, pipe_bytes: int = -1) -> subprocess.Popen[bytes]:
    """Start a module of ours as a process, with pipes to and from it.

    Args:
        module: Its full name.
        arguments: For its command line.
        pipe_bytes: What the pipes are to hold, where the system (Linux) lets one choose.

    Raises:
        OSError: It cannot be started.
    """
    # -P keeps the working folder, which may hold strangers' files, off the child's path; the
    # parent's own path makes the child import the very modules that the parent runs.
    folders = [*filter(None, sys.path), str(Path(ragkit.__file__).parent.parent)]

    def start(pipe_bytes: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 -- this interpreter, our module
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=pipe_bytes,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, folders))},
        )

    try:
        return start(pipe_bytes)
    except OSError:
        if pipe_bytes < 0:
            raise
        return start(-1)  # the user has no more memory for pipes: smaller ones serve too


def start_reader() -> subprocess.Popen[bytes]:
    """Start the process that reads and splits files, see `ragkit.ingest.prepare`.

    Raises:
        OSError: It cannot be started.
    """
    return start_child("ragkit.ingest.prepare", pipe_bytes=PIPE_BYTES)


@contextmanager
def reader_ahead() -> Iterator[subprocess.Popen[bytes] | None]:
    """Have `start_reader` done while something else is; the process ends with the block.

    Yields:
        The process; None if it cannot be started, which is told where it is needed.
    """
    try:
        child = start_reader()
    except OSError:
        yield None
        return
    try:
        yield child
    finally:
        close_pipes(child)
        end_child(child)


def end_child(child: subprocess.Popen[bytes]) -> None:
    """End a process; first it is asked to, so that it can end its own."""
    child.terminate()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to and from a child that `start_child` started."""
    if child.stdin is None or child.stdout is None:
        msg = "a child is always started with pipes"
        raise TypeError(msg)
    return child.stdin, child.stdout


def close_pipes(child: subprocess.Popen[bytes]) -> None:
    """Close them; what could not be written any more is lost with the child."""
    for pipe in pipes(child):
        try:
            pipe.close()
        except OSError:  # what is left in the buffer cannot reach a dead child
            continue


def ending(child: subprocess.Popen[bytes]) -> str:
    """How a child ended, e.g. ``signal SIGKILL`` or ``exit status 1``."""
    code = child.returncode
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
