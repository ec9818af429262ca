"""Processes of our own, with pipes to and from them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import ragkit


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
