"""What is done with a record of any kind."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypeVar

_Record = TypeVar("_Record")


def copy_fields(record: object, kind: type[_Record], **others: object) -> _Record:
    """Make a record of a kind from the fields that it shares with another one.

    Args:
        record: A dataclass, such as a `Hit`.
        kind: A dataclass, such as `Passage`.
        others: Its other fields, and those that differ.
    """
    shared = {f.name for f in fields(kind)} & {f.name for f in fields(record)}  # type: ignore[arg-type]  # dataclasses both
    return kind(**{name: getattr(record, name) for name in shared} | others)


def to_json(record: Any) -> dict[str, Any]:  # noqa: ANN401 -- any record of this module
    """Convert a record to plain JSON values, field by field."""
    return asdict(record)
