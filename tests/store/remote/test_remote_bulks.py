"""Bulk requests side by side: how many, in how much memory, and what becomes of their errors."""

from __future__ import annotations

import json
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from commands import wait_until

from ragkit.errors import StoreError
from ragkit.store.remote.bulks import IN_FLIGHT, BulkSender
from ragkit.store.remote.cluster import Cluster
from ragkit.store.remote.endpoint import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator


class Node:
    """What a node was sent, and whether it may answer; rows named `bad` are refused for good."""

    def __init__(self) -> None:
        self.lock, self.may_answer = threading.Lock(), threading.Event()
        self.may_answer.set()
        self.at_once = self.most_at_once = self.busy = 0
        self.rows: list[str] = []

    def carry_out(self, lines: list[bytes]) -> tuple[int, Any]:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.may_answer.wait(30)
        with self.lock:
            self.at_once -= 1
            if self.busy:
                self.busy -= 1
                return 429, {"error": {"reason": "queue full"}}
            names = [json.loads(line)["create"]["_id"] for line in lines[::2]]
            self.rows += names
        items = [
            {"create": {"status": 400, "error": f"{name} is refused"}}
            if name.startswith("bad")
            else {"create": {"status": 201}}
            for name in names
        ]
        return 200, {"errors": any(name.startswith("bad") for name in names), "items": items}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        status, reply = server.node.carry_out(lines)
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def sender(node: Node, monkeypatch: pytest.MonkeyPatch) -> Iterator[BulkSender]:
    """One that sends each hundred bytes."""
    monkeypatch.setattr("ragkit.store.remote.bulks.BULK_BYTES", 100)
    with serving(node) as url, closing(Cluster(parse_endpoint(url), patience_s=5.0)) as cluster:
        made = BulkSender(cluster)
        yield made
        node.may_answer.set()
        made.close()


@contextmanager
def serving(node: Node) -> Iterator[str]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.node = node
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"opensearch-http://127.0.0.1:{server.server_port}/x"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def put(sender: BulkSender, name: str) -> None:
    """A row that is sent at once."""
    sender.create("chunks", name, {"text": "x" * 100})


def test_some_are_under_way_and_who_adds_more_waits(node: Node, sender: BulkSender) -> None:
    node.may_answer.clear()
    for i in range(IN_FLIGHT):
        put(sender, str(i))
    sender.create("chunks", "small", {})  # gathered, not sent
    further = threading.Thread(target=put, args=(sender, "more"))
    further.start()
    wait_until(lambda: node.at_once == IN_FLIGHT, seconds=10)
    further.join(0.2)
    assert further.is_alive()
    assert node.rows == []
    node.may_answer.set()
    further.join(10)
    sender.create("chunks", "last", {})
    sender.drain()
    assert sorted(node.rows) == sorted([*map(str, range(IN_FLIGHT)), "small", "more", "last"])
    assert node.most_at_once == IN_FLIGHT
    sender.drain()  # nothing is left to wait for


def test_a_busy_node_gets_them_again(node: Node, sender: BulkSender) -> None:
    node.busy = 4
    for i in range(5):
        put(sender, str(i))
    sender.drain()
    assert sorted(node.rows) == list("01234")


def test_each_error_is_told_and_nothing_more_is_sent(node: Node, sender: BulkSender) -> None:
    node.may_answer.clear()
    put(sender, "bad 1")
    put(sender, "bad 2")
    put(sender, "good")
    wait_until(lambda: node.at_once == IN_FLIGHT, seconds=10)
    node.may_answer.set()
    with pytest.raises(StoreError, match=r"bad \d is refused") as caught:
        sender.drain()
    told = [str(caught.value), *caught.value.__notes__]
    assert [sum(f"bad {i} is refused" in line for line in told) for i in (1, 2)] == [1, 1]
    with pytest.raises(StoreError, match=r"bad \d is refused"):
        put(sender, "after")
    with pytest.raises(StoreError, match=r"bad \d is refused"):
        sender.drain()
    assert sorted(node.rows) == ["bad 1", "bad 2", "good"]
