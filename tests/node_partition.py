"""Nodes of OpenSearch that reach each other through proxies, so that two can be kept apart.

Linux only: whose connection it is that comes in, `/proc` tells.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tcp_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_nodes import Node, Nodes


class Wire(Proxy):
    """What other nodes reach a node through.

    Args:
        node: The node.
        nodes: All.
    """

    def __init__(self, node: Node, nodes: Nodes) -> None:
        self._nodes, self._refused = nodes, set[str]()
        self._clients: dict[str, set[socket.socket]] = {}
        super().__init__(int(node.setting("transport.port")))

    def refuse(self, other: Node) -> None:
        """Break what another node has opened, and let it open nothing more."""
        with self._lock:
            self._refused.add(other.name)
            broken = self._clients.pop(other.name, set())
        for each in broken:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def admit(self) -> None:
        """Let all nodes in again."""
        with self._lock:
            self._refused.clear()

    def _join(self, client: socket.socket) -> None:
        name = owner_of(client.getpeername()[1], self._nodes)
        with self._lock:
            is_refused = name in self._refused
            self._clients.setdefault(name, set()).add(client)
        if is_refused:
            client.close()
        else:
            super()._join(client)


def owner_of(port: int, nodes: Nodes) -> str:
    """The name of the node whose connection has that port at its end, "" if none has."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for node in nodes.nodes:
        if node.process is None:
            continue
        for file in Path(f"/proc/{node.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(file.readlink()) in inodes:
                    return node.name
    return ""


class Wiring:
    """The wires between nodes that run."""

    def __init__(self, wires: dict[str, Wire]) -> None:
        self._wires = wires

    def part(self, one: Node, other: Node) -> None:
        """Let two nodes not reach each other; both still answer their clients."""
        self._wires[one.name].refuse(other)
        self._wires[other.name].refuse(one)

    def mend(self) -> None:
        """Let all nodes reach each other."""
        for wire in self._wires.values():
            wire.admit()


@contextlib.contextmanager
def wired(nodes: Nodes) -> Iterator[Wiring]:
    """Start nodes anew with wires between them, and as they were at the end."""
    commands = {node.name: node.command for node in nodes.nodes}
    with contextlib.ExitStack() as held:
        wires = {node.name: Wire(node, nodes) for node in nodes.nodes}
        for wire in wires.values():
            held.callback(wire.close)
        seeds = ",".join(f"127.0.0.1:{wire.port}" for wire in wires.values())
        try:
            for node in nodes.nodes:
                node.set("discovery.seed_hosts", seeds)
                node.set("indices.replication.retry_timeout", "5s")  # 60 if it is not set
                node.set("transport.publish_port", str(wires[node.name].port))
            restart(nodes)
            yield Wiring(wires)
        finally:
            for node in nodes.nodes:
                node.command = commands[node.name]
            restart(nodes)


def restart(nodes: Nodes) -> None:
    """End all nodes and start them anew."""
    for node in nodes.nodes:
        if node.process is not None:
            node.kill()
    for node in nodes.nodes:
        node.start()
    nodes.wait_for("yellow", len(nodes.nodes))
