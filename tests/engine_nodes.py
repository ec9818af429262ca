"""Real OpenSearch nodes for the tests that are marked engine: a plugin of pytest.

`tests/engine` has what they are made of. They need Java 17 and Maven, and once the network for
52 MB of Maven artifacts; without these the tests are skipped, and say so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINE = Path(__file__).parent / "engine"
HEAP = "512m"
START_S = 180.0
RESOLVE_S = 600.0


@dataclass
class Node:
    """One process of OpenSearch, in a folder of its own."""

    name: str
    folder: Path
    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def setting(self, name: str) -> str:
        """A setting that it is started with."""
        return next(a.partition("=")[2] for a in self.command if a.startswith(f"{name}="))

    def set(self, name: str, value: str) -> None:
        """Change a setting, for the next start."""
        kept = [word for word in self.command if not word.startswith(f"{name}=")]
        self.command = [*kept, f"{name}={value}"]

    def start(self) -> None:
        assert self.process is None
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def send(self, sign: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(sign)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None


@dataclass
class Nodes:
    """A cluster of nodes on this machine."""

    nodes: list[Node] = field(default_factory=list)

    def url(self, name: str, *, of: list[Node] | None = None) -> str:
        """The URL of an index on them."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in of or self.nodes)
        return f"opensearch-http://{hosts}/{name}"

    def get(self, path: str, **fields: Any) -> Any:
        """Ask the first node that runs."""
        node = next(node for node in self.nodes if node.process is not None)
        return requests.get(node.url + path, timeout=60, **fields).json()

    def wait_for(self, status: str, nodes: int) -> None:
        """Wait until the cluster has that many nodes and at least that health."""
        until = time.monotonic() + START_S
        last: Any = "no answer"
        while time.monotonic() < until:
            for node in self.nodes:
                if node.process is None:
                    continue
                if node.process.poll() is not None:
                    log = (node.folder / "node.log").read_text("utf-8", "replace")[-2000:]
                    pytest.fail(f"{node.name} ended: {log}")
            try:
                params = {"wait_for_status": status, "wait_for_nodes": f">={nodes}"}
                last = self.get("/_cluster/health", params=params | {"timeout": "5s"})
                if not last.get("timed_out", True):
                    return
            except (requests.RequestException, ValueError) as exc:
                last = exc
            time.sleep(0.3)
        pytest.fail(f"the cluster is not {status} with {nodes} nodes: {last}")

    def clear(self) -> None:
        """Delete all indexes."""
        found = self.get("/_cat/indices", params={"format": "json"})
        names = [row["index"] for row in found if not row["index"].startswith(".")]
        node = next(node for node in self.nodes if node.process is not None)
        if names:
            requests.delete(f"{node.url}/{','.join(names)}", timeout=60).raise_for_status()


def class_path() -> str:
    """The class path of a node, resolved and built where that was not done before."""
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed, so no OpenSearch node can be started")
    version = subprocess.run(["java", "-version"], capture_output=True, check=False).stderr
    if b'version "17' not in version and b'version "21' not in version:
        pytest.skip("Java 17 or 21 is not installed, so no OpenSearch node can be started")
    made_of = b"".join((ENGINE / name).read_bytes() for name in ("pom.xml", "TestNode.java"))
    cache = Path(os.environ.get("RAGKIT_TEST_CACHE") or Path.home() / ".cache" / "ragkit-tests")
    folder = cache / f"engine-{hashlib.sha256(made_of).hexdigest()[:16]}"
    if not (folder / "classes").is_dir():
        resolve(folder)
    return f"{folder}/classes:{folder}/jars/*:{folder}/plugin/*"


def resolve(folder: Path) -> None:
    """Fetch the artifacts, compare them with their checksums, and compile the node."""
    building = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    fetched = subprocess.run(
        ["mvn", "-q", "-B", "-f", ENGINE / "pom.xml", "dependency:copy-dependencies",
         f"-DoutputDirectory={building / 'jars'}"],
        capture_output=True, check=False, timeout=RESOLVE_S,
    )  # fmt: skip
    if fetched.returncode:
        shutil.rmtree(building)
        pytest.skip(f"Maven cannot fetch OpenSearch: {fetched.stdout[-300:]!r}")
    expected = {}
    for line in (ENGINE / "artifacts.sha256").read_text("ascii").splitlines():
        digest, name = line.split()
        expected[name] = digest
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (building / "jars").iterdir()
    }
    assert found == expected, "Maven gave other artifacts than those that were tested"
    (plugin,) = (building / "jars").glob("opensearch-knn-*.zip")
    with zipfile.ZipFile(plugin) as archive:
        archive.extractall(building / "plugin")
    plugin.unlink()
    path = f"{building}/jars/*:{building}/plugin/*"
    classes = building / "classes"
    classes.mkdir()
    subprocess.run(
        ["javac", "-cp", path, "-d", classes, ENGINE / "TestNode.java"], check=True,
        capture_output=True,
    )  # fmt: skip
    try:
        building.rename(folder)
    except OSError:  # another run was first
        shutil.rmtree(building)


def free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run_nodes(count: int, folder: Path) -> Iterator[Nodes]:
    """Start a cluster; its nodes are stopped at the end, whatever happened."""
    path = class_path()
    ports = free_ports(2 * count)
    names = [f"node{i}" for i in range(count)]
    seeds = ",".join(f"127.0.0.1:{port}" for port in ports[count:])
    cluster = Nodes()
    for i, name in enumerate(names):
        home = folder / name
        (home / "config").mkdir(parents=True)
        settings = {
            "cluster.name": f"ragkit-tests-{os.getpid()}",
            "node.name": name,
            "network.host": "127.0.0.1",
            "http.port": str(ports[i]),
            "transport.port": str(ports[count + i]),
            "discovery.seed_hosts": seeds,
            "cluster.initial_cluster_manager_nodes": ",".join(names),
            "cluster.no_cluster_manager_block": "all",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "cluster.fault_detection.follower_check.timeout": "4s",
            "cluster.fault_detection.leader_check.timeout": "4s",
        }
        command = [
            "java", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.disable.jmx=true", "-cp", path, "TestNode", str(home),
            *(f"{key}={value}" for key, value in settings.items()),
        ]  # fmt: skip
        cluster.nodes.append(Node(name, home, command, ports[i]))
    try:
        for node in cluster.nodes:
            node.start()
        cluster.wait_for("green", count)
        yield cluster
    finally:
        for node in cluster.nodes:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)
                node.kill()


@pytest.fixture(scope="session")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """One node, for all tests of a run."""
    yield from run_nodes(1, tmp_path_factory.mktemp("one-node"))


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes, which the tests kill and start again."""
    yield from run_nodes(3, tmp_path_factory.mktemp("three-nodes"))


@pytest.fixture(scope="session")
def a_cluster(request: pytest.FixtureRequest) -> Nodes:
    """One node; but the three where a run has only tests that need these, or do with any."""
    asked = request.config.getoption("markexpr")
    found: Nodes = request.getfixturevalue("three_nodes" if "core" in asked else "one_node")
    return found
