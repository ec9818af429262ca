"""The access log: a line of JSON a request, which holds no question unless that is asked for."""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import ConfigError
from ragkit.serve.failures import json_bytes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

STDERR = "-"
CLIENT_GONE = 499
"""The status of a request whose client went before a reply began, as other servers write it."""

_QUESTION: ContextVar[dict[str, str] | None] = ContextVar("ragkit_question", default=None)


def note_question(text: str) -> None:
    """Tell the log what the request at hand asks; it is forgotten unless questions are logged."""
    noted = _QUESTION.get()
    if noted is not None:
        noted["question"] = text


class AccessLog:
    """Writes of each request, once it is over: who asked, what for, and how that ended.

    The file is opened for each line, so that it may be renamed meanwhile.

    Args:
        app: What answers.
        place: A file that is appended to; ``-`` is standard error.
        has_questions: Whether questions are written down as well.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(self, app: ASGIApp, place: str, *, has_questions: bool = False) -> None:
        self._app, self._has_questions = app, has_questions
        self._path = None if place == STDERR else Path(place).expanduser()
        self._has_failed = False
        try:
            self._append(b"")
        except OSError as exc:
            msg = f"serve.access_log {place} cannot be written: {exc.strerror}"
            raise ConfigError(msg) from exc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, and write of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, started = datetime.now(UTC), time.perf_counter()
        seen: dict[str, Any] = {"status": CLIENT_GONE, "bytes": 0, "whole": False}
        noted: dict[str, str] = {}
        token = _QUESTION.set(noted if self._has_questions else None)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            elif message["type"] == "http.response.body":
                seen["bytes"] += len(message.get("body", b""))
                seen["whole"] = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            _QUESTION.reset(token)
            line = {
                "time": began.isoformat(timespec="milliseconds"),
                "client": (scope.get("client") or ("",))[0],
                "method": scope["method"],
                "path": scope["path"],
                **seen,
                "ms": round((time.perf_counter() - started) * 1000, 1),
                **noted,
            }
            self._write(json_bytes(line) + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            self._append(line)
        except OSError as exc:
            if not self._has_failed:
                _log.warning("The access log cannot be written (%s): requests go on.", exc)
            self._has_failed = True

    def _append(self, line: bytes) -> None:
        if self._path is None:
            sys.stderr.write(line.decode())
            sys.stderr.flush()
            return
        with self._path.open("ab") as file:
            file.write(line)
