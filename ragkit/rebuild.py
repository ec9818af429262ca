"""Building an index anew, beside the old one, which answers meanwhile."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.embed import embedder_record
from ragkit.errors import ForeignFilesError, LoadError
from ragkit.plan import make_plan
from ragkit.store.local.disk import delete_index, foreign_files, in_short
from ragkit.store.local.store import LocalStore
from ragkit.store.locate import replaced_path
from ragkit.update import indexed_sources, update_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    Raises:
        ForeignFilesError: The index shares its folder with files that are not its own.
        LoadError: Over half of a folder's documents are gone from the disk.
    """
    _refuse_foreign_files(path)
    sources = indexed_sources(store)
    _refuse_emptied_folders(store, sources, config)
    fresh = path.with_name(f".{path.name}.rebuilding")
    delete_index(fresh)
    try:
        with store.writing("rebuild"):
            record = embedder_record(embedder())
            made = LocalStore.create(fresh, embedder=record, splitter=asdict(config.split))
            with closing(made):
                report = update_index(
                    fresh, made, config, sources, embedder, on_progress, remembered=store.vectors
                )
            old = replaced_path(path)
            delete_index(old)
            path.rename(old)
            fresh.rename(path)
    finally:
        delete_index(fresh)
    return report


def _refuse_foreign_files(path: Path) -> None:
    """Refuse to move a folder aside that is not the index's alone."""
    foreign = foreign_files(path)
    if foreign:
        msg = (
            f"{path} holds files that are not the index's own: {in_short(foreign)}; rebuilding "
            "replaces the folder, so move them out of it, or index into a folder of its own"
        )
        raise ForeignFilesError(msg, path)


def _refuse_emptied_folders(store: LocalStore, sources: Sequence[str], config: Config) -> None:
    """The guard of `index`: a folder that was emptied or is not mounted removes nothing."""
    known = store.documents()
    plan = make_plan([Path(source) for source in sources], known, config.load, sources=sources)
    if plan.emptied:
        gone = plan.emptied[0]
        msg = (
            f"{gone.reason.partition(';')[0]}; the index was not rebuilt: bring them back, or run "
            "`ragkit index --prune` first to remove them from the index"
        )
        raise LoadError(msg, gone.path)
