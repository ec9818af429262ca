"""What a killed run left: a generation that stays open, files that no commit names."""

from __future__ import annotations

from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING

from ragkit.store.local.catalog import commit, end_log, translated
from ragkit.store.local.connections import connect
from ragkit.store.local.disk import VECTOR_SUFFIXES, unfinished_notes
from ragkit.store.local.history import close_interrupted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path


def has_leftovers(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a killed run left anything; a run that goes on looks the same."""
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM generations WHERE state = 'open') "
        "OR EXISTS (SELECT 1 FROM builds WHERE state = 'retired')"
    ).fetchone()
    return bool(found[0]) or any(chain(stray_files(connection, path), unfinished_notes(path)))


def recover(path: Path) -> None:
    """Put right what a killed run left; the caller holds the writer's lock."""
    with closing(connect(path, write=True)) as connection, translated(path):
        recover_killed(connection, path)
        end_log(connection)


def recover_killed(connection: sqlite3.Connection, path: Path) -> None:
    """Close what a killed writer left open and remove the files it never committed.

    Args:
        connection: A writer's, outside of a transaction.
        path: The index folder.
    """
    if connection.execute("SELECT 1 FROM generations WHERE state = 'open'").fetchone():
        connection.execute("BEGIN IMMEDIATE")
        close_interrupted(connection, path)
        commit(connection, path)
    remove_strays(connection, path)


def stray_files(connection: sqlite3.Connection, index: Path) -> Iterator[Path]:
    """Vector files of segments that were never committed or no longer exist."""
    segments = {i for (i,) in connection.execute("SELECT id FROM segments")}
    for path in sorted((index / "vectors").glob("*.*")):
        is_vectors = path.suffix in VECTOR_SUFFIXES and path.stem.isdigit()
        if is_vectors and int(path.stem) not in segments:
            yield path


def remove_strays(connection: sqlite3.Connection, index: Path) -> None:
    """Delete vector files of segments that were never committed or no longer exist.

    Notes that are half written go with them. The caller holds the writer's lock: lists that are
    being made are nobody's then; a note that is being written is not kept this time.
    """
    unfinished = (index / "vectors").glob("????????.new")
    for path in [*stray_files(connection, index), *unfinished, *unfinished_notes(index)]:
        with suppress(OSError):  # Windows: a reader has it open; the next writer tries again
            path.unlink()
