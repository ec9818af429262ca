"""The files of the web page, which come with the package and from nowhere else."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from ragkit.serve.guard import wants_page
from ragkit.serve.ollama_api import running_text

if TYPE_CHECKING:
    from starlette.requests import Request

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class _PageFile(NamedTuple):
    content: bytes
    kind: str
    tag: str


def page_routes() -> list[Route]:
    """The routes that a browser needs: the page, the page at a citation's place, its files."""
    return [
        Route("/", root),
        Route("/view", page),
        Route("/page/{name}", page_file),
    ]


async def root(request: Request) -> Response:
    """The page to a person's browser; to programs what a server of Ollama says."""
    reply = await page(request) if wants_page(request.headers) else running_text()
    reply.headers["vary"] = "Accept, Sec-Fetch-Mode"
    return reply


async def page(request: Request) -> Response:
    """The page; what it shows is in its address, which it reads itself."""
    return _sent(request, _page_files()["index.html"])


async def page_file(request: Request) -> Response:
    """One of the page's scripts, styles and pictures."""
    found = _page_files().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404, "the page has no such file")
    return _sent(request, found)


def _sent(request: Request, file: _PageFile) -> Response:
    """A file, unless the browser has it as it is."""
    headers = {"etag": file.tag, "cache-control": "no-cache"}
    known = request.headers.get("if-none-match", "")
    if file.tag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.kind)


@cache
def _page_files() -> dict[str, _PageFile]:
    found = {}
    for file in (files("ragkit.serve") / "page").iterdir():
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind:
            content = file.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
            found[file.name] = _PageFile(content, kind, tag)
    return found
