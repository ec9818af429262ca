"""What the parser and its worker process say to each other: a JSON header and a body of bytes."""

from __future__ import annotations

import json
import struct
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.members import Member
from ragkit.records import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

Failure: TypeAlias = Literal["load", "unsupported", "memory"]
Header: TypeAlias = dict[str, Any]

MOST_OF_MEMBERS = 4
"""Times the size of a file that its members may hold together."""

_LENGTHS = struct.Struct(">IQ")


def write_frame(stream: IO[bytes], header: Mapping[str, Any], *body: bytes) -> None:
    """Write one frame, its body in one part or several, and flush it.

    Raises:
        OSError: The other side is gone.
    """
    head = json.dumps(header).encode("utf-8")
    stream.write(_LENGTHS.pack(len(head), sum(map(len, body))))
    for part in (head, *body):
        stream.write(part)
    stream.flush()


def read_frame(stream: IO[bytes], most_bytes: int | None = None) -> tuple[Header, bytes] | None:
    """Read one frame; None where the other side closed or died, even within a frame.

    Raises:
        OverflowError: The body is longer than ``most_bytes``, or the members that it holds are
            longer than `MOST_OF_MEMBERS` times that; the stream is then useless.
    """
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    head_size, body_size = _LENGTHS.unpack(lengths)
    head = _read(stream, head_size)
    if head is None:
        return None
    header: Header = json.loads(head)
    of_members = min(int(header.get("members_bytes", 0)), body_size)
    if most_bytes is not None and (
        body_size - of_members > most_bytes or of_members > MOST_OF_MEMBERS * most_bytes
    ):
        raise OverflowError
    body = _read(stream, body_size)
    return None if body is None else (header, body)


def pack_parsed(parsed: Parsed) -> tuple[Header, list[bytes]]:
    """Make a reply of what a reader returned; members may be large, so they are not copied."""
    header: Header = {
        "title": parsed.title,
        "encoding": parsed.encoding,
        "pages": [(p.number, p.start, p.end) for p in parsed.pages],
        "metadata": parsed.metadata,
    }
    body = parsed.text.encode("utf-8")
    if not parsed.members:
        return header, [body]
    header["members"] = [(m.name, len(m.data), m.reason, m.is_unwanted) for m in parsed.members]
    header["members_bytes"] = sum(len(m.data) for m in parsed.members)
    return header, [body, *(m.data for m in parsed.members)]


def unpack_parsed(header: Header, body: bytes) -> Parsed:
    """Invert :func:`pack_parsed`, whose parts were joined."""
    pages = tuple(Page(*numbers) for numbers in header["pages"])
    members: list[Member] = []
    place = end = len(body) - header.get("members_bytes", 0)
    for name, size, reason, is_unwanted in header.get("members", ()):
        members.append(Member(name, body[place : place + size], reason, is_unwanted))
        place += size
    return Parsed(
        body[:end].decode("utf-8"),
        header["title"],
        header["encoding"],
        pages,
        header["metadata"],
        tuple(members),
    )


def _read(stream: IO[bytes], size: int) -> bytes | None:
    data = stream.read(size)
    return data if len(data) == size else None
