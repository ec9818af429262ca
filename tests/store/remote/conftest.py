"""Indexes on real nodes."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from store_factory import DIM, manifest_of

from ragkit.store.remote.store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_nodes import Nodes


@pytest.fixture
def url(a_cluster: Nodes, request: pytest.FixtureRequest) -> str:
    """The URL of an index, named after the test, on nodes without any."""
    a_cluster.clear()
    return a_cluster.url(re.sub(r"\W+", "-", request.node.name.lower())[:60].strip("-"))


@pytest.fixture
def store(url: str) -> Iterator[RemoteStore]:
    """An empty index there, whose leases end after two seconds without a sign of life."""
    with closing(RemoteStore.create(url, **manifest_of(DIM), lease_s=2.0)) as made:
        yield made


@pytest.fixture
def nodes(three_nodes: Nodes) -> Iterator[Nodes]:
    """Three nodes that run, also after a test that killed one."""
    three_nodes.clear()
    yield three_nodes
    for node in three_nodes.nodes:
        if node.process is None:
            node.start()
    three_nodes.wait_for("green", 3)
