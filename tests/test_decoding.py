"""What a server sent is read into records as far as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from ragkit.decoding import from_wire, wire


@dataclass(frozen=True)
class Part:
    word: str = ""
    size: int = field(default=0, metadata=wire("inner.size"))


@dataclass(frozen=True)
class Reply:
    text: str
    score: float
    name: str = field(default="none", metadata=wire("name", "model"))
    count: int | None = None
    done: bool = False
    at: datetime | None = None
    data: bytes = b""
    info: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = ()
    part: Part = Part()
    parts: tuple[Part, ...] = ()
    here: Part = field(default=Part(), metadata=wire(""))
    digest: str = field(default="", metadata=wire("sum", then=str.upper))
    unread: str = field(default="ours", metadata=wire())


BARE = Reply("", 0.0)


def test_what_is_missing_null_or_of_another_kind_is_empty() -> None:
    for odd in (None, True, 7, "x", [7.5], {"x": 7}):
        got = from_wire(Reply, dict.fromkeys(Reply.__dataclass_fields__, odd))
        for name, default in vars(BARE).items():
            assert default is None or type(getattr(got, name)) is type(default), name
        assert (got.at, got.part, got.parts, got.unread) == (None, Part(), (), "ours")
    assert from_wire(Reply, {}) == from_wire(Reply, None) == from_wire(Reply, [1]) == BARE


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"text": ["a", "b"]}, "text", "a\nb"),
        ({"sum": "ab"}, "digest", "AB"),
        ({"score": 1}, "score", 1.0),
        ({"score": True}, "score", 0.0),
        ({"name": "", "model": "m"}, "name", "m"),
        ({"name": "n", "model": "m"}, "name", "n"),
        ({"count": 0}, "count", 0),
        ({"count": 3.0}, "count", 3),
        ({"count": True}, "count", None),
        ({"done": True}, "done", True),
        ({"done": 1}, "done", False),
        ({"at": "2026-05-10T08:06:48.639712648Z"}, "at",
         datetime(2026, 5, 10, 8, 6, 48, 639712, UTC)),
        ({"at": "2026-05-10T08:06:48"}, "at", None),  # no offset
        ({"at": "0001-01-01T00:00:00Z"}, "at", None),  # Go's zero
        ({"data": [104, 105]}, "data", b"hi"),
        ({"data": [256]}, "data", b""),
        ({"info": {"a": [1]}}, "info", {"a": [1]}),
        ({"words": ["a", 1, None, ""]}, "words", ("a", "")),
        ({"numbers": [1, "2", 3]}, "numbers", (1, 3)),
        ({"objects": [{"a": 1}, 2]}, "objects", ({"a": 1},)),
        ({"part": {"word": "w", "inner": {"size": 5}}}, "part", Part("w", 5)),
        ({"part": {"inner": 5}}, "part", Part()),
        ({"parts": [{"word": "w"}, 7, {}]}, "parts", (Part("w"), Part())),
        ({"word": "w", "new": 1}, "here", Part("w")),
    ],
)  # fmt: skip
def test_each_kind_of_value_is_read(given: dict[str, Any], name: str, value: object) -> None:
    got = getattr(from_wire(Reply, given), name)
    assert (type(got), got) == (type(value), value)
