"""The guard before every route: who may ask at all, and how much at once.

A page of the web can send requests to a server on this machine. Checking `Origin` alone does not
stop it: a name that leads to 127.0.0.1 makes the foreign page and this server one origin. So the
`Host` must be a name that no one else can hand out: an address, or ``localhost``.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ragkit.serve.failures import failure_reply
from ragkit.serve.token_guesses import TokenGuesses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "ragkit_session"
OPEN_PATHS = ("/health", "/ready")
"""What tells nothing and needs no token."""

_CHANGING = ("POST", "PUT", "PATCH", "DELETE")
_COMMAND_LINE = ("curl/", "Wget/")
_LOOPBACK_NAMES = ("localhost",)
_CSP = (
    "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_ALLOWED_HEADERS = (
    "authorization, content-type, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name"
)
_HEADERS = (  # as servers send them: every reply has them
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_LATER = "too many wrong tokens came from this address; wait {} seconds"
_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ragkit</title>
<meta name="viewport" content="width=device-width"><h1>ragkit</h1>{said}
<form method="post" action="/login"><input type="hidden" name="next" value="{next}"><label>Token
<input type="password" name="token" autocomplete="current-password" autofocus required></label>
<button>Enter</button></form></html>"""
_MOST_LOGIN = 4096


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What the guard lets through.

    Attributes:
        token: That each request must carry; "": none is needed.
        hosts: Names besides addresses and ``localhost`` under which the server is reached.
        origins: Pages of other servers, and browser extensions, that may ask:
            ``https://wiki.example``, or ``chrome-extension://*`` for all of a kind.
        any_address: Whether `Host` may be an address beyond loopback.
        max_body: Bytes of a request's body.
        max_upload: Bytes of a body that is sent to `uploads`.
        uploads: The beginning of the paths that take files.
    """

    token: str = ""
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    any_address: bool = False
    max_body: int = 4_000_000
    max_upload: int = 100_000_000
    uploads: str = "/ragkit/v1/uploads"


class Guard:
    """Stands before an ASGI application and refuses what has no business there."""

    def __init__(self, app: ASGIApp, rules: GuardRules) -> None:
        self.app, self.rules = app, rules
        self._session = _session_of(rules.token)
        self._guesses = TokenGuesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # a web socket: nothing here speaks that
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        allowed = self._allowed_origin(headers)
        answered = self._refusal(scope, headers)
        sending = _with_headers(send, allowed)
        if answered is not None:
            await answered(scope, receive, sending)
        elif scope["path"] == "/login" and self.rules.token:
            await (await self._login(scope, receive))(scope, receive, sending)
        else:
            most = self._most(scope["path"])
            await self.app(scope, _bounded(receive, most), sending)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that does not pass."""
        path, method = scope["path"], scope["method"]
        try:
            self._check_host(headers)
            self._check_origin(headers)
            if method == "OPTIONS" and self._allowed_origin(headers):
                return _preflight()
            if path == "/login":
                return None
            if not self._is_known(scope, headers):
                return _ask_for_token(scope, headers)
            if method in _CHANGING:
                self._check_body(path, headers)
        except HTTPException as exc:
            failed = (exc.status_code, "RequestError", exc.detail)
            return failure_reply(path, failed, exc.headers)
        return None

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        if len(given) == 1 and self._is_own(given[0]):
            return
        shown = given[0] if given else ""
        msg = (
            f"this server is not known by the host name {shown!r:.100}; ask 127.0.0.1 or localhost,"
            " or add the name to serve.hosts"
        )
        raise HTTPException(403, msg)

    def _is_own(self, host: str) -> bool:
        name = _without_port(host).casefold()
        if name in _LOOPBACK_NAMES or name in self.rules.hosts:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or self.rules.any_address

    def _check_origin(self, headers: Headers) -> None:
        """Refuse what a page of another server sends; only browsers say where a request is from."""
        origin = headers.get("origin")
        if origin is None:
            site = headers.get("sec-fetch-site", "none")
            if site in ("none", "same-origin") or headers.get("sec-fetch-mode") == "navigate":
                return
            origin = f"another page ({site})"
        elif self._allowed_origin(headers) or origin in _own_origins(headers["host"]):
            return
        msg = f"{origin!r:.200} may not ask this server; serve.origins names the pages that may"
        raise HTTPException(403, msg)

    def _allowed_origin(self, headers: Headers) -> str:
        """The origin of the request, if it is one of those that were let in; else ""."""
        origin = headers.get("origin", "")
        for known in self.rules.origins:
            whole_kind = known.endswith("://*") and known != "http://*" and known != "https://*"
            if origin == known or (whole_kind and origin.startswith(known[:-1])):
                return origin
        return ""

    def _is_known(self, scope: Scope, headers: Headers) -> bool:
        if not self.rules.token or scope["path"] in OPEN_PATHS:
            return True
        if _same(_cookie(headers), self._session):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_given = scheme.casefold() == "bearer" and bool(given.strip())
        return is_given and self._is_token(given.strip(), scope)

    def _is_token(self, given: str, scope: Scope) -> bool:
        """Whether a text is the token.

        Raises:
            HTTPException: Its sender tried too many others of late; 429. It is not looked at.
        """
        address = (scope.get("client") or ("",))[0]
        if wait_s := self._guesses.wait_s(address):
            raise HTTPException(429, _LATER.format(wait_s), {"Retry-After": str(wait_s)})
        if _same(given, self.rules.token):
            return True
        self._guesses.note(address)
        return False

    def _check_body(self, path: str, headers: Headers) -> None:
        length = headers.get("content-length", "")
        most = self._most(path)
        if length.isdigit() and int(length) > most:
            raise HTTPException(413, _too_large(most))
        if length == "0" or (not length and "transfer-encoding" not in headers):
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().casefold()
        wanted = ("application/json",)
        if path.startswith(self.rules.uploads):
            wanted = ("application/octet-stream",)
        if kind in wanted or headers.get("user-agent", "").startswith(_COMMAND_LINE):
            return
        msg = f"the body must be sent as Content-Type: {wanted[0]}, not {kind or 'without one'!r}"
        raise HTTPException(415, msg)

    def _most(self, path: str) -> int:
        return self.rules.max_upload if path.startswith(self.rules.uploads) else self.rules.max_body

    async def _login(self, scope: Scope, receive: Receive) -> Response:
        """Exchange the token for a cookie, for a browser that cannot send it with each request."""
        if scope["method"] != "POST":
            return _login_page(200, "/")
        body = b""
        while len(body) <= _MOST_LOGIN:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        fields = parse_qs(body[:_MOST_LOGIN].decode("utf-8", "replace"))
        wanted = _own_place(fields.get("next", ["/"])[0])
        try:
            if not self._is_token(fields.get("token", [""])[0].strip(), scope):
                return _login_page(401, wanted, "That is not the token.")
        except HTTPException as exc:
            return _login_page(429, wanted, f"Not now: {exc.detail}.", exc.headers)
        reply = RedirectResponse(wanted, 303)
        secure = scope.get("scheme") == "https"
        reply.set_cookie(COOKIE, self._session, httponly=True, samesite="lax", secure=secure)
        return reply


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to a host name or address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() in _LOOPBACK_NAMES


def wants_page(headers: Headers) -> bool:
    """Whether a person's browser asks for a page, and not a program for the same address."""
    shown = "text/html" in headers.get("accept", "")
    # Browsers leave the mode out where the address is neither loopback nor https.
    return shown and headers.get("sec-fetch-mode", "navigate") == "navigate"


def _session_of(token: str) -> str:
    """What the cookie holds: nothing from which the token could be found."""
    return hmac.new(token.encode(), b"ragkit session", hashlib.sha256).hexdigest() if token else ""


def _same(given: str, expected: str) -> bool:
    return bool(given) and hmac.compare_digest(given.encode(), expected.encode())


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _own_origins(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"


def _too_large(most: int) -> str:
    return f"the body is larger than the {most:,} bytes that this server takes"


def _ask_for_token(scope: Scope, headers: Headers) -> Response:
    if wants_page(headers):
        query = scope.get("query_string", b"").decode("latin-1")
        return _login_page(401, scope["path"] + (f"?{query}" if query else ""))
    msg = "this server needs its token, as `Authorization: Bearer TOKEN`"
    failed = (401, "RequestError", msg)
    return failure_reply(scope["path"], failed, {"www-authenticate": "Bearer"})


def _login_page(
    status: int, wanted: str, said: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """The page that asks for the token, and leads to what was wanted."""
    told = f"<p role=alert>{escape(said)}" if said else ""
    page = _LOGIN.format(said=told, next=escape(_own_place(wanted)))
    return HTMLResponse(page, status, headers)


def _own_place(wanted: str) -> str:
    """An address of this server to go to; ``/`` for whatever else is given."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/login"))
    return wanted if is_path and wanted.isascii() and wanted.isprintable() else "/"


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE",
            "access-control-allow-headers": _ALLOWED_HEADERS,
            "access-control-expose-headers": "mcp-session-id",
            "access-control-max-age": "600",
        },
    )


def _with_headers(send: Send, origin: str) -> Send:
    """Send with the headers that tell browsers what not to do."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = message["headers"] = list(message.get("headers", ()))
            names = {name for name, _ in given}
            given += [header for header in _HEADERS if header[0] not in names]
            if origin:
                headers = MutableHeaders(raw=given)
                headers["access-control-allow-origin"] = origin
                headers["vary"] = "Origin"
                headers["cross-origin-resource-policy"] = "cross-origin"
        await send(message)

    return sending


def _bounded(receive: Receive, most: int) -> Receive:
    """Receive no more of a body than is allowed, whatever its length was said to be."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _too_large(most))
        return message

    return receiving
