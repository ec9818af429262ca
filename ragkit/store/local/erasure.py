"""Erasing documents: no version, keyword, vector or cache entry of them stays, nor their bytes.

First they leave the catalog, which notes in the same commit that their bytes have yet to leave the
files; then everything is written anew, and the note goes last. So an erasure that was killed is
finished by the next one, or by the next compaction.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ragkit.records import Erasure
from ragkit.store.local.catalog import (
    BUSY_MS,
    commit,
    end_log,
    read_build,
    seal_generation,
    translated,
)
from ragkit.store.local.compaction import (
    Compactor,
    drop_versions,
    read_note,
    renew_keywords,
    write_note,
)
from ragkit.store.local.connections import connect
from ragkit.store.local.files import SegmentFiles
from ragkit.store.local.history import freeze_counts, with_counts
from ragkit.store.local.queries import last_generation
from ragkit.store.local.recover import recover_killed
from ragkit.store.local.rows import LiveRows
from ragkit.store.local.sentence_file import empty_sentences

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ragkit.store.local.segments import SegmentSizes

ERASING = "erasing"  # in `manifest`: the segments that hold rows of what was erased


class _Version(NamedTuple):
    """A version of a document; `died` None: it lives."""

    row_id: int
    first_chunk: int
    chunks: int
    died: int | None
    path: str


def erase_documents(path: Path, doc_ids: Sequence[str], command: str) -> Erasure:
    """Take documents out of the catalog, in one commit, which is a generation of its own.

    Args:
        path: The index folder, whose writer's lock the caller holds.
        doc_ids: Which.
        command: What runs.
    """
    with closing(connect(path, write=True)) as connection, translated(path):
        connection.execute("PRAGMA secure_delete = ON")
        recover_killed(connection, path)
        build = read_build(connection, path)
        renew_keywords(connection, path, build)
        rows = connection.execute(
            "SELECT id, first_chunk, chunks, died, path FROM documents WHERE build = ? "
            "AND doc_id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (build.id, json.dumps(list(doc_ids))),
        )
        versions = [_Version(*row) for row in rows]
        living = [version for version in versions if version.died is None]
        if versions:
            connection.execute("BEGIN IMMEDIATE")
            freeze_counts(connection, path)
            _note_segments(connection, versions)
            _end_rows(connection, living)
            if living:
                _add_generation(connection, build.id, command, living)
            drop_versions(connection, build, [version[:3] for version in versions])
            commit(connection, path)
    paths = tuple(sorted(version.path for version in living))
    return Erasure(paths, len(versions), sum(version.chunks for version in versions))


def _note_segments(connection: sqlite3.Connection, versions: Sequence[_Version]) -> None:
    """Note which segments hold rows of the versions; a note that is there already is kept."""
    segments = set(read_note(connection, ERASING) or [])
    for version in versions:
        rows = connection.execute(
            "SELECT DISTINCT vector >> 32 FROM chunks WHERE id >= ? AND id < ? AND vector NOT NULL",
            (version.first_chunk, version.first_chunk + version.chunks),
        )
        segments.update(segment for (segment,) in rows)
    write_note(connection, ERASING, sorted(segments))


def _end_rows(connection: sqlite3.Connection, living: Sequence[_Version]) -> None:
    """Clear the bits of living documents' rows."""
    live = LiveRows(connection)
    for version in living:
        rows = connection.execute(
            "SELECT vector FROM chunks WHERE id >= ? AND id < ? AND vector NOT NULL",
            (version.first_chunk, version.first_chunk + version.chunks),
        )
        for (vector,) in rows.fetchall():
            live.set(vector, alive=False)
    live.flush()


def _add_generation(
    connection: sqlite3.Connection, build: int, command: str, living: Sequence[_Version]
) -> None:
    counts = {
        "documents_removed": len(living),
        "chunks_removed": sum(version.chunks for version in living),
    }
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    generation = last_generation(connection) + 1
    connection.execute(
        "INSERT INTO generations VALUES (?, ?, ?, ?, ?, 'closed', ?, x'')",
        (generation, build, command, now, now, with_counts(None, counts)),
    )
    seal_generation(connection, generation)


def finish_erasing(
    path: Path, sizes: SegmentSizes, on_progress: Callable[[int, int], None] | None = None
) -> bool:
    """Take the bytes of what was erased out of the files; nothing to do where nothing was.

    Args:
        path: The index folder, whose writer's lock the caller holds.
        sizes: Of segments.
        on_progress: As for `VectorStore.erase`.

    Returns:
        Whether all is done: a reader that looks at an older state keeps the log from being emptied,
        one that keeps a sentence's vector the file of these.
    """
    with closing(connect(path, write=True)) as connection, translated(path):
        segments = read_note(connection, ERASING)
        if segments is None:
            return True
        connection.execute("PRAGMA secure_delete = ON")
        compactor = Compactor(connection, path, sizes, rewrite=segments)
        if on_progress is not None:
            compactor.on_progress = on_progress
        compactor.run()
        _cut_tails(connection, path)
        connection.execute("VACUUM")  # what was deleted before lies in the free parts of pages
        if not (empty_sentences(path) and end_log(connection, BUSY_MS)):
            return False
        connection.execute("BEGIN IMMEDIATE")
        write_note(connection, ERASING, None)
        commit(connection, path)
        end_log(connection)
    return True


def _cut_tails(connection: sqlite3.Connection, path: Path) -> None:
    """Cut off what a killed writer left behind the committed rows."""
    for segment, dim, rows in connection.execute("SELECT id, dim, rows FROM segments"):
        files = SegmentFiles(path / "vectors", dim)
        file, size = files.rows_path(segment), rows * files.row_bytes
        if file.exists() and file.stat().st_size > size:
            os.truncate(file, size)
