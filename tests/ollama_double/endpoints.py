"""The endpoints of the test server: which part of it answers which request."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from ollama_double.embed import Vectors
from ollama_double.manage import Models
from ollama_double.openai import OpenAI, refused
from ollama_double.state import State
from ollama_double.text import Words
from ollama_double.wire import (
    JSON,
    NO_KIND,
    PLAIN_JSON,
    TEXT,
    Refusal,
    Stream,
    decode,
    dump,
    to_whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_double.script import Fault
    from ollama_double.server import OllamaServer
    from ollama_double.wire import Body, Whole

    Post = Callable[[Body, Fault | None], Any]

_BLOBS, _MODELS = "/api/blobs/", "/v1/models/"
_NO_HEAD = ("/api/ps", "/api/status", "/v1/models")
_STATUS = {"cloud": {"disabled": False, "source": "none"}}
_LOCAL = (None, "localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 -- compared, not bound
_LOCAL_SCHEMES = ("app", "file", "tauri")
_LOCAL_DOMAINS = (".localhost", ".local", ".internal")
_STAINLESS = ["Arch", "Async", "Custom-Poll-Interval", "Helper-Method", "Lang", "Os"]
_STAINLESS += ["Package-Version", "Poll-Helper", "Retry-Count", "Runtime", "Runtime-Version"]
_STAINLESS.append("Timeout")
_HEADERS = ["Authorization", "Content-Type", "User-Agent", "Accept"]
_HEADERS += ["X-Requested-With", "Openai-Beta"]
_HEADERS += [f"X-Stainless-{name}" for name in _STAINLESS]
_CORS = {
    "Access-Control-Allow-Headers": ",".join(_HEADERS),
    "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "Access-Control-Max-Age": "43200",
    "Vary": "Access-Control-Request-Headers",
}
_NOT_ALLOWED: tuple[int, bytes, str] = (405, b"405 method not allowed", TEXT)


class Endpoints:
    """Answers requests as the server of the chosen family does."""

    def __init__(self, server: OllamaServer) -> None:
        self._server = server
        self.state = State(server.settings)
        words = Words(self.state, server.replies)
        vectors = Vectors(self.state, server.slots)
        self._models = Models(self.state)
        self._openai = OpenAI(self.state, words, vectors)
        self._get: dict[str, Callable[[], Whole]] = {
            "/": lambda: (200, b"Ollama is running", f"{TEXT}; charset=utf-8"),
            "/api/version": lambda: to_whole({"version": server.settings.version}),
            "/api/tags": lambda: to_whole(self._models.tags()),
            "/api/ps": lambda: to_whole(self._models.ps()),
            "/v1/models": lambda: to_whole(self._openai.models(), kind=PLAIN_JSON),
        }
        if server.settings.family == "new":
            self._get["/api/status"] = lambda: to_whole(_STATUS)
        self._post: dict[str, Post] = {
            "/api/embeddings": vectors.embeddings,
            "/api/embed": vectors.embed,
            "/api/generate": words.generate,
            "/api/chat": words.chat,
            "/api/show": self._models.show,
            "/api/pull": self._models.pull,
            "/api/push": self._models.push,
            "/api/create": self._models.create,
            "/api/copy": self._models.copy,
            "/v1/chat/completions": self._openai.chat,
            "/v1/completions": self._openai.completions,
            "/v1/embeddings": self._openai.embeddings,
        }
        self._delete: dict[str, Post] = {"/api/delete": self._models.delete}

    def reply(
        self, method: str, path: str, body: bytes, headers: dict[str, str], fault: Fault | None
    ) -> Whole | Stream:
        """The whole reply, or a stream."""
        if fault:
            self._server.closing.wait(fault.delay_s)
            if fault.held:
                fault.held.wait(20)
            if fault.status is not None:
                text = isinstance(fault.body, str)
                return fault.status, dump(fault.body), TEXT if text else JSON
        shaped = refused if path.startswith("/v1/") else _refused
        key = self._server.settings.api_key
        if key and headers.get("authorization") != f"Bearer {key}":
            held = headers.get("authorization", "")
            return shaped(401, f"unauthorized: no right with {held}", "")
        checked = self._server.settings.family == "new" and not self._server.settings.cheap
        if checked and _is_foreign(headers):
            return 403, b"", NO_KIND
        try:
            given = self._routed(method, path, body, fault)
        except Refusal as refusal:
            return shaped(refusal.status, str(refusal), refusal.kind)
        if isinstance(given, dict):
            return to_whole(given, kind=PLAIN_JSON if path.startswith("/v1/") else JSON)
        return _extended(given, fault) if fault and fault.extra else given

    def further_headers(self, method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
        """What a reply's head says besides: the methods allowed, and to which page of the web."""
        known = [verb for verb in ("HEAD", "GET", "POST", "DELETE") if self._knows(verb, path)]
        allowed = {"Allow": ", ".join(known)} if known and method not in known else {}
        origin = "" if _is_foreign(headers) else headers.get("origin", "")
        return allowed | (_CORS | {"Access-Control-Allow-Origin": origin} if origin else {})

    def _knows(self, method: str, path: str) -> bool:
        if path in self._get:
            return method in (("GET",) if path in _NO_HEAD else ("HEAD", "GET"))
        if path.startswith(_BLOBS):
            return method in ("HEAD", "POST")
        return (method == "POST" and path in self._post) or (
            method == "DELETE" and path in self._delete
        )

    def _routed(
        self, method: str, path: str, body: bytes, fault: Fault | None
    ) -> Whole | Stream | Body:
        if method == "OPTIONS":
            return 204, b"", NO_KIND
        if path in self._get:
            return self._get[path]() if method in ("GET", "HEAD") else _NOT_ALLOWED
        if path.startswith(_BLOBS):
            known = method in ("HEAD", "POST")
            digest = path.removeprefix(_BLOBS)
            return self._models.blob(method, digest, body) if known else _NOT_ALLOWED
        if path.startswith(_MODELS):
            return self._openai.model(path.removeprefix(_MODELS))
        found = self._post.get(path) or self._delete.get(path)
        if found is None:
            return 404, b"404 page not found", TEXT
        if method != ("POST" if path in self._post else "DELETE"):
            return _NOT_ALLOWED
        given: Whole | Stream | Body = found(decode(body, path), fault)
        if isinstance(given, dict) and fault:
            given |= fault.extra
        return given


def _refused(status: int, text: str, kind: str) -> Whole:
    return to_whole({"error": text}, status, kind or JSON)


def _is_foreign(headers: dict[str, str]) -> bool:
    """True for a request in the name of another host, or from a page of another one."""
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    origin = urlsplit(headers.get("origin", ""))
    local = origin.hostname in _LOCAL or origin.scheme in _LOCAL_SCHEMES
    return not _is_local(host) or not (local or origin.scheme.startswith("vscode-"))


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return host in ("", "localhost") or host.endswith(_LOCAL_DOMAINS)


def _extended(given: Whole | Stream, fault: Fault) -> Whole | Stream:
    if isinstance(given, Stream):
        return given
    status, body, kind = given
    return status, dump(orjson.loads(body) | fault.extra), kind
