"""Connections to the catalog; an older format is brought up to date on the way."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from ragkit.errors import FormatVersionError, IndexCorruptError, IndexNotFoundError
from ragkit.store.local.cache_entries import add_cache_checksums
from ragkit.store.local.catalog import (
    APPLICATION_ID,
    BUSY_MS,
    FORMAT_VERSION,
    LOG_KEPT_BYTES,
    LOG_LONG_BYTES,
    PAGE_BYTES,
    SEALED,
    check_seal,
    make_durable,
    translated,
)
from ragkit.store.local.migrate import migrate

if TYPE_CHECKING:
    from pathlib import Path


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open the catalog of an index folder; its version is checked.

    Transactions are explicit. A reader's connection cannot write, and never moves the log into
    the catalog: two connections that do so at the same time are what old versions of SQLite
    fail at (https://sqlite.org/wal.html#the_wal_reset_bug).

    Raises:
        IndexNotFoundError: There is no catalog.
        IndexCorruptError, FormatVersionError: It is damaged or not ragkit's, or newer.
    """
    connection = _open(path, write=write)
    try:
        with translated(path, diagnose=False):
            version = _version(connection, path)
    except BaseException:
        connection.close()
        raise
    if version == FORMAT_VERSION:
        return _sealed(connection, path) if write else connection
    connection.close()
    migrate(path)
    connection = _open(path, write=write)
    return _sealed(connection, path) if write else connection


def _sealed(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """A writer's connection, whose commits would cover what is damaged: so nothing may be.

    An older index gets what it lacks.
    """
    try:
        with translated(path, diagnose=False):
            for table in SEALED:
                check_seal(connection, path, table)
            add_cache_checksums(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path, *, write: bool) -> sqlite3.Connection:
    file = path / "catalog.db"
    with translated(path, diagnose=False):
        is_there = file.is_file()
    if not is_there:
        msg = f"no index at {path}; `ragkit index FOLDER` makes one"
        raise IndexNotFoundError(msg, path)
    with translated(path, diagnose=False):
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(file))}?{'mode=rw' if write else _access(file)}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            if write:
                make_durable(connection)
                connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")
                connection.execute("PRAGMA cache_size = -32768")
                connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_LONG_BYTES // PAGE_BYTES}")
            else:
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def _access(file: Path) -> str:
    """How a reader opens a catalog: one in a folder that cannot be written needs no log file."""
    if os.access(file.parent, os.W_OK) and os.access(file, os.W_OK):
        return "mode=ro"
    log = file.with_name(file.name + "-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The format of a catalog.

    Raises:
        IndexCorruptError: The database is not a ragkit catalog.
        FormatVersionError: Its format is newer than this ragkit reads.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version < 1:
        msg = f"{path} is not a ragkit index: its catalog.db was made by something else"
        raise IndexCorruptError(msg, path)
    if version > FORMAT_VERSION:
        msg = (
            f"{path} has index format {version}; this ragkit reads up to {FORMAT_VERSION}: "
            "install a newer ragkit"
        )
        raise FormatVersionError(msg, path)
    return int(version)
