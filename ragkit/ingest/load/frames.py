"""What the parser and its worker process say to each other: a JSON header and a body of bytes."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from ragkit.ingest.load.formats import Parsed
from ragkit.records import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

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
