"""Requests to a server of ragkit."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import requests

from ragkit.errors import ServerError
from ragkit.models.http.address import ApiKey, is_loopback, key_for, parse_host
from ragkit.remote.server_errors import told_error

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

TOKEN_VARIABLE = "RAGKIT_TOKEN"  # noqa: S105 -- the variable's name, not a token
_BASE = "/ragkit/v1"
_PORT = 11435
_CONNECT_S = 5.0


class ServerConnection:
    """Sends requests to one server; safe in several threads.

    Args:
        url: e.g. ``http://127.0.0.1:11435``, or ``127.0.0.1``.
        token: That it wants; None: what ``RAGKIT_TOKEN`` holds, where it may be sent: over https,
            or to this machine.
        timeout_s: The longest wait for the next byte.

    Raises:
        ConfigError: The address or the token cannot be used.
    """

    def __init__(self, url: str, *, token: str | None, timeout_s: float) -> None:
        self.address = parse_host(_with_port(url), setting="the server's address")
        self._timeout = (_CONNECT_S, timeout_s)
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(self.address)
        if token:
            self._session.auth = ApiKey(token, "the token")
        elif token is None:
            self._session.auth = key_for(self.address, TOKEN_VARIABLE)

    def read(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 -- JSON
        """GET a JSON value; errors are those of `send`."""
        with closing(self._open("GET", path, params=parameters)) as reply:
            return self._value(reply)

    def send(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- JSON
        """POST a JSON value, and read one.

        Raises:
            RagkitError: As the server says.
            ServerError: It does not answer, or is no server of ragkit.
        """
        with closing(self._open("POST", path, json=body)) as reply:
            return self._value(reply)

    def events(self, path: str, body: Mapping[str, Any]) -> Generator[tuple[str, Any], None, None]:
        """POST a JSON value, and give the events of the reply, by name; errors as of `send`.

        Closing the iterator closes the connection, by which the server stops.
        """
        with closing(self._open("POST", path, json=body)) as reply:
            name = ""
            try:
                for line in reply.iter_lines(chunk_size=None):
                    if line.startswith(b"event: "):
                        name = line[7:].decode()
                    elif line.startswith(b"data: "):
                        yield name, orjson.loads(line[6:])
            except (requests.RequestException, orjson.JSONDecodeError) as exc:
                raise self._broken(exc) from exc

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _open(self, method: str, path: str, **given: Any) -> requests.Response:  # noqa: ANN401 -- of requests
        try:
            reply = self._session.request(
                method,
                self.address + _BASE + path,
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
                **given,
            )
        except requests.RequestException as exc:
            msg = f"no server of ragkit answers at {self.address}: {exc}; `ragkit serve` starts one"
            raise ServerError(msg) from exc
        if reply.ok and not reply.is_redirect:
            return reply
        with closing(reply):
            raise told_error(reply.status_code, self._json(reply), self.address)

    def _value(self, reply: requests.Response) -> Any:  # noqa: ANN401 -- JSON
        found = self._json(reply)
        if found is None:
            raise told_error(reply.status_code, None, self.address)
        return found

    def _json(self, reply: requests.Response) -> Any:  # noqa: ANN401 -- JSON, or None
        try:
            return orjson.loads(reply.content)
        except orjson.JSONDecodeError:
            return None
        except requests.RequestException as exc:
            raise self._broken(exc) from exc

    def _broken(self, exc: Exception) -> ServerError:
        return ServerError(f"the reply of {self.address} broke off: {exc}")


def _with_port(url: str) -> str:
    """An address without a scheme has the port of `ragkit serve`, unless it names one."""
    given = url.strip().rstrip("/")
    if "://" in given or not given:
        return given or f"127.0.0.1:{_PORT}"
    return given if urlsplit(f"http://{given}").port else f"{given}:{_PORT}"
