"""A server's address as people write it, and the key that may be sent there.

Addresses are read by the rules of ``OLLAMA_HOST``, also those of other servers.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.auth import AuthBase

from ragkit.errors import ConfigError

if TYPE_CHECKING:
    from requests import PreparedRequest

_log = logging.getLogger(__name__)

_PORTS = {"http": 80, "https": 443}
_OLLAMA_PORT = 11434
_HIGHEST_PORT = 65535
_IMPOSSIBLE = re.compile(r"[@,?#\\\s]")  # a user, a list, a query, a blank
_MASK = "***"
# A server that listens on every address is reached on loopback.
_CONNECTABLE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- not bound


def parse_host(text: str, *, setting: str = "models.ollama_host") -> str:
    """Turn an address as people write it into a base URL.

    Without a scheme the port defaults to 11434, with one to the scheme's own; a path is kept as
    a prefix. Addresses that only a server can listen on become loopback ones.

    Args:
        text: e.g. ``""``, ``example.com``, ``0.0.0.0:8080``, ``[::1]``, ``https://host/ollama``.
        setting: Where it was read, for the error message.

    Returns:
        Scheme, host, port and path without a trailing slash.

    Raises:
        ConfigError: The scheme is not http or https, or it names a user or several addresses.

    >>> parse_host("0.0.0.0")
    'http://127.0.0.1:11434'
    """
    given = text.strip().strip("\"'").strip()
    scheme, separator, rest = given.rpartition("://")
    scheme = scheme.lower()
    if not separator:
        scheme = "https" if rest.rstrip("/").lower() == "ollama.com" else "http"
    place, _, path = rest.partition("/")
    name, port = _split_port(place)
    if scheme not in _PORTS or _IMPOSSIBLE.search(rest) or not _is_host(name):
        shown = re.sub(r"[^/]*@", f"{_MASK}@", text)  # what stands before it may be a password
        msg = f"{setting} = {shown!r}: expected [http[s]://]host[:port][/path]"
        raise ConfigError(msg)
    default = _PORTS[scheme] if separator or scheme == "https" else _OLLAMA_PORT
    name = _CONNECTABLE.get(name, name)
    shown = f"[{name}]" if ":" in name else name
    path = path.strip("/")
    return f"{scheme}://{shown}:{_port(port, default)}" + (f"/{path}" if path else "")


def parse_hosts(text: str) -> tuple[str, ...]:
    """Turn a list of addresses, separated by commas, into base URLs; see `parse_host`.

    Returns:
        At least one, in order, each once.

    Raises:
        ConfigError: As `parse_host`.

    >>> parse_hosts("127.0.0.1, gpu:8080, 0.0.0.0")
    ('http://127.0.0.1:11434', 'http://gpu:8080')
    """
    # What names a user is refused whole: a password may hold a comma.
    items = [text] if "@" in text else text.strip("\"' ").split(",")
    given = [item for item in items if item.strip()] or [""]
    return tuple(dict.fromkeys(parse_host(item) for item in given))


def is_loopback(url: str) -> bool:
    """True if a base URL names this machine, so that no proxy can be meant for it."""
    name = urlsplit(url).hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:  # a name, not an address
        return False


class ApiKey(AuthBase):
    """Authorises requests as ``Authorization: Bearer KEY``.

    Given to a session as its ``auth``, it also keeps the user's ``.netrc`` from taking its place.

    Args:
        value: The key; printable ASCII without spaces.
        source: Where it was read, for the error message.

    Raises:
        ConfigError: The value cannot be a key; it is not repeated in the message.
    """

    def __init__(self, value: str, source: str) -> None:
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


def key_for(base: str, variable: str) -> ApiKey | None:
    """The key in an environment variable, where it may be sent to a base URL.

    That is over https, or to this machine; in the clear over a network it is kept back.

    Raises:
        ConfigError: The variable holds what cannot be a key.
    """
    value = os.environ.get(variable, "").strip()
    return ApiKey(value, variable) if value and _is_safe(base) else None


def kept_back(base: str, variable: str) -> str:
    """The variable if it holds a key that may not be sent to a base URL, else nothing."""
    return variable if os.environ.get(variable, "").strip() and not _is_safe(base) else ""


def _is_host(name: str) -> bool:
    """False where a part between dots is empty or too long, which no request survives."""
    try:
        name.encode("idna")
    except UnicodeError:
        return ":" in name  # an IPv6 address
    return True


def _split_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        name, _, port = place[1:].partition("]")
        return name, port.removeprefix(":")
    if place.count(":") > 1:  # IPv6 without brackets leaves no room for a port
        return place, ""
    name, _, port = place.partition(":")
    return name, port


def _port(text: str, default: int) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT:
        return int(text)
    if text:
        _log.warning("invalid port %r in the address, using %d", text, default)
    return default


def _is_safe(base: str) -> bool:
    return base.startswith("https:") or is_loopback(base)
