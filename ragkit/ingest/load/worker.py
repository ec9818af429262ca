"""The sandbox: ``python -m ragkit.ingest.load.worker MEMORY_MB TIMEOUT_S``.

It serves one request after the other over its standard input and output (see
`ragkit.ingest.load.parser`) and ends when its input ends, so it never outlives its parent for
longer than the file at hand takes. It imports a reader when the first file needs it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import IO, TYPE_CHECKING

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.aids import ReadingAids, with_aids
from ragkit.ingest.load.formats import read_with
from ragkit.ingest.load.frames import pack_parsed, read_frame, write_frame

if TYPE_CHECKING:
    from ragkit.ingest.load.frames import Failure, Header

# A parent ends its child at the time limit; this is for a child whose parent died.
_ORPHAN_GRACE_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Serve requests until the input ends; return the exit code.

    Args:
        arguments: Memory limit in MB (0: none) and time limit in seconds.
    """
    memory_mb, timeout_s = (arguments or sys.argv[1:])[:2]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    requests, replies = _take_pipes()
    _be_quiet()
    _limit_memory(int(memory_mb))
    while frame := read_frame(requests):
        _set_alarm(float(timeout_s) + _ORPHAN_GRACE_S)
        header, body = _answer(*frame)
        write_frame(replies, header, *body)
        _set_alarm(0)
        del frame, header, body
    return 0


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Move the pipes out of reach: what a parser prints must not get into a frame."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    return requests, replies


def _be_quiet() -> None:
    import logging
    import warnings

    logging.disable(logging.CRITICAL)  # pypdf comments on every oddity of a file
    warnings.simplefilter("ignore")


def _limit_memory(memory_mb: int) -> None:
    """Bound the address space. Only Linux keeps such a limit; elsewhere there is none."""
    if memory_mb and sys.platform == "linux":
        import resource

        size = memory_mb << 20
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard != resource.RLIM_INFINITY:
            size = min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(header: Header, body: bytes) -> tuple[Header, list[bytes]]:
    """Parse one file; whatever goes wrong becomes a reply."""
    try:
        with with_aids(ReadingAids.unpacked(header.get("aids", {}))):
            return pack_parsed(read_with(header["reader"], body, header["name"]))
    except UnsupportedFormatError as exc:
        return _failure("unsupported", str(exc))
    except LoadError as exc:
        return _failure("load", str(exc))
    except MemoryError:
        gc.collect()
        return _failure("memory", "")


def _failure(error: Failure, message: str) -> tuple[Header, list[bytes]]:
    return {"error": error, "message": message}, []


if __name__ == "__main__":
    sys.exit(main())
