"""Requests of others, passed on to an Ollama server as they are."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import requests

from ragkit.errors import ModelUnavailableError
from ragkit.models.http.address import is_loopback, key_for, parse_hosts
from ragkit.models.ollama.names import is_remote, same_name

if TYPE_CHECKING:
    from collections.abc import Generator

    from ragkit.config import ModelSettings

_KEY_VARIABLE = "OLLAMA_API_KEY"
_KNOWN_S = 2.0
"""For so long the list of models is not asked for again."""


@dataclass(frozen=True, slots=True)
class RelayedHead:
    """How a reply begins: its status and content type."""

    status: int
    media_type: str


class ModelRelay:
    """Passes requests on to the first configured Ollama server; safe in several threads.

    Args:
        settings: Where it is, how long it is waited for, and whether models that run elsewhere may
            be used (``allow_remote``).

    Raises:
        ConfigError: The address or ``OLLAMA_API_KEY`` cannot be used.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self.address = parse_hosts(settings.ollama_host)[0]
        self._timeout = (settings.connect_timeout_s, settings.read_timeout_s)
        self._allows_remote = settings.allow_remote
        self._session = requests.Session()
        self._session.auth = key_for(self.address, _KEY_VARIABLE)
        self._session.trust_env = not is_loopback(self.address)
        self._known: list[dict[str, Any]] = []
        self._asked = -_KNOWN_S

    def models(self) -> list[dict[str, Any]]:
        """The models as the server lists them; none if it does not answer.

        Those that run on another machine are left out, unless that is allowed.
        """
        now = time.monotonic()
        if now - self._asked >= _KNOWN_S:
            self._known, self._asked = self._listed(), now
        return self._known

    def has(self, name: str) -> bool:
        """Whether a name is that of a model that requests are passed on for."""
        return any(same_name(name, str(each.get("name"))) for each in self.models())

    def pass_on(self, path: str, body: bytes) -> Generator[RelayedHead | bytes, None, None]:
        """POST a JSON body; gives the head of the reply, and then its pieces.

        Closing the generator ends the request.

        Raises:
            ModelUnavailableError: Nothing answers, or the reply breaks off.
        """
        try:
            reply = self._session.post(
                self.address + path,
                data=body,
                headers={"Content-Type": "application/json"},
                stream=True,
                timeout=self._timeout,
                allow_redirects=False,
            )
            with closing(reply):
                kind = reply.headers.get("Content-Type", "application/json")
                yield RelayedHead(reply.status_code, kind)
                yield from reply.iter_content(None)
        except requests.RequestException as exc:
            msg = f"the Ollama server at {self.address} does not answer: {exc}"
            raise ModelUnavailableError(msg) from exc

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _listed(self) -> list[dict[str, Any]]:
        try:
            reply = self._session.get(self.address + "/api/tags", timeout=self._timeout)
            found = orjson.loads(reply.content).get("models", ()) if reply.ok else ()
        except (requests.RequestException, orjson.JSONDecodeError, AttributeError):
            return []
        models = [each for each in found if isinstance(each, dict) and each.get("name")]
        if self._allows_remote:
            return models
        return [m for m in models if not (m.get("remote_host") or is_remote(str(m["name"])))]
