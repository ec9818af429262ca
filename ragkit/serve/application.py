"""The server's ASGI application: its routes, and the guard before them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ragkit.errors import RagkitError
from ragkit.serve.failures import json_reply, reply_to_failure
from ragkit.serve.guard import Guard, wants_page
from ragkit.serve.ollama_api import OllamaAPI, running_text
from ragkit.serve.openai_api import OpenAIAPI
from ragkit.serve.own_api import OwnAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ragkit.serve.guard import GuardRules
    from ragkit.serve.serving import Serving

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ragkit</title>
<h1>ragkit</h1><p>The indexes of this server are at <a href="/ragkit/v1/indexes">
/ragkit/v1/indexes</a>.</html>"""


def make_application(serving: Serving, rules: GuardRules) -> ASGIApp:
    """The application that serves indexes.

    Args:
        serving: What is served; closed with the application.
        rules: What the guard lets through.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await serving.indexes.close()

    app = Starlette(
        routes=[
            Route("/", root),
            Route("/health", health),
            *OllamaAPI(serving).routes(),
            *OpenAIAPI(serving).routes(),
            *OwnAPI(serving).routes(),
        ],
        exception_handlers={
            HTTPException: reply_to_failure,
            RagkitError: reply_to_failure,
            Exception: reply_to_failure,
        },
        lifespan=lifespan,
    )
    return Guard(app, rules)


async def root(request: Request) -> Response:
    """The page to a person's browser; to programs what a server of Ollama says."""
    return HTMLResponse(_PAGE) if wants_page(request.headers) else running_text()


async def health(_request: Request) -> Response:
    """That the server runs."""
    return json_reply({"status": "ok"})
