"""What the endpoints of the test server have in common: replies, refusals, names, durations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

Whole = tuple[int, bytes, str]
Body = dict[str, Any]
JSON, TEXT, NO_KIND = "application/json; charset=utf-8", "text/plain", ""
PLAIN_JSON = "application/json"
"""What /v1 sends, and errors of a route that streams before its first event."""
NDJSON, SSE = "application/x-ndjson", "text/event-stream"
REGISTRY_HOST = "registry.ollama.ai"
CREATED_AT = "2026-08-21T18:48:22.123456789Z"

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAME = re.compile(
    rf"(?:[A-Za-z0-9_][A-Za-z0-9_.:-]{{0,349}}/)?(?:[A-Za-z0-9_][A-Za-z0-9_-]{{0,79}}/)?"
    rf"{_PART}(?::{_PART})?"
)
_DURATION = re.compile(r"[-+]?(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+")
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Refusal(Exception):  # noqa: N818 -- an answer of the server, no fault of the double
    """An error that the server sends as ``{"error": text}``.

    ``kind`` is its content type; empty: that of its route.
    """

    def __init__(self, status: int, text: str, kind: str = "") -> None:
        super().__init__(text)
        self.status, self.kind = status, kind


@dataclass
class Stream:
    """A reply in pieces; None among them cuts the connection."""

    pieces: Iterator[bytes | None]
    kind: str = NDJSON


def to_whole(value: Any, status: int = 200, kind: str = JSON) -> Whole:
    return status, dump(value), kind


def inner_refusal(text: str, kind: str, **more: Any) -> str:
    """The words of the runner's own refusal: JSON, which the server quotes as a text."""
    error = {"code": 400, "message": text, "type": kind, **more}
    return dump({"error": error}).decode()


def dump(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def lines(events: Iterator[Body | None]) -> Iterator[bytes | None]:
    """Events as lines of JSON."""
    return (None if event is None else dump(event) + b"\n" for event in events)


def decode(body: bytes, path: str = "/api/generate") -> Body:
    """A request's JSON object, or the words of Go's decoder.

    As there, what is no UTF-8 and half a surrogate pair are read as U+FFFD.
    """
    if not body:
        raise Refusal(400, "missing request body", JSON)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _leniently(body)
    if not isinstance(value, dict):
        raise Refusal(400, "json: cannot unmarshal array into Go value of type api.Request", JSON)
    for name in ("model", "name", "prompt", "system", "source", "destination"):
        _check_text(value.get(name), path, name)
    for message in value.get("messages") or () if path == "/api/chat" else ():
        _check_text(message.get("content"), path, "messages.content")
    return value


def _leniently(body: bytes) -> Any:
    text = body.decode("utf-8", "replace")
    try:
        return _whole_characters(json.loads(text))
    except ValueError:
        first = text.lstrip()[:1]
        begun = first in set('{["-0123456789tfn')
        said = f"invalid character '{first}' looking for beginning of value"
        raise Refusal(400, "unexpected EOF" if begun else said, JSON) from None


def _check_text(value: Any, path: str, field: str) -> None:
    if isinstance(value, str | None):
        return
    kind = {list: "array", dict: "object", bool: "bool"}.get(type(value), "number")
    owner = f"{path.rpartition('/')[2].capitalize()}Request"
    text = f"json: cannot unmarshal {kind} into Go struct field {owner}.{field} of type string"
    raise Refusal(400, text, JSON)


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole_characters(item) for key, item in value.items()}
    return value


def check_template(template: str) -> None:
    """Refuse a Go template of which an action has no end, in the words of its parser."""
    begun, _, last = template.rpartition("{{")
    if "{{" in template and "}}" not in last:
        line = begun.count("\n") + 1
        raise Refusal(500, f"template: :{line}: unclosed action")


def unreachable(host: str) -> str:
    """What Go says of a host that cannot be reached: no network, and nobody at an address."""
    if re.fullmatch(r"[\d.:]+", host):
        return f"dial tcp {host}: connect: connection refused"
    return f"dial tcp: lookup {host} on 192.0.2.53:53: no such host"


def is_name(name: str) -> bool:
    """True if a name is well formed."""
    return bool(_NAME.fullmatch(name))


def full_name(name: str) -> str:
    """A name with its tag, without the usual host, in lower case: how the server compares them."""
    tagged = (name if ":" in name.rpartition("/")[2] else f"{name}:latest").lower()
    return tagged.removeprefix(f"{REGISTRY_HOST}/").removeprefix("library/")


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
