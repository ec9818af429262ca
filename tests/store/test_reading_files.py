"""Parts of files are read by their places, on every system."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ragkit.store.local import files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(not hasattr(os, "pread"), reason="the system reads at a position only")
@pytest.mark.parametrize("has_preadv", [True, False])
def test_reading_at_a_place_moves_no_position_that_threads_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_preadv: bool
) -> None:
    if not has_preadv:  # as on macOS before 11
        monkeypatch.delattr(os, "preadv", raising=False)
    spec = importlib.util.spec_from_file_location("files_as_there", files.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    (tmp_path / "rows").write_bytes(bytes(range(100)))
    fd = module.open_for_reading(tmp_path / "rows")
    try:
        data = np.zeros(20, np.uint8)
        assert module.read_into(fd, data, 90) == 10
        assert data.tolist() == [*range(90, 100), *[0] * 10]
        assert module.read_at(fd, 5, 40).tolist() == [40, 41, 42, 43, 44]
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    finally:
        os.close(fd)
