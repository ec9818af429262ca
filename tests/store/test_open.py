"""From a location to its store, and what is told of one that no store is known for."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from store_factory import DIM, manifest_of

from ragkit.errors import IndexNotFoundError, StoreError
from ragkit.pipeline import Pipeline
from ragkit.store.locate import index_path
from ragkit.store.open import check_index, create_store, index_exists, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_was_made_is_opened_by_its_location(tmp_path: Path) -> None:
    assert not index_exists(tmp_path / "index")
    with pytest.raises(IndexNotFoundError, match="no index at"):
        open_store(tmp_path / "index")

    with closing(create_store(tmp_path / "index", **manifest_of(DIM))) as made:
        location = made.location

    assert index_exists(location)
    assert check_index(location) == []
    with closing(open_store(location)) as opened:
        assert opened.embedder == manifest_of(DIM)["embedder"]


@pytest.mark.parametrize(
    "use",
    [
        open_store,
        index_exists,
        check_index,
        Pipeline.open,
        lambda url: create_store(url, **manifest_of(DIM)),
        lambda url: index_path(url, url),
    ],
    ids=["open", "exists", "check", "pipeline", "create", "path"],
)
def test_a_url_that_no_store_is_known_for_is_refused(use: Callable[[str], object]) -> None:
    with pytest.raises(StoreError, match="there is no store for postgres URLs"):
        use("postgres://server/handbook")
