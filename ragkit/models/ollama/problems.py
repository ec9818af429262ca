"""What can go wrong with a request, told apart by status and text, and the error it becomes.

The server's own words are the only way to tell an over-long text from a crashed runner: both may
come as 400 or 500, and the wording changed between versions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import orjson

from ragkit.errors import (
    ModelError,
    ModelNotFoundError,
    ModelResponseError,
    ModelUnavailableError,
)

Kind = Literal[
    "too_long",  # the text does not fit the model's window
    "crashed",  # the runner died over it: once more, then in halves
    "nan",  # the model computed no number
    "unsendable",  # the text cannot be written as UTF-8
    "fault",  # another internal error, possibly the text's
    "busy",  # overloaded or still loading: again, later
    "unreachable",  # no connection
    "broken",  # the connection ended before the reply did
    "timeout",  # no byte for too long
    "missing",  # the model is not installed
    "refused",  # anything else: the request is wrong and stays so
]

# Of these kinds another text may be free, so the rest of a batch goes on.
TEXT_KINDS: frozenset[Kind] = frozenset({"too_long", "crashed", "nan", "unsendable", "fault"})
UNAVAILABLE_KINDS: frozenset[Kind] = frozenset(
    {"crashed", "busy", "unreachable", "broken", "timeout"}
)

_MARKS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "too_long",
        re.compile(
            r"exceeds (the|maximum) context length|longer than the context length"
            r"|cannot be truncated further|available context size|too large to process",
            re.IGNORECASE,
        ),
    ),
    ("nan", re.compile(r"unsupported value: [-+]?(NaN|Inf)|NaN or Inf", re.IGNORECASE)),
    ("refused", re.compile(r"does not support|must be of type|invalid format|incompatible")),
    ("busy", re.compile(r"server busy|process has terminated|timed out waiting for")),
    (
        "crashed",
        re.compile(
            r"\bEOF\b|unexpectedly stopped|no longer running"
            r"|error was encountered while running the model"
            r"|forcibly closed|connection reset|connection refused"
        ),
    ),
)
# What the server's words leave unsaid.
_HINTS = {
    "file does not exist": "the registry has no such model: check its name and tag",
    "unauthorized": "the key in OLLAMA_API_KEY is missing, wrong, or has no right to this",
    "missing unit in duration": "give keep_alive a unit, as in 10m, or a plain number of seconds",
}
_IN_STREAM = 200
_NOT_FOUND, _SERVER_ERROR, _NOT_IMPLEMENTED = 404, 500, 501
_BUSY = frozenset({502, 503, 504})
_SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """A request that failed. ``text`` is for a person; ``status`` is HTTP's, 0 without one."""

    kind: Kind
    text: str
    status: int = 0

    def to_error(self, model: str, address: str) -> ModelError:
        """The error that a caller of the library sees."""
        if self.kind == "missing":
            short = model.removesuffix(":latest")
            message = (
                f"model {short!r} is not installed on {address}; try: ragkit models pull {short}"
            )
            return ModelNotFoundError(message, model)
        if self.kind == "unreachable":
            message = (
                f"nothing answers at {address} ({self.text}); start the server with "
                "`ollama serve`, or set OLLAMA_HOST to its address"
            )
            return ModelUnavailableError(message, model)
        message = f"{model or 'request'} at {address}: {self.text}"
        if self.kind in UNAVAILABLE_KINDS:
            return ModelUnavailableError(message, model)
        return ModelResponseError(message, model)


def classify(status: int, body: bytes) -> Problem:
    """Tell what an error reply means. A status of 200 stands for an error inside a stream."""
    text, from_server = _error_text(body)
    kind = next((kind for kind, mark in _MARKS if mark.search(text)), None)
    if kind is None:
        kind = _kind_of_status(status, missing=from_server and "not found" in text)
    hint = next((f"; {hint}" for mark, hint in _HINTS.items() if mark in text), "")
    shown = text if status == _IN_STREAM else f"{text} (HTTP {status})"
    return Problem(kind, shown + hint, status)


def _kind_of_status(status: int, *, missing: bool) -> Kind:
    if status in _BUSY:
        return "busy"
    if status == _NOT_FOUND and missing:
        return "missing"
    if status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED:
        return "fault"
    return "refused"


def _error_text(body: bytes) -> tuple[str, bool]:
    """The error's words, and whether they came as the server's JSON (not from a proxy)."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()[:_SHOWN_CHARS]
        return text or "an empty reply; is this an Ollama server?", False
    while isinstance(value, dict):  # {"error": {"message": ...}} of inner servers too
        value = value.get("error", value.get("message", ""))
    text = str(value).strip()
    if text.startswith('{"'):  # an inner server's reply, quoted whole
        return _error_text(text.encode())[0], True
    return text[:_SHOWN_CHARS] or "an error without words", True
