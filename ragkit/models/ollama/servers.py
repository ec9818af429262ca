"""Several servers that share the embedding of texts, as if they were one."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.errors import ConfigError, ModelError, ModelNotFoundError, ModelUnavailableError
from ragkit.models.http.problem import TEXT_KINDS, Kind, Problem
from ragkit.models.ollama.problems import to_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ragkit.models.ollama.client import Endpoint, OllamaClient
    from ragkit.protocols import Vectors

_log = logging.getLogger(__name__)
T = TypeVar("T")

# How long a server is left out: at first, and at most after it failed again and again.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
# How late a waiting request may see that a server's pause is over. It also lets Ctrl-C through,
# which Windows keeps from a thread that waits without a limit.
_WAIT_S = 0.5
# With these the text is at fault, on whichever server.
_OF_THE_TEXT: frozenset[Kind] = frozenset({"too_long", "nan", "unsendable"})


@dataclass(eq=False, slots=True)
class _Server:
    """One of them.

    Attributes:
        joined: It was seen to have the model. One that was not gets one request at a time.
        busy: Requests in flight.
        back_at: When its pause is over, on the monotonic clock; 0 before its first failure.
        pause_s: How long its next one is.
    """

    client: OllamaClient
    joined: bool
    busy: int = 0
    back_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S


class ServerPool:
    """Sends each request to the least busy server, and to another one where that fails.

    A server that fails is left out for a second, after the next failure for two, and so on up to
    a minute; where all are out, each is tried before that is an error. Before its first text, and
    when it comes back, a server's model is compared with the others'.

    A server has at most ``models.embed_concurrency`` requests in flight; more wait in line. With
    one server nothing is left out or compared. Safe to use from several threads.

    Args:
        clients: At least one; the first one's settings hold.
        name: The model.
        digest: Of the model, if it is known already.
    """

    def __init__(
        self, clients: Sequence[OllamaClient], name: str, *, digest: str | None = None
    ) -> None:
        self._name, self._digest, self._digest_of = name, digest, "expected"
        self._alone = len(clients) == 1
        self._servers = [_Server(client, joined=self._alone) for client in clients]
        self._limit = clients[0].settings.embed_concurrency
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def digest(self) -> str:
        """The model's digest; asked of a server the first time. Errors as `ask`."""
        if self._digest is None:
            self._digest = self.ask(lambda client: self._digest or client.digest(self._name))
        return self._digest

    def vectors(
        self, endpoint: Endpoint, body: Mapping[str, Any], count: int
    ) -> list[Vectors] | Problem:
        """Send one request for vectors; see `OllamaClient.vectors`.

        Returns:
            The vectors, or a problem of the kinds `TEXT_KINDS`.

        Raises:
            ModelResponseError: A server refused the request, or its reply is odd.
            ConfigError, ModelError: As `ask`.
        """

        def send(client: OllamaClient) -> list[Vectors] | Problem:
            got = client.vectors(endpoint, body, count)
            if isinstance(got, Problem) and got.kind not in TEXT_KINDS:
                raise to_error(got, self._name, client.address)
            return got

        return self.ask(send)

    def ask(self, send: Callable[[OllamaClient], T]) -> T:
        """Have a server do something, the least busy one first, then the others.

        Args:
            send: Does it. A `Problem` that it returns may be the text's fault or the server's,
                which is told by what another server makes of it.

        Raises:
            ModelUnavailableError: No server could; it names each with the reason.
            ModelNotFoundError: No server has the model.
            ConfigError: The servers have different models of that name.
        """
        failures: dict[_Server, ModelError] = {}
        doubts: dict[_Server, Problem] = {}
        news: list[str] = []
        got: T
        while server := self._take({*failures, *doubts}):
            try:
                self._join(server)
                got = send(server.client)
            except (ModelUnavailableError, ModelNotFoundError) as exc:
                if self._alone:
                    raise
                failures[server] = exc
                self._leave_out(server, str(exc), news)
                continue
            finally:
                self._give_back(server)
            if isinstance(got, Problem) and got.kind not in _OF_THE_TEXT:
                doubts[server] = got
                continue
            for other, problem in doubts.items():
                self._leave_out(other, problem.text, news)
            self._worked(server, news)
            return got
        if doubts:
            return got
        raise _all_out([failures[server] for server in self._servers], self._name)

    def _take(self, tried: Collection[_Server]) -> _Server | None:
        """Wait for a place at the least busy server; None once all were tried."""
        if len(tried) == len(self._servers):
            return None
        ticket = object()
        with self._changed:
            # Who was sent on has waited before.
            (self._line.appendleft if tried else self._line.append)(ticket)
            try:
                while self._line[0] is not ticket or not (server := self._free(tried)):
                    self._changed.wait(_WAIT_S)
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
            server.busy += 1
            return server

    def _free(self, tried: Collection[_Server]) -> _Server | None:
        left = [server for server in self._servers if server not in tried]
        now = time.monotonic()
        usable = [server for server in left if server.back_at <= now] or left
        places = [s for s in usable if s.busy < (self._limit if s.joined else 1)]
        return min(places, key=lambda server: server.busy, default=None)

    def _give_back(self, server: _Server) -> None:
        with self._changed:
            server.busy -= 1
            self._changed.notify_all()

    def _join(self, server: _Server) -> None:
        """See that a server has the same model as the others, unless that is known."""
        if server.joined:
            return
        client, name = server.client, self._name
        if server.back_at and not client.is_available():
            raise to_error(Problem("unreachable", "still no server there"), name, client.address)
        digest = client.digest(name)
        with self._changed:
            if self._digest is None:
                self._digest, self._digest_of = digest, f"on {client.address}"
            if digest != self._digest:
                msg = (
                    f"{name} is {digest[:12]} on {client.address}, but {self._digest[:12]} "
                    f"{self._digest_of}: vectors of different models cannot be mixed; pull it "
                    "anew on both, or take one out of models.ollama_host"
                )
                raise ConfigError(msg)
            server.joined = True
            self._changed.notify_all()

    def _leave_out(self, server: _Server, reason: str, news: list[str]) -> None:
        """Begin a server's pause; that is news if it worked before and no other request saw it."""
        with self._changed:
            now = time.monotonic()
            server.joined = False
            if server.back_at > now:
                return
            if server.pause_s == _FIRST_PAUSE_S:
                news.append(f"{server.client.address}: {reason}")
            server.back_at = now + server.pause_s
            server.pause_s = min(2 * server.pause_s, _LONGEST_PAUSE_S)

    def _worked(self, server: _Server, news: Sequence[str]) -> None:
        """Forget a server's failures, and tell of those for which it stood in."""
        with self._changed:
            if server.joined:  # else it failed another request meanwhile
                server.pause_s = _FIRST_PAUSE_S
        for line in news:
            _log.warning("Going on without %s", line)


def _all_out(failures: Sequence[ModelError], name: str) -> ModelError:
    """One error for the failures of all servers, with the advice of the first."""
    _, _, advice = str(failures[0]).partition("; ")
    reasons = "; ".join(str(failure).partition("; ")[0] for failure in failures)
    absent = all(isinstance(failure, ModelNotFoundError) for failure in failures)
    kind = ModelNotFoundError if absent else ModelUnavailableError
    return kind(f"no server is left: {reasons}" + (f"; {advice}" if advice else ""), name)
