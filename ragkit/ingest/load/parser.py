"""The client of the worker process: risky files are parsed where they can do no harm."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self, TypeAlias

import ragkit
from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.kinds import Parsed
from ragkit.records import Page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from ragkit.config import LoadSettings
    from ragkit.ingest.load.kinds import Parsed

Failure: TypeAlias = Literal["load", "unsupported", "memory"]
Header: TypeAlias = dict[str, Any]

_LENGTHS = struct.Struct(">IQ")


def write_frame(stream: IO[bytes], header: Mapping[str, Any], body: bytes = b"") -> None:
    """Write one frame and flush it.

    Raises:
        OSError: The other side is gone.
    """
    head = json.dumps(header).encode("utf-8")
    stream.write(_LENGTHS.pack(len(head), len(body)))
    stream.write(head)
    stream.write(body)
    stream.flush()


def read_frame(stream: IO[bytes], most_bytes: int | None = None) -> tuple[Header, bytes] | None:
    """Read one frame; None where the other side closed or died, even within a frame.

    Raises:
        OverflowError: The body is longer than ``most_bytes``; the stream is then useless.
    """
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    head_size, body_size = _LENGTHS.unpack(lengths)
    if most_bytes is not None and body_size > most_bytes:
        raise OverflowError
    head = _read(stream, head_size)
    body = _read(stream, body_size) if head is not None else None
    return None if head is None or body is None else (json.loads(head), body)


def pack_parsed(parsed: Parsed) -> tuple[Header, bytes]:
    """Make a reply of what a reader returned."""
    header = asdict(parsed)
    text: str = header.pop("text")
    header["pages"] = [(p.number, p.start, p.end) for p in parsed.pages]
    return header, text.encode("utf-8")


def unpack_parsed(header: Header, body: bytes) -> Parsed:
    """Invert :func:`pack_parsed`."""
    pages = tuple(Page(*numbers) for numbers in header["pages"])
    return Parsed(
        body.decode("utf-8"), header["title"], header["encoding"], pages, header["metadata"]
    )


def _read(stream: IO[bytes], size: int) -> bytes | None:
    data = stream.read(size)
    return data if len(data) == size else None


_CLOSE_S = 2.0  # a worker without work ends at once when its input ends


class Parser:
    """Parses PDF, DOCX and HTML in a child process under a limit of time and memory.

    The child starts with the first file that needs it, serves many, and is replaced after it
    hung, crashed or ran out of memory. One file is parsed at a time; threads wait their turn.

    Usage::

        with Parser(settings) as parser:
            parsed = parser.parse("pdf", data, "report.pdf")

    Args:
        settings: ``parse_timeout_s``, ``parse_memory_mb`` and ``max_file_mb``, which bounds
            the extracted text as well.
    """

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while there is no child."""
        return self._child.pid if self._child else None

    def parse(self, kind: str, data: bytes, name: str) -> Parsed:
        """Parse one file.

        Args:
            kind: One of :data:`ragkit.ingest.load.kinds.RISKY`.
            data: The whole file.
            name: How errors call the file.

        Raises:
            LoadError: The file is broken, or its parser took too long, needed too much memory
                or crashed. The next file is not affected.
        """
        with self._lock:
            used_before = self._served > 0 and self._alive()
            header, body = self._exchange(kind, data, name)
            if header.get("error") == "memory":
                self._end()
                if used_before:  # perhaps the files before it had filled the child
                    header, body = self._exchange(kind, data, name)
        return self._result(header, body, name)

    def close(self) -> None:
        """End the child. Closing twice is once; a later ``parse`` starts another."""
        with self._lock:
            child, self._child = self._child, None
            if child is None:
                return
            close_pipes(child)
            try:
                child.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _exchange(self, kind: str, data: bytes, name: str) -> tuple[Header, bytes]:
        """Send a file and wait for the reply; a child that gave none is ended."""
        child = self._running(name)
        timeout_s = self._settings.parse_timeout_s
        late = threading.Event()
        timer = threading.Timer(timeout_s, _kill_late, (child, late))
        timer.daemon = True
        timer.start()
        reply = None
        try:
            reply = self._transfer(child, {"kind": kind, "name": name}, data)
        except OverflowError as exc:
            msg = f"holds more than {self._settings.max_file_mb:g} MB of text"
            raise LoadError(msg, name) from exc
        finally:
            timer.cancel()
            timer.join()  # from here on nobody kills the child behind our back
            if reply is None or late.is_set():
                self._end()  # also on Ctrl-C: a half-read reply would belong to no file
        if reply is None:
            raise LoadError(_why(child, timeout_s if late.is_set() else None), name)
        self._served += 1
        return reply

    def _transfer(
        self, child: subprocess.Popen[bytes], header: Header, data: bytes
    ) -> tuple[Header, bytes] | None:
        requests, replies = pipes(child)
        try:
            write_frame(requests, header, data)
            return read_frame(replies, int(self._settings.max_file_mb * 1_000_000))
        except OSError:  # it died while it was written to; its exit status says why
            return None

    def _result(self, header: Header, body: bytes, name: str) -> Parsed:
        match header.get("error"):
            case None:
                return unpack_parsed(header, body)
            case "memory":
                msg = f"its parser needs more than {self._settings.parse_memory_mb} MB"
                raise LoadError(msg, name)
            case "unsupported":
                raise UnsupportedFormatError(header["message"], name)
            case _:
                raise LoadError(header["message"], name)

    def _alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _running(self, name: str) -> subprocess.Popen[bytes]:
        """Return a living child; one that died between two files is replaced."""
        if self._child is not None and self._alive():
            return self._child
        self._end()
        try:
            limits = self._settings.parse_memory_mb, self._settings.parse_timeout_s
            self._child = start_child("ragkit.ingest.load.worker", *map(str, limits))
        except OSError as exc:
            msg = f"no process could be started to parse it: {exc}"
            raise LoadError(msg, name) from exc
        return self._child

    def _end(self) -> None:
        child, self._child, self._served = self._child, None, 0
        if child is not None:
            child.kill()
            close_pipes(child)
            child.wait()


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


def _kill_late(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _why(child: subprocess.Popen[bytes], timeout_s: float | None) -> str:
    """Say what became of a child that gave no reply."""
    if timeout_s is not None:
        return f"took longer than {timeout_s:g} s to parse"
    crashed = child.returncode is not None and child.returncode < 0
    return f"its parser {'crashed' if crashed else 'ended without a reply'} ({ending(child)})"


def ending(child: subprocess.Popen[bytes]) -> str:
    """How a child ended, e.g. ``signal SIGKILL`` or ``exit status 1``."""
    code = child.returncode
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
