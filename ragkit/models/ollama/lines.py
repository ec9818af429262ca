"""Splits a streamed reply into its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def split_lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    r"""Yield the lines of a stream as soon as they are whole.

    Bytes are decoded only when a line is complete, so pieces may end within a character. A line
    may be megabytes long: pieces are joined once, not again with each piece.

    Args:
        pieces: Parts of the stream, cut anywhere.

    Yields:
        A line that is not empty, without its end, and whether it had one: the last may not.

    >>> list(split_lines([b'{"a"', b':1}\n{"b', b'":2}']))
    [(b'{"a":1}', True), (b'{"b":2}', False)]
    """
    held: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        held.append(first)
        if others:
            *whole, rest = b"".join(held), *others
            yield from ((line, True) for line in whole if line.strip())
            held = [rest]
    last = b"".join(held)
    if last.strip():
        yield last, False
