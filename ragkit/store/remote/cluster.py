"""Requests to the nodes of a cluster: the next node where one fails, patience, clear errors."""

from __future__ import annotations

import random
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson
import requests

from ragkit.errors import StorageFullError, StoreError, StoreUnavailableError, first_cause
from ragkit.store.remote.endpoint import API_KEY, CERTIFICATES, PASSWORD, PLAIN, USER, read_access

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ragkit.store.remote.endpoint import Endpoint

CONNECT_S = 5.0
READ_S, WRITE_S = 20.0, 60.0
"""How long a node may be silent that was asked to read, or to change something."""

PATIENCE_S, FIRST_S = 60.0, 10.0
"""How long a request is tried again while nodes fail or are busy; and before any has answered."""

_BUSY = frozenset({429, 502, 503, 504})
_REFUSED = frozenset({401, 403})
_APART = frozenset({
    "node_not_connected_exception", "node_disconnected_exception", "node_closed_exception",
    "connect_transport_exception", "receive_timeout_transport_exception",
    "no_shard_available_action_exception",
})  # fmt: skip
"""What a node tells that does not reach another one, be it with HTTP 500."""

_CONFLICT, _MISSING, _BAD = 409, 404, 400
_LONGEST_PAUSE_S = 2.0
_READS = ("_search", "_msearch", "_mget")
_FULL = ("read_only_allow_delete", "disk usage exceeded", "flood-stage")


class Cluster:
    """The nodes that hold an index; any of them answers for all.

    Threads may share it.

    Args:
        endpoint: The index.
        patience_s: How long a request is tried again; None: `PATIENCE_S`.
    """

    def __init__(self, endpoint: Endpoint, *, patience_s: float | None = None) -> None:
        self.endpoint = endpoint
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._nodes = list(endpoint.nodes)
        self._access = read_access(endpoint)
        self._local = threading.local()
        self._turn = 0
        self._has_answered = False

    @property
    def location(self) -> str:
        """The index's URL."""
        return self.endpoint.location

    def close(self) -> None:
        """Let go of this thread's connections."""
        session: requests.Session | None = self._local.__dict__.pop("session", None)
        if session is not None:
            session.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 -- JSON, or bytes of lines of it
        *,
        accept: Iterable[int] = (),
        params: dict[str, Any] | None = None,
        silent_s: float | None = None,
    ) -> tuple[int, Any]:
        """Send a request that may be sent twice; returns the HTTP status and the reply's JSON.

        Args:
            method: HTTP method.
            path: Begins with ``/``.
            body: A JSON value, or bytes that are lines of JSON.
            accept: Statuses that are no error, besides those below 300.
            params: Of the URL.
            silent_s: How long a node may be silent before the next one is asked; None: as
                `READ_S` and `WRITE_S` have it. Each is asked once, also if that takes longer than
                there is patience.

        Raises:
            StoreUnavailableError: No node answered for the time that there is patience.
            StoreError: One refused.
        """
        accepted = frozenset(accept)
        silent_s = silent_s or (READ_S if method == "GET" or path.endswith(_READS) else WRITE_S)
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        request = {
            "method": method, "params": params, "headers": {"Content-Type": kind},
            "data": body if isinstance(body, bytes) or body is None else orjson.dumps(body),
            "timeout": (CONNECT_S, silent_s),
        }  # fmt: skip
        began, pause = time.monotonic(), 0.05
        for tried in count(1):
            reply = self._ask(self._nodes[self._turn % len(self._nodes)], path, request, accepted)
            if not isinstance(reply, str):
                self._has_answered = True
                return reply.status_code, orjson.loads(reply.content or b"{}")
            self._turn += 1
            patience_s = self._patience_s if self._has_answered else min(FIRST_S, self._patience_s)
            is_over = time.monotonic() + pause > began + patience_s
            if is_over and tried >= len(self._nodes):
                raise StoreUnavailableError(self._unreachable(reply, patience_s), self.location)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- no secret
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        raise AssertionError  # the loop has no end of its own

    def get(self, path: str) -> dict[str, Any] | None:
        """A document, None if there is none, or no index for it."""
        status, reply = self.send("GET", path, accept=(_MISSING,))
        return None if status == _MISSING else reply

    def get_many(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]] | None:
        """Documents by their ids, None if there is no index for them.

        Args:
            path: ``/INDEX/_mget``.
            body: The request.

        Raises:
            StoreUnavailableError: The node that has one was not reached for the time that there
                is patience.
        """
        until, pause = time.monotonic() + self._patience_s, 0.05
        while True:
            status, reply = self.send("POST", path, body, accept=(_MISSING,))
            if status == _MISSING:
                return None
            docs: list[dict[str, Any]] = reply["docs"]
            apart = next((doc["error"] for doc in docs if _is_apart(doc.get("error"))), None)
            if apart is None:
                return docs
            if time.monotonic() > until:
                problem = f"a node does not reach another one ({apart.get('reason')})"
                raise StoreUnavailableError(
                    self._unreachable(problem, self._patience_s), self.location
                )
            self._turn += 1  # another node may reach it
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def put_if(
        self,
        path: str,
        source: dict[str, Any],
        place: tuple[int, int] | None,
        *,
        silent_s: float = READ_S,
    ) -> tuple[int, int] | None:
        """Write a document if it is still as it was read; None: another wrote it meanwhile.

        Args:
            path: ``/INDEX/_doc/ID``.
            source: The document.
            place: Its sequence number and primary term as read; None: there was none.
            silent_s: As for `send`.

        Returns:
            The new sequence number and primary term. After an answer that was lost, a write that
            was carried out counts as another's: the caller looks.
        """
        if place is None:
            params: dict[str, Any] = {"op_type": "create"}
        else:
            params = {"if_seq_no": place[0], "if_primary_term": place[1]}
        status, reply = self.send(
            "PUT", path, source, accept=(_CONFLICT,), params=params, silent_s=silent_s
        )
        return None if status == _CONFLICT else (reply["_seq_no"], reply["_primary_term"])

    def bulk(self, lines: Sequence[bytes], *, conflicts: bool = False) -> None:
        """Carry out lines of the bulk API, those again that the cluster had no room for.

        Args:
            lines: Action and source by turns, each without its line end.
            conflicts: Whether an operation may be refused since its document changed meanwhile.

        Raises:
            StoreError: One was refused for good.
        """
        actions = _actions(lines)
        until, pause = time.monotonic() + self._patience_s, 0.1
        while actions:
            _, reply = self.send("POST", "/_bulk", b"\n".join(_flat(actions)) + b"\n")
            if not reply["errors"]:
                return
            again, problem = [], ""
            for action, item in zip(actions, reply["items"], strict=True):
                (result,) = item.values()
                status = result["status"]
                if status < 300 or (status == _CONFLICT and conflicts):
                    continue
                if status == _MISSING and "error" not in result:  # deleted already
                    continue
                problem = str(result["error"])
                is_passing = status in _BUSY or _is_apart(result["error"])
                if not is_passing or time.monotonic() > until:
                    msg = f"refused what was written: {problem[:400]}"
                    raise self.failure(msg)
                again.append(action)
            actions = again
            if again:
                self._turn += 1  # another node may have room, or reach what this one does not
                time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def failure(self, what: str) -> StoreError:
        """An error that the cluster told."""
        if any(sign in what for sign in _FULL):
            msg = (
                f"{self.location}: the disks of the cluster are nearly full, so it takes no more "
                "writes; what was committed is intact. Free space or add a node; OpenSearch then "
                "lifts the block itself, and the same command goes on"
            )
            return StorageFullError(msg, self.location)
        return StoreError(f"{self.location}: the cluster {what}", self.location)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # no proxy, no .netrc: only what ragkit says
            if self._access.key:
                session.headers["Authorization"] = f"ApiKey {self._access.key}"
            elif self._access.user:
                session.auth = (self._access.user, self._access.password)
            if self._access.certificates:
                session.verify = self._access.certificates
        return session

    def _ask(
        self, node: str, path: str, request: dict[str, Any], accepted: frozenset[int]
    ) -> requests.Response | str:
        """A node's reply, or why another try is worth it.

        Raises:
            StoreError: None is.
        """
        try:
            reply = self._session().request(url=node + path, allow_redirects=False, **request)
        except requests.exceptions.SSLError as exc:
            raise self._bad_certificate(node, exc) from exc
        except requests.RequestException as exc:
            return f"{node} does not answer ({first_cause(exc)})"
        return self._problem(node, reply, accepted) or reply

    def _problem(self, node: str, reply: requests.Response, accepted: frozenset[int]) -> str:
        """Why a reply is worth another try, "" if it is good.

        Raises:
            StoreError: It is not.
        """
        status = reply.status_code
        if status < 300 or status in accepted:
            return ""
        if status in _REFUSED:
            shown = f"{USER} and {PASSWORD} or {API_KEY}"
            what = "are not set" if not (self._access.user or self._access.key) else "are wrong"
            rights = f", or lack the rights for {self.endpoint.name}*" if status == 403 else ""
            msg = f"{self.location}: {node} refuses access (HTTP {status}): {shown} {what}{rights}"
            raise StoreError(msg, self.location)
        if status in _BUSY:
            return f"{node} is busy or has lost its cluster (HTTP {status}: {_reason(reply)})"
        if _is_apart(_error(reply)):
            return f"{node} does not reach a node that it needs ({_reason(reply)})"
        msg_0 = f"refused a request (HTTP {status} of {node}): {_reason(reply)}"
        raise self.failure(msg_0)

    def _unreachable(self, problem: str, patience_s: float) -> str:
        others = f", nor any other of {', '.join(self._nodes)}" if len(self._nodes) > 1 else ""
        return (
            f"{self.location}: {problem}{others}, for {patience_s:.0f} s; see that the nodes "
            "run and can be reached from here. What was committed is intact"
        )

    def _bad_certificate(self, node: str, exc: Exception) -> StoreError:
        if "WRONG_VERSION_NUMBER" in str(exc) or "record layer failure" in str(exc):
            msg = f"{self.location}: {node} does not speak TLS; write {PLAIN}:// if that is meant"
            return StoreError(msg, self.location)
        msg = (
            f"{self.location}: the certificate of {node} is not trusted ({exc}); name the file of "
            f"its authority in {CERTIFICATES}"
        )
        return StoreError(msg, self.location)


def _actions(lines: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Lines of the bulk API by operation; a deletion has one line, others have two."""
    found, i = [], 0
    while i < len(lines):
        count = 1 if lines[i].startswith(b'{"delete"') else 2
        found.append(tuple(lines[i : i + count]))
        i += count
    return found


def _flat(actions: Iterable[tuple[bytes, ...]]) -> Iterable[bytes]:
    return (line for action in actions for line in action)


def _error(reply: requests.Response) -> Any:  # noqa: ANN401 -- what the node says it is
    try:
        return orjson.loads(reply.content)["error"]
    except (ValueError, KeyError, TypeError):
        return None


def _is_apart(error: Any) -> bool:  # noqa: ANN401 -- as above
    """Whether a node failed since it did not reach another one, which will pass."""
    if not isinstance(error, dict):
        return False
    causes = [error, error.get("caused_by"), *(error.get("root_cause") or [])]
    return any(isinstance(cause, dict) and cause.get("type") in _APART for cause in causes)


def _reason(reply: requests.Response) -> str:
    error = _error(reply)
    if error is None:
        return reply.text[:200]
    return str(error.get("reason") if isinstance(error, dict) else error)[:400]
