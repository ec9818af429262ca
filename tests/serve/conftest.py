"""What the tests of the server share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from served import make_index

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of indexes that holds one, ``library``."""
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library").close()
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, where files are kept that clients send."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data/ragkit"
