"""The client of the worker process: sandboxed files are parsed where they can do no harm."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.child import close_pipes, ending, pipes, start_child
from ragkit.ingest.load.aids import ReadingAids, with_aids
from ragkit.ingest.load.formats import Formats, read_with
from ragkit.ingest.load.frames import read_frame, unpack_parsed, write_frame
from ragkit.ingest.load.ocr import (
    MEMORY_MB,
    READERS,
    TIMEOUT_S,
    PageAtWork,
    has_ocr,
    with_recognised,
)
from ragkit.ingest.load.recognised import PICTURE_KEY, RecognisedPage, keep_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ragkit.config import LoadSettings
    from ragkit.ingest.load.formats import Parsed
    from ragkit.ingest.load.frames import Header

_CLOSE_S = 2.0  # a worker without work ends at once when its input ends


class Parser:
    """Parses files; sandboxed formats in a child process under limits of time and memory.

    The child starts with the first file that needs it, serves many, and is replaced after it
    hung, crashed or ran out of memory. One file is parsed at a time; threads wait their turn.

    Usage::

        with Parser(settings) as parser:
            parsed = parser.parse("pdf", data, "report.pdf")

    Args:
        settings: ``parse_timeout_s``, ``parse_memory_mb`` and ``max_file_mb``, which bounds
            the extracted text as well.
        formats: Which there are; ragkit's own and those of installed packages where None.
        recognised: The folder that keeps what is read in pictures; "" if none does.
        on_page: Called before each page that is read as a picture.

    Attributes:
        formats: As above.

    Raises:
        ConfigError: The file of passwords cannot be read.
    """

    def __init__(
        self,
        settings: LoadSettings,
        formats: Formats | None = None,
        *,
        recognised: str = "",
        on_page: Callable[[PageAtWork], None] = lambda _: None,
    ) -> None:
        self.formats = formats or Formats()
        self._settings = settings
        self._aids = replace(ReadingAids.of(settings), recognised=recognised)
        self._on_page = on_page
        self._child: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._lock = threading.Lock()
        self._recogniser: Parser | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @cached_property
    def reader_set(self) -> str:
        """What there is to read with, in a word; see `ragkit.ingest.load.reader_set`."""
        from ragkit.ingest.load.reader_set import reader_set

        return reader_set(self._settings, self.formats)

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while there is no child."""
        return self._child.pid if self._child else None

    def parse(self, kind: str, data: bytes, name: str) -> Parsed:
        """Parse one file.

        Args:
            kind: The kind of its format, e.g. ``pdf``.
            data: The whole file.
            name: How errors call the file.

        Raises:
            LoadError: The file is broken, or its parser took too long, needed too much memory
                or crashed. The next file is not affected.
            UnsupportedFormatError: There is no such format, or the file is not of it.
            MemoryError: A format that is not sandboxed needs more memory than there is.
        """
        row = self.formats.of_kind(kind)
        if row is None:
            msg = f"no reader for the kind {kind}"
            raise UnsupportedFormatError(msg, name)
        reader = row.reader
        if not isinstance(reader, str) or not row.sandboxed:
            with with_aids(self._aids):
                return read_with(reader, data, name)
        parsed = self._apart(reader, data, name, self._aids)
        if kind not in READERS:
            return parsed
        is_on = self._settings.ocr and has_ocr()

        def read(page: int, done: int, total: int) -> RecognisedPage:
            self._on_page(PageAtWork(name, done + 1, total))
            return self._recognised(kind, data, name, page)

        return with_recognised(parsed, read if is_on else None)

    def _recognised(self, kind: str, data: bytes, name: str, page: int) -> RecognisedPage:
        """The text of a page that is a picture, read in a child with limits of its own, and kept.

        Raises:
            LoadError: It cannot be read, or takes too long or too much memory.
        """
        if self._recogniser is None:
            settings = replace(self._settings, parse_timeout_s=TIMEOUT_S, parse_memory_mb=MEMORY_MB)
            self._recogniser = Parser(settings, self.formats)
        aids = replace(self._aids, page=page, timeout_s=TIMEOUT_S)
        parsed = self._recogniser._apart(READERS[kind], data, name, aids)  # noqa: SLF001
        found = RecognisedPage(parsed.text.strip(), parsed.metadata.get(PICTURE_KEY, ""))
        keep_text(self._aids.recognised, found)
        return found

    def look_at_page(self, reader: str, data: bytes, name: str, page: int) -> Parsed:
        """Have a reader of ours look at one page of a file, in the child.

        Args:
            reader: Its import path.
            data: The whole file.
            name: How errors call the file.
            page: From 1; the reader finds it in `ReadingAids.page`.

        Raises:
            LoadError: As for `parse`.
        """
        return self._apart(reader, data, name, replace(self._aids, page=page))

    def _apart(self, reader: str, data: bytes, name: str, aids: ReadingAids) -> Parsed:
        """Call a reader in the child."""
        with self._lock:
            used_before = self._served > 0 and self._alive()
            header, body = self._exchange(reader, data, name, aids)
            if header.get("error") == "memory":
                self._end()
                if used_before:  # perhaps the files before it had filled the child
                    header, body = self._exchange(reader, data, name, aids)
        return self._result(header, body, name)

    def close(self) -> None:
        """End the child. Closing twice is once; a later ``parse`` starts another."""
        if self._recogniser is not None:
            self._recogniser.close()
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

    def _exchange(
        self, reader: str, data: bytes, name: str, aids: ReadingAids
    ) -> tuple[Header, bytes]:
        """Send a file and wait for the reply; a child that gave none is ended."""
        child = self._running(name)
        timeout_s = self._settings.parse_timeout_s
        late = threading.Event()
        timer = threading.Timer(timeout_s, _kill_late, (child, late))
        timer.daemon = True
        timer.start()
        reply = None
        header = {"reader": reader, "name": name, "aids": aids.packed()}
        try:
            reply = self._transfer(child, header, data)
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


def _kill_late(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _why(child: subprocess.Popen[bytes], timeout_s: float | None) -> str:
    """Say what became of a child that gave no reply."""
    if timeout_s is not None:
        return f"took longer than {timeout_s:g} s to parse"
    crashed = child.returncode is not None and child.returncode < 0
    return f"its parser {'crashed' if crashed else 'ended without a reply'} ({ending(child)})"
