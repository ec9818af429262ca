"""What went wrong as an HTTP reply: its status, and its body as clients of each API read it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ragkit import errors
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_log = logging.getLogger(__name__)

OLLAMA, OPENAI = "/api", "/v1"
INTERNAL = "ragkit failed on this request; its log on the server says why"

STATUS: dict[type[RagkitError], int] = {
    errors.RagkitError: 500,
    errors.ConfigError: 400,
    errors.InputError: 400,
    errors.LoadError: 400,
    errors.UnsupportedFormatError: 415,
    errors.ModelError: 502,
    errors.ModelUnavailableError: 503,
    errors.ModelNotFoundError: 502,
    errors.ModelResponseError: 502,
    errors.EmbeddingFailedError: 502,
    errors.PromptTruncatedError: 400,
    errors.StoreError: 500,
    errors.IndexNotFoundError: 404,
    errors.IndexExistsError: 409,
    errors.ForeignFilesError: 409,
    errors.IndexLockedError: 409,
    errors.IndexMismatchError: 409,
    errors.IndexChangedError: 409,
    errors.IndexCorruptError: 500,
    errors.FormatVersionError: 500,
    errors.StorageFullError: 507,
    errors.StoreUnavailableError: 503,
    errors.UnsupportedByStoreError: 501,
    errors.ServerError: 502,
    errors.FilterError: 400,
    errors.CitationError: 500,
}
"""An index's own errors are no fault of the one who asks; what was asked wrongly is in the 400s."""

_OPENAI_TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}


def status_of(exc: RagkitError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS)


def told(exc: Exception) -> tuple[int, str, str]:
    """Status, kind and message of whatever ended a request; what is no error of ours is logged."""
    if isinstance(exc, RagkitError):
        return status_of(exc), type(exc).__name__, str(exc)
    if isinstance(exc, HTTPException):
        return exc.status_code, "RequestError", exc.detail
    _log.error("a request failed", exc_info=exc)
    return 500, "InternalError", INTERNAL


def error_body(path: str, status: int, kind: str, message: str) -> dict[str, Any]:
    """An error as the clients of a path read it."""
    if path == OLLAMA or path.startswith(f"{OLLAMA}/"):
        return {"error": message}
    if path == OPENAI or path.startswith(f"{OPENAI}/"):
        named = _OPENAI_TYPES.get(status, "api_error")
        return {"error": {"message": message, "type": named, "param": None, "code": None}}
    return {"error": {"type": kind, "message": message}}


def failure_reply(
    path: str,
    failed: tuple[int, str, str],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The reply to a request that failed.

    Args:
        path: That was asked for.
        failed: Status, kind and message.
        headers: Further ones.
    """
    return json_reply(error_body(path, *failed), failed[0], headers)


async def reply_to_failure(request: Request, exc: Exception) -> Response:
    """The reply to a request that an exception ended."""
    headers = exc.headers if isinstance(exc, HTTPException) else None
    return failure_reply(request.url.path, told(exc), headers)


def json_reply(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A reply of JSON; records become objects, field by field."""
    return Response(json_bytes(value), status, headers, media_type="application/json")


def json_bytes(value: object) -> bytes:
    """A value as JSON; a file name that is no UTF-8 is escaped, as Python reads it back."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=_plain).encode()


def _plain(value: Any) -> object:  # noqa: ANN401 -- whatever JSON does not know
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
