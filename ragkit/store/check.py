"""Is an index right? Each invariant of docs/format.md by its name.

Reads only, in one read transaction, a few thousand rows at a time. An index that a writer has
left in the middle of a commit is right: what was never committed is no part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.errors import FormatVersionError, IndexCorruptError
from ragkit.store.catalog import connect, reading, translated
from ragkit.store.check_catalog import CATALOG_CHECKS, QUICK_CHECKS
from ragkit.store.check_vectors import vector_problems
from ragkit.store.problems import INDEX_AGAIN, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

__all__ = ["Problem", "check"]


def check(path: Path, *, full: bool = True) -> list[Problem]:
    """Verify an index.

    Args:
        path: The index folder.
        full: Verify every invariant, which reads the whole index. False: only that the catalog
            is whole, its version known, each segment's file there, and no document there twice.

    Returns:
        What is broken, at most one problem for each invariant and segment; empty: all is right.

    Raises:
        IndexNotFoundError: There is no index.
    """
    try:
        connection = connect(path)
    except FormatVersionError as exc:
        return [Problem("version", "must", str(exc), "install a newer ragkit")]
    except IndexCorruptError as exc:
        return [Problem("catalog", "must", str(exc), INDEX_AGAIN)]
    from sqlite_utils import Database  # 50 ms that a search must not pay

    try:
        with translated(path), reading(connection):
            database = Database(connection, execute_plugins=False, recursive_triggers=False)
            checks = (*QUICK_CHECKS, *CATALOG_CHECKS) if full else QUICK_CHECKS
            found = list(_run(checks, database))
            return found + list(vector_problems(database, path / "vectors", full=full))
    except IndexCorruptError as exc:
        return [Problem("catalog", "must", str(exc), INDEX_AGAIN)]
    finally:
        connection.close()


def _run(
    checks: tuple[Callable[[Database], Iterator[Problem]], ...], database: Database
) -> Iterator[Problem]:
    for one in checks:
        yield from one(database)
