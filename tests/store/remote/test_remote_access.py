"""What a cluster is shown, and what is made of its refusals: against a server that refuses."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ragkit.errors import StorageFullError, StoreError
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import API_KEY, PASSWORD, USER, parse_endpoint


class _Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        self.rfile.read(int(self.headers["Content-Length"]))
        server.seen.append(self.headers.get("Authorization"))
        status, reply = server.replies.pop(0)
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def node(*replies: tuple[int, Any]) -> Iterator[tuple[Cluster, list[str | None]]]:
    """A node that gives those replies one after the other, and what it was shown."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Node)
    server.seen, server.replies = [], list(replies)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"opensearch-http://127.0.0.1:{server.server_port}/x"
    try:
        with closing(Cluster(parse_endpoint(url), patience_s=5.0)) as cluster:
            yield cluster, server.seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_access(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (USER, PASSWORD, API_KEY):
        monkeypatch.delenv(name, raising=False)


def test_a_user_or_a_key_is_shown_and_a_refusal_names_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with node((401, {})) as (cluster, seen):
        with pytest.raises(StoreError, match=rf"refuses access .*{USER}.* are not set"):
            cluster.send("POST", "/", {})
        assert seen == [None]
    monkeypatch.setenv(USER, "ada")
    monkeypatch.setenv(PASSWORD, "secret")
    with node((403, {})) as (cluster, seen):
        with pytest.raises(StoreError, match="are wrong, or lack the rights") as caught:
            cluster.send("POST", "/", {})
        assert "secret" not in str(caught.value)
        assert seen == ["Basic " + base64.b64encode(b"ada:secret").decode()]
    monkeypatch.setenv(API_KEY, "key")
    with node((200, {"a": 1})) as (cluster, seen):
        assert cluster.send("POST", "/", {}) == (200, {"a": 1})
        assert seen == ["ApiKey key"]


def test_a_busy_node_is_asked_again_and_a_redirect_is_not_followed() -> None:
    busy = (429, {"error": {"reason": "queue full"}})
    with node(busy, (503, {}), (200, {})) as (cluster, seen):
        assert cluster.send("POST", "/", {})[0] == 200
        assert len(seen) == 3
    with node((302, {})) as (cluster, seen):
        with pytest.raises(StoreError, match="HTTP 302"):
            cluster.send("POST", "/", {"text": "private"})
        assert len(seen) == 1


def test_a_node_that_does_not_reach_another_one_is_asked_again() -> None:
    """It says so with HTTP 500, which else is an error for good."""
    apart = {"type": "node_not_connected_exception", "reason": "[b] Node not connected"}
    phases = {"type": "search_phase_execution_exception", "reason": "", "root_cause": [apart]}
    with node((500, {"error": apart}), (500, {"error": phases}), (200, {})) as (cluster, seen):
        assert cluster.send("POST", "/", {})[0] == 200
        assert len(seen) == 3
    items = [{"index": {"status": 201}}, {"index": {"status": 500, "error": apart}}]
    done = {"errors": False, "items": []}
    with node((200, {"errors": True, "items": items}), (200, done)) as (cluster, seen):
        cluster.bulk([b'{"index":{}}', b"{}", b'{"index":{}}', b"{}"])
        assert len(seen) == 2
    found = [{"_id": "1", "found": True, "_source": {}}]
    with node((200, {"docs": [{"error": apart}]}), (200, {"docs": found})) as (cluster, seen):
        assert cluster.get_many("/x/_mget", {}) == found
        assert len(seen) == 2
    broken = {"type": "null_pointer_exception", "reason": "a fault of its own"}
    with node((500, {"error": broken})) as (cluster, seen):
        with pytest.raises(StoreError, match=r"HTTP 500 .*a fault of its own"):
            cluster.send("POST", "/", {})
        assert len(seen) == 1


def test_what_a_node_does_not_reach_is_asked_of_another_one() -> None:
    error = {"type": "node_disconnected_exception", "reason": "[b] disconnected"}
    failed = {"errors": True, "items": [{"index": {"status": 500, "error": error}}]}
    docs, done = [{"_id": "1", "found": True, "_source": {}}], {"errors": False, "items": []}
    apart = node((200, {"docs": [{"error": error}]}), (200, failed))
    with apart as (first, asked), node((200, {"docs": docs}), (200, done)) as (second, others):
        hosts = [cluster.endpoint.nodes[0].partition("//")[2] for cluster in (first, second)]
        endpoint = parse_endpoint(f"opensearch-http://{','.join(hosts)}/x")
        with closing(Cluster(endpoint, patience_s=5.0)) as both:
            assert both.get_many("/x/_mget", {}) == docs
        with closing(Cluster(endpoint, patience_s=5.0)) as both:
            both.bulk([b'{"index":{}}', b"{}"])
        assert (len(asked), len(others)) == (2, 2)


def test_of_a_bulk_what_was_refused_for_lack_of_room_is_sent_again() -> None:
    full = {"error": {"reason": "rejected"}, "status": 429}
    mixed = {"errors": True, "items": [{"index": {"status": 201}}, {"index": full}]}
    done = {"errors": False, "items": []}
    with node((200, mixed), (200, done)) as (cluster, seen):
        cluster.bulk([b'{"index":{}}', b"{}", b'{"index":{}}', b"{}"])
        assert len(seen) == 2
    blocked = {"error": {"reason": "read_only_allow_delete"}, "status": 403}
    with (
        node((200, {"errors": True, "items": [{"index": blocked}]})) as (cluster, _),
        pytest.raises(StorageFullError, match="disks of the cluster are nearly full"),
    ):
        cluster.bulk([b'{"index":{}}', b"{}"])
