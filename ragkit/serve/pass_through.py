"""The real server's models beside the indexes: a client needs one address for both."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from ragkit.async_pipeline import CallThreads, streamed
from ragkit.errors import IndexNotFoundError
from ragkit.serve.serving import StreamedReply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from ragkit.models.ollama.relay import ModelRelay, RelayedHead
    from ragkit.serve.registry import IndexRegistry
    from ragkit.serve.serving import Handler

_THREADS = 32


class PassThrough:
    """Hands requests for models that are no index to the server that has them.

    Args:
        indexes: Whose names come first.
        relay: To that server; None: nothing is handed on.
    """

    def __init__(self, indexes: IndexRegistry, relay: ModelRelay | None) -> None:
        self._indexes, self._relay = indexes, relay
        self._threads = CallThreads(_THREADS)

    async def models(self) -> list[dict[str, Any]]:
        """The models that requests are handed on for, as an Ollama server lists them."""
        if self._relay is None:
            return []
        found = await self._threads.run(self._relay.models)
        return [each for each in found if not self._is_index(str(each["name"]))]

    def around(self, handler: Handler) -> Handler:
        """A handler for indexes that hands on what names another model."""
        relay = self._relay
        if relay is None:
            return handler

        async def handed(request: Request) -> Response:
            body = await request.body()
            name = _model_of(body)
            if not name or self._is_index(name):
                return await handler(request)
            if not await self._threads.run(partial(relay.has, name)):
                return await handler(request)
            return await self._handed_on(relay, request.url.path, body)

        return handed

    async def close(self) -> None:
        """Stop what is handed on."""
        await self._threads.close()
        if self._relay is not None:
            self._relay.close()

    def _is_index(self, name: str) -> bool:
        try:
            self._indexes.find(name)
        except IndexNotFoundError:
            return False
        return True

    async def _handed_on(self, relay: ModelRelay, path: str, body: bytes) -> Response:
        parts = streamed(self._threads, partial(relay.pass_on, path, body))
        head = await anext(parts)
        if isinstance(head, bytes):
            msg = "a relay gives the head first"
            raise TypeError(msg)
        return StreamedReply(_pieces(parts), head.media_type, head.status)


async def _pieces(
    parts: AsyncGenerator[RelayedHead | bytes, None],
) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, bytes):
                yield part


def _model_of(body: bytes) -> str:
    """The model that a body names, "" if it names none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(value, dict):
        return ""
    name = value.get("model") or value.get("name")
    return name if isinstance(name, str) else ""
