"""Reads single values of the server's JSON without trusting it.

A field may be missing, null or of another kind: versions differ, and a zero is often left out.
What cannot be read becomes the type's empty value, or None where a number is concerned.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = Mapping[str, Any]

_NANOSECONDS = 1e9
_NO_YEAR = 1  # Go's zero time is in the year 1


def text(fields: Json, name: str) -> str:
    """A text; several texts become lines; empty where it is missing."""
    value = fields.get(name)
    if isinstance(value, list):
        return "\n".join(str(item) for item in value)
    return value if isinstance(value, str) else ""


def whole(fields: Json, name: str) -> int | None:
    """A whole number; None where it is missing."""
    value = fields.get(name)
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def number(fields: Json, name: str) -> float | None:
    """A number; None where it is missing."""
    value = fields.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def seconds(fields: Json, name: str) -> float | None:
    """A duration in seconds; the wire holds whole nanoseconds."""
    value = number(fields, name)
    return None if value is None else value / _NANOSECONDS


def mapping(fields: Json, name: str) -> dict[str, Any]:
    """An object; empty where it is missing."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def objects(fields: Json, name: str) -> list[dict[str, Any]]:
    """A list of objects; what is no object in it is left out."""
    value = fields.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(fields: Json, name: str) -> tuple[str, ...]:
    """A list of texts; what is no text in it is left out."""
    value = fields.get(name)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def integers(fields: Json, name: str) -> tuple[int, ...]:
    """A list of whole numbers; what is no number in it is left out."""
    value = fields.get(name)
    return tuple(v for v in value if isinstance(v, int)) if isinstance(value, list) else ()


def octets(fields: Json, name: str) -> bytes:
    """Bytes, which the wire holds as a list of numbers; empty where it is none."""
    value = fields.get(name)
    try:
        return bytes(value) if isinstance(value, list) else b""
    except (TypeError, ValueError):
        return b""


def time(fields: Json, name: str) -> datetime | None:
    """An RFC 3339 time with up to nine digits of a second, aware; None where it is no time.

    Digits beyond microseconds are cut off.

    >>> time({"at": "2026-05-10T08:06:48.639712648-07:00"}, "at").isoformat()
    '2026-05-10T08:06:48.639712-07:00'
    """
    try:
        parsed = datetime.fromisoformat(text(fields, name))
    except ValueError:
        return None
    return parsed if parsed.tzinfo and parsed.year > _NO_YEAR else None
