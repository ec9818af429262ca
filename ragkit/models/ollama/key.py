"""The key of a hosted server: sent to that server only, and never shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from requests.auth import AuthBase

from ragkit.errors import ConfigError
from ragkit.models.ollama.host import is_loopback

if TYPE_CHECKING:
    from requests import PreparedRequest

VARIABLE = "OLLAMA_API_KEY"
_MASK = "***"


class ApiKey(AuthBase):
    """Authorises requests as ``Authorization: Bearer KEY``.

    Given to a session as its ``auth``, it also keeps the user's ``.netrc`` from taking its place.

    Args:
        value: The key; printable ASCII without spaces.
        source: Where it was read, for the error message.

    Raises:
        ConfigError: The value cannot be a key; it is not repeated in the message.
    """

    def __init__(self, value: str, source: str = VARIABLE) -> None:
        if not value.isascii() or not value.isprintable() or " " in value or not value:
            msg = f"{source} is no key: it holds spaces, line ends or other letters than ASCII's"
            raise ConfigError(msg)
        self._value = value

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Add the key to a request."""
        r.headers["Authorization"] = f"Bearer {self._value}"
        return r

    def __repr__(self) -> str:
        return f"ApiKey({_MASK!r})"

    def mask(self, text: str) -> str:
        """A text, such as a server's error, with the key blotted out."""
        return text.replace(self._value, _MASK)


def key_for(base: str, variable: str = VARIABLE) -> ApiKey | None:
    """The key in an environment variable, where it may be sent to a base URL.

    That is over https, or to this machine; in the clear over a network it is kept back.

    Raises:
        ConfigError: The variable holds what cannot be a key.
    """
    value = os.environ.get(variable, "").strip()
    return ApiKey(value, variable) if value and _is_safe(base) else None


def kept_back(base: str, variable: str = VARIABLE) -> str:
    """The variable if it holds a key that may not be sent to a base URL, else nothing."""
    return variable if os.environ.get(variable, "").strip() and not _is_safe(base) else ""


def _is_safe(base: str) -> bool:
    return base.startswith("https:") or is_loopback(base)
