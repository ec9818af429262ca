"""``ragkit models ping``: is each model server there?"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from ragkit.cli.options import Json, Settings, configured
from ragkit.cli.output import print_json, print_table, shortened
from ragkit.errors import ModelError, ModelUnavailableError

if TYPE_CHECKING:
    from ragkit.models.ollama import OllamaClient

_TIMEOUT_S = 10.0  # for what takes no time on a server that works
_GREETING_CHARS = 60


@dataclass(frozen=True, slots=True)
class _Pinged:
    """A server's answer: its greeting and how long a second request took, or what went wrong."""

    address: str
    greeting: str = ""
    seconds: float | None = None
    error: str = ""


def ping(
    json: Json = False,
    settings: Settings = [],  # noqa: B006 -- typer copies it
) -> None:
    """Ask each model server whether it is there.

    Prints how soon it answers. No model is loaded. It fails unless all servers answer.
    """
    from ragkit.models.choose import ollama_clients

    config, _ = configured(settings)
    quick = replace(config.models, retries=0, read_timeout_s=_TIMEOUT_S)
    found = [_pinged(client) for client in ollama_clients(quick)]
    if json:
        print_json([asdict(server) for server in found])
    else:
        print_table([("server", "says", "answers in"), *map(_row, found)])
    if failures := [server.error for server in found if server.error]:
        raise ModelUnavailableError("; ".join(failures))


def _pinged(client: OllamaClient) -> _Pinged:
    with client:
        try:
            greeting = client.health()
        except ModelError as exc:
            return _Pinged(client.address, error=str(exc))
        started = time.perf_counter()  # the connection is open by now
        seconds = time.perf_counter() - started if client.answers() else None
    return _Pinged(client.address, greeting, seconds)


def _row(server: _Pinged) -> tuple[str, ...]:
    took = "-" if server.seconds is None else f"{server.seconds * 1000:.1f} ms"
    greeting = server.greeting.partition("\n")[0]
    return server.address, shortened(greeting, _GREETING_CHARS) or "-", took
