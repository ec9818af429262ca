"""The server's ASGI application: its routes, and the guard before them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from ragkit.errors import RagkitError
from ragkit.serve.failures import json_reply, reply_to_failure
from ragkit.serve.guard import Guard
from ragkit.serve.ollama_api import OllamaAPI
from ragkit.serve.openai_api import OpenAIAPI
from ragkit.serve.own_api import OwnAPI
from ragkit.serve.web_page import page_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from ragkit.serve.guard import GuardRules
    from ragkit.serve.mcp_server import McpRoute
    from ragkit.serve.serving import Serving


def make_application(serving: Serving, rules: GuardRules, *, mcp: bool = False) -> ASGIApp:
    """The application that serves indexes.

    Args:
        serving: What is served; closed with the application.
        rules: What the guard lets through.
        mcp: Whether clients of MCP are served too; needs the extra ``mcp``.
    """
    mcp_route = _mcp_route(serving) if mcp else None

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            async with AsyncExitStack() as running:
                if mcp_route:
                    await running.enter_async_context(mcp_route.running())
                yield
        finally:
            await serving.indexes.close()

    app = Starlette(
        routes=[
            Route("/health", health),
            *page_routes(),
            *OllamaAPI(serving).routes(),
            *OpenAIAPI(serving).routes(),
            *OwnAPI(serving).routes(),
            *([mcp_route.route()] if mcp_route else ()),
        ],
        exception_handlers={
            HTTPException: reply_to_failure,
            RagkitError: reply_to_failure,
            Exception: reply_to_failure,
        },
        lifespan=lifespan,
    )
    return Guard(app, rules)


def _mcp_route(serving: Serving) -> McpRoute:
    from ragkit.serve.mcp_server import McpRoute  # the SDK takes most of a second to load

    return McpRoute(serving)


async def health(_request: Request) -> Response:
    """That the server runs."""
    return json_reply({"status": "ok"})
