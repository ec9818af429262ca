"""The address of an Ollama server, read by the rules of ``OLLAMA_HOST``."""

from __future__ import annotations

import ipaddress
import logging
import re
from urllib.parse import urlsplit

from ragkit.errors import ConfigError

log = logging.getLogger(__name__)

_PORTS = {"http": 80, "https": 443}
_OLLAMA_PORT = 11434
_HIGHEST_PORT = 65535
_IMPOSSIBLE = re.compile(r"[@,?#\\\s]")  # a user, a list, a query, a blank
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
        shown = re.sub(r"[^/]*@", "***@", text)  # what stands before it may be a password
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
        log.warning("invalid port %r in the Ollama address, using %d", text, default)
    return default
