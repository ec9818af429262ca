"""Where an index on a cluster is: its URL, and what the environment says of access."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ragkit.errors import InputError, StoreError

SECURE, PLAIN = "opensearch", "opensearch-http"
"""The schemes of such URLs: with TLS, and without."""

USER, PASSWORD = "RAGKIT_OPENSEARCH_USER", "RAGKIT_OPENSEARCH_PASSWORD"
API_KEY, CERTIFICATES = "RAGKIT_OPENSEARCH_API_KEY", "RAGKIT_OPENSEARCH_CA"
SHARDS = "RAGKIT_OPENSEARCH_SHARDS"
_MOST_SHARDS = 1024  # of OpenSearch
_PORT = 9200
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_FORM = f"{SECURE}://HOST[:PORT][,HOST...]/NAME"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An index on a cluster.

    Attributes:
        location: The URL as it was given.
        nodes: The addresses of nodes, e.g. ``https://host1:9200``, at least one.
        name: The index's name on the cluster.
    """

    location: str
    nodes: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """What a cluster is shown: a user with a password, or a key; and whose certificates count.

    ``certificates`` is a file of certificate authorities, "" for those that the system trusts.
    """

    user: str = ""
    password: str = ""
    key: str = ""
    certificates: str = ""


def parse_endpoint(location: str) -> Endpoint:
    """Read the URL of an index on a cluster.

    Raises:
        InputError: It is none; it says what one looks like.
    """
    parts = urlsplit(location)
    if "@" in parts.netloc:
        msg = (
            f"a URL is shown and written down, so it holds no password: set {USER} and {PASSWORD}, "
            f"or {API_KEY}, and write {_FORM}"
        )
        raise InputError(msg)
    name = parts.path.strip("/")
    if not _NAME.fullmatch(name):
        msg = (
            f"{location}: the name {name!r} is refused: OpenSearch takes small letters, digits, "
            f"`-` and `_`, first a letter or a digit, at most 100; write {_FORM}"
        )
        raise InputError(msg)
    web = "https" if parts.scheme.lower() == SECURE else "http"
    hosts = [host for host in parts.netloc.split(",") if host]
    if not hosts:
        msg = f"{location} names no host; write {_FORM}"
        raise InputError(msg)
    return Endpoint(location, tuple(f"{web}://{_with_port(h, location)}" for h in hosts), name)


def _with_port(host: str, location: str) -> str:
    try:
        port = urlsplit(f"//{host}").port
    except ValueError as exc:
        msg = f"{location}: {host} has no usable port; write {_FORM}"
        raise InputError(msg) from exc
    return host if port else f"{host.rstrip(':')}:{_PORT}"


def read_access(endpoint: Endpoint) -> Access:
    """What the environment says of access.

    Raises:
        StoreError: A password or key would go over an unencrypted connection to another machine,
            or the file of certificates is not there.
    """
    certificates = os.environ.get(CERTIFICATES, "")
    if certificates and not Path(certificates).exists():
        msg = f"{endpoint.location}: {CERTIFICATES} names {certificates}, which is not there"
        raise StoreError(msg, endpoint.location)
    access = Access(
        user=os.environ.get(USER, ""),
        password=os.environ.get(PASSWORD, ""),
        key=os.environ.get(API_KEY, ""),
        certificates=certificates,
    )
    if access.user or access.key:
        bare = [n for n in endpoint.nodes if n.startswith("http:") and not _is_loopback(n)]
        if bare:
            msg = (
                f"{endpoint.location}: {bare[0]} would be sent a password or key unencrypted; "
                f"use {SECURE}:// or unset {USER} and {API_KEY}"
            )
            raise StoreError(msg, endpoint.location)
    return access


def _is_loopback(node: str) -> bool:
    host = urlsplit(node).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_shards(usual: int = 1) -> int:
    """How many primary shards the environment wants for the passages of an index that is made.

    Args:
        usual: Where it says nothing.

    Raises:
        InputError: It says no number that OpenSearch takes.
    """
    given = os.environ.get(SHARDS, "")
    if not given:
        return usual
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= _MOST_SHARDS):
        msg = f"{SHARDS} is a number from 1 to {_MOST_SHARDS}, not {given!r}"
        raise InputError(msg)
    return int(given)
