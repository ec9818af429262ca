"""The server's ASGI application: its routes, and the guard before them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from ragkit.errors import RagkitError
from ragkit.serve.access_log import AccessLog
from ragkit.serve.failures import json_reply, reply_to_failure
from ragkit.serve.guard import Guard
from ragkit.serve.index_jobs import IndexJobs
from ragkit.serve.jobs_api import JobsAPI
from ragkit.serve.ollama_api import OllamaAPI
from ragkit.serve.openai_api import OpenAIAPI
from ragkit.serve.openapi import OpenAPIDocument
from ragkit.serve.own_api import OwnAPI
from ragkit.serve.page_pictures import PagePictures
from ragkit.serve.pass_through import PassThrough
from ragkit.serve.passages_api import PassagesAPI
from ragkit.serve.web_page import page_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ragkit.config import ServeSettings
    from ragkit.models.ollama.relay import ModelRelay
    from ragkit.serve.guard import GuardRules
    from ragkit.serve.index_watch import IndexWatch
    from ragkit.serve.mcp_server import McpRoute
    from ragkit.serve.operations import Operation
    from ragkit.serve.serving import Handler, Serving

_CLOSE_S = 5.0
_OFTEN = ("/ragkit/v1/search", "/api/chat", "/v1/chat/completions", "/ragkit/v1/ask")
"""Routes are tried one after another: these come first."""


def make_application(
    serving: Serving, rules: GuardRules, watch: IndexWatch | None = None, *, mcp: bool = False
) -> ASGIApp:
    """The application that serves indexes.

    Args:
        serving: What is served; closed with the application.
        rules: What the guard lets through.
        watch: Keeps the indexes up to date meanwhile; None: nothing does.
        mcp: Whether clients of MCP are served too; needs the extra ``mcp``.
    """
    jobs, pictures = IndexJobs(serving), PagePictures(serving.indexes.config.load)
    serving.at_stop(jobs.cancel_all)
    others = PassThrough(serving.indexes, _relay(serving))
    mcp_route = _mcp_route(serving, jobs) if mcp else None

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            for part in (serving.indexes, others, pictures, jobs):
                running.push_async_callback(_closed, part.close)
            if watch is not None:
                watch.start()
                serving.at_stop(watch.stop)
                running.push_async_callback(_closed, watch.close)
            if mcp_route:
                await running.enter_async_context(mcp_route.running())
            yield

    routes = [
        Route("/health", health),
        Route("/ready", _readiness(serving)),
        *page_routes(),
        *OllamaAPI(serving, others).routes(),
        *OpenAIAPI(serving, others).routes(),
        *(operation.route() for operation in own_operations(serving, jobs, pictures)),
    ]
    routes.sort(key=lambda route: route.path not in _OFTEN)
    app = Starlette(
        routes=[*routes, *([mcp_route.route()] if mcp_route else ())],
        exception_handlers=dict.fromkeys((HTTPException, RagkitError, Exception), reply_to_failure)
        | {ClientDisconnect: nobody_reads},
        lifespan=lifespan,
    )
    return _logged(Guard(app, rules), serving.settings)


def _logged(app: ASGIApp, settings: ServeSettings) -> ASGIApp:
    """The application with its access log, if one is set."""
    if not settings.access_log:
        return app
    return AccessLog(app, settings.access_log, has_questions=settings.log_questions)


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    """Close something, unless that takes too long.

    A thread that waits for a silent model cannot be ended; it dies with the process, and what an
    index has committed by then is in order.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await close()


def _readiness(serving: Serving) -> Handler:
    """Tells that questions can be answered: every index that was named is there."""

    async def ready(_request: Request) -> Response:
        missing = await asyncio.to_thread(serving.indexes.missing)
        if serving.is_stopping or missing:
            why = "stopping" if serving.is_stopping else "an index that was named is not there"
            return json_reply({"status": "not ready", "reason": why}, 503)
        return json_reply({"status": "ready"})

    return ready


def own_operations(
    serving: Serving, jobs: IndexJobs, pictures: PagePictures
) -> Sequence[Operation]:
    """All that is done below ``/ragkit/v1``, its description among it."""
    interfaces = (OwnAPI(serving), PassagesAPI(serving, pictures), JobsAPI(serving, jobs))
    return OpenAPIDocument([o for each in interfaces for o in each.operations()]).operations


def _relay(serving: Serving) -> ModelRelay | None:
    config = serving.indexes.config
    if not config.serve.pass_through:
        return None
    from ragkit.models.ollama.relay import ModelRelay  # with requests

    return ModelRelay(config.models)


async def nobody_reads(_request: Request, _exc: Exception) -> Response:
    """What ends a request whose client has gone."""
    return Response(status_code=400)


def _mcp_route(serving: Serving, jobs: IndexJobs) -> McpRoute:
    from ragkit.serve.mcp_server import McpRoute  # the SDK takes most of a second to load

    return McpRoute(serving, jobs)


async def health(_request: Request) -> Response:
    """That the server runs."""
    return json_reply({"status": "ok"})
