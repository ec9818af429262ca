"""Building an index anew, beside the old one, which answers meanwhile."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from ragkit.embed import embedder_record
from ragkit.locate import replaced_path
from ragkit.store.local import LocalStore
from ragkit.update import indexed_sources, update_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ragkit.config import Config
    from ragkit.ingest import Progress
    from ragkit.protocols import Embedder
    from ragkit.records import IndexReport


def rebuild_index(
    path: Path,
    store: LocalStore,
    config: Config,
    embedder: Callable[[], Embedder],
    on_progress: Callable[[Progress], None],
) -> IndexReport:
    """Build an index anew and put it in its place; see `Pipeline.rebuild`.

    The old one is left at `replaced_path`, to be removed when nobody here has it open.

    Args:
        path: The index folder.
        store: The old index.
        config: Load and split settings.
        embedder: Gives the new index's embedder.
        on_progress: Called after every file.
    """
    sources = indexed_sources(store)
    fresh = path.with_name(f".{path.name}.rebuilding")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with store.writing("rebuild"):
            record = embedder_record(embedder())
            made = LocalStore.create(fresh, embedder=record, splitter=asdict(config.split))
            with closing(made):
                report = update_index(
                    fresh, made, config, sources, embedder, on_progress, remembered=store.vectors
                )
            old = replaced_path(path)
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
            fresh.rename(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return report
