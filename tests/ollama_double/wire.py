"""What the endpoints of the test server have in common: replies, refusals, names, durations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

Whole = tuple[int, bytes, str]
Body = dict[str, Any]
JSON, TEXT = "application/json; charset=utf-8", "text/plain"
NDJSON, SSE = "application/x-ndjson", "text/event-stream"
CREATED_AT = "2026-08-21T18:48:22.123456789Z"

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAME = re.compile(
    rf"(?:[A-Za-z0-9_][A-Za-z0-9_.:-]{{0,349}}/)?(?:[A-Za-z0-9_][A-Za-z0-9_-]{{0,79}}/)?"
    rf"{_PART}(?::{_PART})?"
)
_DURATION = re.compile(r"[-+]?(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+")
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Refusal(Exception):  # noqa: N818 -- an answer of the server, no fault of the double
    """An error that the server sends as ``{"error": text}``."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Stream:
    """A reply in pieces; None among them cuts the connection."""

    pieces: Iterator[bytes | None]
    kind: str = NDJSON


def to_whole(value: Any, status: int = 200) -> Whole:
    return status, dump(value), JSON


def dump(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def lines(events: Iterator[Body | None]) -> Iterator[bytes | None]:
    """Events as lines of JSON."""
    return (None if event is None else dump(event) + b"\n" for event in events)


def decode(body: bytes) -> Body:
    """A request's JSON object, or the words of Go's decoder."""
    if not body:
        raise Refusal(400, "missing request body")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        first = body.lstrip()[:1].decode("utf-8", "replace")
        begun = first in set('{["-0123456789tfn')
        text = f"invalid character '{first}' looking for beginning of value"
        raise Refusal(400, "unexpected EOF" if begun else text) from None
    if not isinstance(value, dict):
        raise Refusal(400, "json: cannot unmarshal array into Go value of type api.Request")
    for name in ("model", "name", "prompt", "system", "source", "destination"):
        if not isinstance(value.get(name) or "", str):
            raise Refusal(
                400,
                f"json: cannot unmarshal number into Go struct field Request.{name} of type string",
            )
    return value


def is_name(name: str) -> bool:
    """True if a name is well formed."""
    return bool(_NAME.fullmatch(name))


def full_name(name: str) -> str:
    """A name with its tag, in lower case: how the server compares them."""
    return (name if ":" in name.rpartition("/")[2] else f"{name}:latest").lower()


def keep_alive_s(body: Body) -> float | None:
    """Seconds that a model is to stay; negative for ever, None where the request does not say."""
    value = body.get("keep_alive")
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    text = str(value)
    if _DURATION.fullmatch(text):
        found = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
        size = sum(float(number) * _UNITS[unit] for number, unit in found)
        return -size if text.startswith("-") else size
    bare = re.fullmatch(r"[-+]?\d+(?:\.\d+)?", text)
    problem = "missing unit in" if bare else "invalid"
    raise Refusal(400, f'time: {problem} duration "{text}"')
