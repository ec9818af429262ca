"""Removing documents from an index; the files themselves are not touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.store.local.store import LocalStore


def remove_documents(store: LocalStore, paths: Sequence[str | Path]) -> tuple[str, ...]:
    """Remove documents from an index; see `Pipeline.remove`."""
    wanted = {Path(os.path.abspath(p)) for p in paths}  # noqa: PTH100 -- links stay as they are
    names = {str(p) for p in paths}
    chosen = [
        d
        for d in store.documents()
        if d.path in names or not wanted.isdisjoint(_with_parents(Path(d.root) / d.path))
    ]
    if chosen:
        with store.writing("remove " + " ".join(sorted(names))) as writer:
            writer.remove([d.doc_id for d in chosen])
    return tuple(d.path for d in chosen)


def _with_parents(path: Path) -> set[Path]:
    return {path, *path.parents}
