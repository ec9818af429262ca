"""The stores that the suites of the seam run over: a plugin of pytest with their fixtures."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from memory_store import MemoryStore
from plain_reader import edit
from store_factory import DIM, manifest_of, new_store

from ragkit.store.local.segments import SegmentSizes
from ragkit.store.open import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine_nodes import Nodes

    from ragkit.protocols import VectorStore


@dataclass(frozen=True)
class StoreKind:
    """How a store is made, and opened a second time; whether it can be replaced as a whole.

    `no_backup` is what is told where it makes no backups; "": it makes them. `damage` breaks
    something that the store derives; None: it derives nothing.
    """

    create: Callable[[Path, int], VectorStore]
    reopen: Callable[[VectorStore], VectorStore]
    can_rebuild: bool
    no_backup: str = ""
    damage: Callable[[VectorStore], None] | None = None


def _new_memory_store(_: Path, dim: int) -> VectorStore:
    return MemoryStore.create(**manifest_of(dim))


def _view(store: VectorStore) -> VectorStore:
    assert isinstance(store, MemoryStore)
    return store.view()


def _new_segmented_store(path: Path, dim: int) -> VectorStore:
    """A local store whose every larger test reaches several segments, searched by their codes."""
    return new_store(path, dim, SegmentSizes(rows=64, coded=32))


def _open_again(store: VectorStore) -> VectorStore:
    return open_store(store.location)


def _lose_keywords(store: VectorStore) -> None:
    edit(Path(store.location), "INSERT INTO keywords_1 (keywords_1) VALUES ('delete-all')")


KINDS = {
    "local": StoreKind(new_store, _open_again, can_rebuild=True, damage=_lose_keywords),
    "segmented": StoreKind(
        _new_segmented_store, _open_again, can_rebuild=True, damage=_lose_keywords
    ),
    "memory": StoreKind(_new_memory_store, _view, can_rebuild=False, no_backup="in memory"),
}
REMOTE = "remote"
ON_A_NODE = [pytest.mark.long, pytest.mark.engine]


def _remote_kind(nodes: Nodes) -> StoreKind:
    nodes.clear()

    def create(path: Path, dim: int) -> VectorStore:
        location = nodes.url(f"{path.parent.name.lower()[:40]}-{path.name}")
        return create_store(location, **manifest_of(dim))

    return StoreKind(create, _open_again, can_rebuild=True, no_backup="snapshots of the cluster")


class MakeStore(Protocol):
    """Makes an empty store of the kind that is tested; it is closed at the end."""

    def __call__(self, dim: int = DIM) -> VectorStore: ...


@pytest.fixture(params=[*KINDS, pytest.param(REMOTE, marks=ON_A_NODE)])
def kind(request: pytest.FixtureRequest) -> StoreKind:
    if request.param == REMOTE:
        return _remote_kind(request.getfixturevalue("a_cluster"))
    return KINDS[request.param]


@pytest.fixture
def make_store(kind: StoreKind, tmp_path: Path) -> Iterator[MakeStore]:
    with ExitStack() as opened:

        def make(dim: int = DIM) -> VectorStore:
            return opened.enter_context(closing(kind.create(tmp_path / "index", dim)))

        yield make


@pytest.fixture
def store(make_store: MakeStore) -> VectorStore:
    return make_store()
