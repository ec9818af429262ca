"""What can go wrong with a request to an OpenAI-compatible server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from ragkit.errors import ModelError, ModelNotFoundError, ModelUnavailableError
from ragkit.models.http.problem import Problem, counts_in
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from ragkit.models.http.problem import Kind

_TOO_LONG = late_pattern(
    r"context (length|size|window)|too (long|large)|maximum.*tokens|exceeds?.*tokens", re.IGNORECASE
)
# What Ollama says of a runner that died, which it then starts anew.
_CRASHED = late_pattern(
    r"while running the model|do embedding request: .*EOF|unexpectedly stopped|no longer running"
)
_UNKNOWN_MODEL = late_pattern(r"model.*(not found|not exist|not loaded|unknown)", re.IGNORECASE)
_UNAUTHORISED, _NOT_FOUND, _SERVER_ERROR = frozenset({401, 403}), 404, 500
_BUSY = frozenset({408, 429, 502, 503, 504})
_SHOWN_CHARS = 300
IN_STREAM = 200
"""The status that stands for an error inside a stream, or in place of what was asked for."""


def classify(status: int, body: bytes) -> Problem:
    """Tell what an error reply means. `IN_STREAM` stands for an error inside a stream."""
    text = _error_text(body)
    kind: Kind = "refused"
    if status in _UNAUTHORISED:
        text += "; the key in OPENAI_API_KEY is missing, wrong, or has no right to this"
    elif _TOO_LONG.search(text):
        kind = "too_long"
    elif _UNKNOWN_MODEL.search(text):
        kind = "missing"
    elif status == _NOT_FOUND:
        text += "; is models.openai_url right? It mostly ends in /v1"
    elif _CRASHED.search(text):
        kind = "crashed"
    elif status in _BUSY:
        kind = "busy"
    elif status >= _SERVER_ERROR:
        kind = "fault"
    shown = text if status == IN_STREAM else f"{text} (HTTP {status})"
    return Problem(kind, shown, status, _counts(body) if kind == "too_long" else None)


def to_error(problem: Problem, model: str, address: str) -> ModelError:
    """The error that a caller of the library sees."""
    if problem.kind == "unreachable":
        message = (
            f"nothing answers at {address} ({problem.text}); start the server, or set "
            "models.openai_url to its address"
        )
        return ModelUnavailableError(message, model)
    error = problem.to_error(model, address)
    if problem.kind == "missing":
        return ModelNotFoundError(f"{error}; `ragkit doctor` lists the models there", model)
    return error


def _counts(body: bytes) -> tuple[int, int] | None:
    """The tokens of a prompt and of the window, where a llama.cpp server tells them."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return counts_in(value.get("error", value)) if isinstance(value, dict) else None


def _error_text(body: bytes) -> str:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = body.decode("utf-8", "replace")
    while isinstance(value, dict):  # {"error": {"message": ...}}, {"error": ...}, {"message": ...}
        value = value.get("error", value.get("message", value.get("detail", "")))
    return str(value).strip()[:_SHOWN_CHARS] or "an error without words"
