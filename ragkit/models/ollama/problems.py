"""What can go wrong with a request, told apart by status and text, and the error it becomes.

The server's own words are the only way to tell an over-long text from a crashed runner: both may
come as 400 or 500, and the wording changed between versions.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ragkit.errors import ModelError, ModelNotFoundError, ModelUnavailableError
from ragkit.models.http.problem import Kind, Problem, counts_in
from ragkit.text.patterns import late_pattern

_MARKS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "too_long",
        late_pattern(
            r"exceeds (the|maximum) context length|longer than the context length"
            r"|cannot be truncated further|available context size|too large to process",
            re.IGNORECASE,
        ),
    ),
    ("nan", late_pattern(r"unsupported value: [-+]?(NaN|Inf)|NaN or Inf", re.IGNORECASE)),
    ("refused", late_pattern(r"does not support|must be of type|invalid format|incompatible")),
    # Of the request's JSON, not of a runner.
    ("refused", late_pattern(r"^unexpected EOF$")),
    # Each further try would wait for minutes again.
    ("timeout", late_pattern(r"timed out waiting for")),
    ("busy", late_pattern(r"server busy|process has terminated")),
    (
        "crashed",
        late_pattern(
            r"\bEOF\b|unexpectedly stopped|no longer running"
            r"|error was encountered while running the model"
            r"|forcibly closed|connection reset|connection refused"
        ),
    ),
)
# What the server's words leave unsaid; the first that fits.
_HINTS = {
    "no such host": "the server has to reach that address for this, and has no network to it",
    "longer than the context length": "shorten it, or raise answer.num_ctx",
    "no such file or directory": "`ragkit models list` names what is there",
    "pull model manifest: file does not": "the registry has no such model: check its name and tag",
    "file does not exist": "`ragkit models list` names what is there",
    "raw mode does not support": "write all of it into the prompt",
    "does not support": "`ragkit models list` tells what each model can do",
    "missing unit in duration": "give keep_alive a unit, as in 10m, or a plain number of seconds",
}
_KEY = "the key in OLLAMA_API_KEY is missing, wrong, or has no right to this"
_SIGN_IN = "sign the server in: "
IN_STREAM = 200
"""The status that stands for an error inside a stream."""
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_SERVER_ERROR, _NOT_IMPLEMENTED = 500, 501
_BUSY = frozenset({502, 503, 504})
_SHOWN_CHARS = 300


def classify(status: int, body: bytes) -> Problem:
    """Tell what an error reply means. `IN_STREAM` stands for an error inside a stream."""
    value = _parsed(body)
    text, from_server = _error_text(value)
    if status == _FORBIDDEN and not body.strip():
        text = "it refuses requests to this address"
    kind = next((kind for kind, mark in _MARKS if mark.search(text)), None)
    if kind is None:
        kind = _kind_of_status(status, missing=from_server and "not found" in text)
    hint = _hint(status, text, value)
    shown = text if status == IN_STREAM else f"{text} (HTTP {status})"
    counts = counts_in(_innermost(value)) if kind == "too_long" else None
    return Problem(kind, f"{shown}; {hint}" if hint else shown, status, counts)


def to_error(problem: Problem, model: str, address: str) -> ModelError:
    """The error that a caller of the library sees."""
    if problem.kind == "missing":
        short = model.removesuffix(":latest")
        message = f"model {short!r} is not installed on {address}; try: ragkit models pull {short}"
        return ModelNotFoundError(message, model)
    if problem.kind == "unreachable":
        message = (
            f"nothing answers at {address} ({problem.text}); start the server with "
            "`ollama serve`, or set OLLAMA_HOST to its address"
        )
        return ModelUnavailableError(message, model)
    return problem.to_error(model, address)


def _hint(status: int, text: str, value: Any) -> str:  # noqa: ANN401 -- any JSON value
    """What to do about an error, where more can be said than the server does."""
    if status == _UNAUTHORISED:
        page = value.get("signin_url") if isinstance(value, dict) else None
        return f"{_SIGN_IN}{page}" if page else _KEY
    if "unauthorized" in text:  # within a stream: the registry says so, not this server
        return f"{_SIGN_IN}`ollama signin`"
    if status == _FORBIDDEN and not isinstance(value, dict):
        return "`ragkit doctor` tells what to do"
    return next((hint for mark, hint in _HINTS.items() if mark in text), "")


def _kind_of_status(status: int, *, missing: bool) -> Kind:
    if status in _BUSY:
        return "busy"
    if status == _NOT_FOUND and missing:
        return "missing"
    if status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED:
        return "fault"
    return "refused"


def _parsed(body: bytes) -> Any:  # noqa: ANN401 -- any JSON value
    """The JSON value of a body, or the body as text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _error_text(value: Any) -> tuple[str, bool]:  # noqa: ANN401 -- any JSON value
    """The error's words, and whether they came as the server's JSON (not from a proxy)."""
    if isinstance(value, str):
        text = value.strip()[:_SHOWN_CHARS]
        return text or "an empty reply; is this an Ollama server?", False
    inner = _innermost(value)
    text = str(inner.get("message", "") if isinstance(inner, dict) else inner).strip()
    return text[:_SHOWN_CHARS] or "an error without words", True


def _innermost(value: Any) -> Any:  # noqa: ANN401 -- any JSON value
    """The runner's own error: ``{"error": ...}``, which the server may quote whole as a text."""
    if isinstance(value, dict) and "error" in value:
        return _innermost(value["error"])
    if isinstance(value, str) and value.lstrip().startswith('{"'):
        inner = _parsed(value.encode())
        return inner if isinstance(inner, str) else _innermost(inner)
    return value
