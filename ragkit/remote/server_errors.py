"""Errors that a server told, as this library raises them."""

from __future__ import annotations

import inspect
from typing import Any

from ragkit import errors
from ragkit.errors import RagkitError, ServerError

_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def told_error(status: int, body: Any, address: str) -> RagkitError:  # noqa: ANN401 -- JSON, or None
    """The error that a reply stands for.

    Args:
        status: Of HTTP.
        body: The reply's JSON; None if it is none.
        address: Of the server.
    """
    told = body.get("error") if isinstance(body, dict) else None
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return ServerError(
            f"{address} answers {status}, and not as a server of ragkit does", status
        )
    return as_error(str(told.get("type")), told["message"], status)


def as_error(kind: str, message: str, status: int = 0) -> RagkitError:
    """An error by the name of its class; one that needs more than a message as the class above it.

    >>> as_error("IndexNotFoundError", "no index 'x'")
    IndexNotFoundError("no index 'x'")
    >>> as_error("IndexMismatchError", "another embedder")
    StoreError('another embedder')
    """
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, RagkitError)):
        return ServerError(message, status)
    for each in found.__mro__:
        if made := _made(each, message):
            return made
    return RagkitError(message)


def _made(kind: type, message: str) -> RagkitError | None:
    """An error of a class that can be made of a message, and of a path that is not known here."""
    if not issubclass(kind, RagkitError):
        return None
    try:
        given = inspect.signature(kind).parameters.values()
    except ValueError:  # a class without an initialiser of its own takes its message
        return kind(message)
    needed = [p.name for p in given if p.default is p.empty and p.kind not in _OPEN]
    if needed in ([], ["message"]):
        return kind(message)
    return kind(message, "") if needed == ["message", "path"] else None
