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
