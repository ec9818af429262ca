"""The generations of an index: which are kept, what each changed, which one a moment means."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ragkit import records
from ragkit.errors import StoreError
from ragkit.store.local.catalog import broken, parsed, seal_generation
from ragkit.store.local.hashes import GENERATION, make_generation_hash
from ragkit.store.retention import as_moment, choose_kept, moment_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ragkit.records import DocumentChange, Generation, IndexChanges

COUNTS = "counts"  # the key of `generations.report` that is no part of an ingest's account

_LARGEST = 2**63 - 1  # number that SQLite takes
_VERSION = "SELECT doc_id, id, root, path, first_chunk, chunks FROM documents WHERE build = ?1 "
_AT = _VERSION + "AND born <= ?2 AND (died IS NULL OR died > ?2)"
_BORN = "AND id > ?3 AND born = ?2 AND (died IS NULL OR died > ?2)"
_SUM_BORN = f"SELECT count(*), ifnull(sum(chunks), 0) FROM documents WHERE build = ?1 {_BORN}"  # noqa: S608 -- ours
_REPLACING = f"{_VERSION} {_BORN} AND doc_id IN (SELECT value FROM json_each(?4))"  # noqa: S608 -- ours
_DIED = _VERSION + "AND born < ?2 AND died = ?2"
_ROWS = f"SELECT {', '.join(GENERATION)}, row_hash FROM generations"  # noqa: S608 -- names of columns
_GENERATIONS = f"{_ROWS} ORDER BY id DESC LIMIT ?"


class _Version(NamedTuple):
    """One version of a document."""

    row_id: int
    root: str
    path: str
    first_chunk: int
    chunks: int


def _versions(rows: Iterable[tuple[str, int, str, str, int, int]]) -> dict[str, _Version]:
    return {row[0]: _Version(*row[1:]) for row in rows}


def count_changes(
    connection: sqlite3.Connection,
    build: int,
    generation: int,
    *,
    since: int = 0,
    retired: Iterable[int] | None = None,
) -> dict[str, int]:
    """What a generation changed, by the names of `Generation`.

    Args:
        connection: To the catalog.
        build: The generation's.
        generation: Its id.
        since: The last row of ``documents`` before it.
        retired: The rows of ``documents`` that died in it; None: they are looked for.
    """
    died, values = _DIED, [build, generation]
    if retired is not None:
        died += " AND id IN (SELECT value FROM json_each(?3))"
        values.append(json.dumps(list(retired)))  # type: ignore[arg-type]  # a text beside numbers
    gone = _versions(connection.execute(died, values))
    born = (build, generation, since)
    documents, chunks = connection.execute(_SUM_BORN, born).fetchone()
    # Only those that replace another are read one by one: a first run has many.
    come = _versions(connection.execute(_REPLACING, (*born, json.dumps(list(gone)))))
    made = records.make_changes(generation, generation, _changes(connection, gone, come))
    counts = {
        name: getattr(made, name)
        for name in records.Generation.__dataclass_fields__
        if name.startswith(("documents_", "chunks_"))
    }
    counts["documents_added"] += documents - len(come)
    counts["chunks_added"] += chunks - sum(version.chunks for version in come.values())
    return counts


def _changes(
    connection: sqlite3.Connection, old: Mapping[str, _Version], new: Mapping[str, _Version]
) -> Iterable[DocumentChange]:
    for doc_id, version in old.items():
        if doc_id not in new:
            yield records.DocumentChange(version.root, version.path, "removed", 0, version.chunks)
    for doc_id, version in new.items():
        if doc_id not in old:
            yield records.DocumentChange(version.root, version.path, "added", version.chunks, 0)
        elif old[doc_id].row_id != version.row_id:
            before, after = _texts(connection, old[doc_id]), _texts(connection, version)
            added, removed = (after - before).total(), (before - after).total()
            kept = after.total() - added
            yield records.DocumentChange(
                version.root, version.path, "changed", added, removed, kept
            )


def _texts(connection: sqlite3.Connection, version: _Version) -> Counter[str]:
    first = version.first_chunk
    rows = connection.execute(
        "SELECT text FROM chunks WHERE id >= ? AND id < ?", (first, first + version.chunks)
    )
    return Counter(text for (text,) in rows)


def with_counts(report: Mapping[str, object] | None, counts: Mapping[str, int]) -> str:
    """What is stored as ``generations.report``: an ingest's account, if any, and the counts."""
    return json.dumps({**(report or {}), COUNTS: counts}, ensure_ascii=False)


def close_interrupted(connection: sqlite3.Connection, path: Path) -> None:
    """End the generations that a killed writer left open, inside a transaction."""
    left = connection.execute("SELECT id FROM generations WHERE state = 'open'").fetchall()
    for (generation,) in left:
        connection.execute(
            "UPDATE generations SET state = 'interrupted' WHERE id = ?", (generation,)
        )
        seal_generation(connection, generation)
    freeze_counts(connection, path)


def freeze_counts(connection: sqlite3.Connection, path: Path) -> None:
    """Note with each generation that ended what it changed, while its documents are there."""
    rows = connection.execute(
        "SELECT id, build, report FROM generations WHERE state != 'open' AND "
        "(report IS NULL OR json_extract(report, '$.counts') IS NULL)"
    )
    for generation, build, text in rows.fetchall():
        counts = count_changes(connection, build, generation)
        connection.execute(
            "UPDATE generations SET report = ? WHERE id = ?",
            (with_counts(_stored(text, path), counts), generation),
        )
        seal_generation(connection, generation)


def read_generations(
    connection: sqlite3.Connection, path: Path, limit: int | None
) -> list[Generation]:
    """The generations, newest first; see `ragkit.protocols.VectorStore.log`."""
    found = []
    for row in generation_rows(connection, path, limit):
        *values, text = row.values()
        counts = _stored(text, path).get(COUNTS)
        if not isinstance(counts, dict):  # made by an older ragkit, or not closed yet
            counts = count_changes(connection, row["build"], row["id"])
        found.append(records.Generation(*values, **counts))
    return found


def generation_rows(
    connection: sqlite3.Connection, path: Path, limit: int | None = None
) -> list[dict[str, Any]]:
    """The rows of generations, newest first, the report as it is stored.

    Raises:
        IndexCorruptError: One is not what was written.
    """
    most = -1 if limit is None else min(limit, _LARGEST)
    rows = connection.execute(_GENERATIONS, (most,)).fetchall()
    return [_checked(row, path) for row in rows]


def _checked(row: Sequence[Any], path: Path) -> dict[str, Any]:
    *values, row_hash = row
    if make_generation_hash(values) != row_hash:
        raise broken(path, "generation-row", f"the row of generation {values[0]} was changed")
    return dict(zip(GENERATION, values, strict=True))


def _stored(text: str | None, path: Path) -> dict[str, object]:
    return {} if text is None else parsed(text, dict, path, "generations.report")


def account_of(text: str | None, path: Path) -> dict[str, object] | None:
    """The account of an ingest as it was given, None if there is none."""
    report = _stored(text, path)
    report.pop(COUNTS, None)
    return report or None


def searchable(connection: sqlite3.Connection, build: int) -> list[int]:
    """The closed generations of a build, oldest first: those that can be looked at again."""
    rows = connection.execute(
        "SELECT id FROM generations WHERE build = ? AND state = 'closed' ORDER BY id", (build,)
    )
    return [generation for (generation,) in rows]


def require_searchable(
    connection: sqlite3.Connection, path: Path, build: int, generation: int
) -> None:
    """Refuse a generation that cannot be looked at again.

    Raises:
        StoreError: It is not there, not closed, no longer kept, or of an earlier build.
        IndexCorruptError: Its row is not what was written.
    """
    number = min(generation, _LARGEST)
    stored = connection.execute(f"{_ROWS} WHERE id = ?", (number,)).fetchone()
    row = None if stored is None else _checked(stored, path)
    found = searchable(connection, build)
    if generation in found:
        return
    oldest = f"; the oldest that can be searched is {found[0]}" if found else ""
    (newest,) = connection.execute("SELECT ifnull(max(id), 0) FROM generations").fetchone()
    if row is not None and row["build"] != build:
        why = f"run {generation} left {path} when it was rebuilt"
    elif row is None and 0 < generation <= newest:
        why = (
            f"run {generation} of {path} is no longer kept (settings history.last and history.days)"
        )
    else:
        why = f"{path} has no finished run {generation} to search"
    msg = f"{why}{oldest}; `ragkit log` lists them"
    raise StoreError(msg, path)


def read_difference(
    connection: sqlite3.Connection, path: Path, build: int, between: tuple[int, int | None]
) -> IndexChanges:
    """What changed between two generations; see `ragkit.protocols.VectorStore.diff`."""
    before, after = between
    require_searchable(connection, path, build, before)
    if after is None:
        after = searchable(connection, build)[-1]
    require_searchable(connection, path, build, after)
    old, new = (
        _versions(connection.execute(_AT, (build, generation))) for generation in (before, after)
    )
    return records.make_changes(before, after, _changes(connection, old, new))


def last_closed_by(connection: sqlite3.Connection, path: Path, build: int, when: datetime) -> int:
    """The last generation closed by a moment; see `ragkit.protocols.VectorStore.generation_at`."""
    closed = connection.execute(
        "SELECT id, finished_at FROM generations WHERE build = ? AND state = 'closed' ORDER BY id",
        (build,),
    ).fetchall()
    by_then = [generation for generation, ended in closed if as_moment(ended) <= when]
    if by_then:
        return int(by_then[-1])
    if not closed:
        msg = f"{path} has no finished run to search"
        raise StoreError(msg, path)
    oldest, ended = closed[0]
    msg = (
        f"no run of {path} that is kept is as old as {moment_text(when)}; the oldest is "
        f"{oldest}, finished {moment_text(as_moment(ended))}"
    )
    raise StoreError(msg, path)


def let_go(connection: sqlite3.Connection, path: Path, newest: int, *, last: int, days: int) -> int:
    """Drop generations by `choose_kept`, inside the transaction of generation `newest`.

    One that was interrupted cannot be searched; it stays in the log as long as an older one does.

    Returns:
        How many were dropped.
    """
    freeze_counts(connection, path)
    now = datetime.now(UTC)
    closed = connection.execute(
        "SELECT id, finished_at FROM generations WHERE state = 'closed' AND id != ?", (newest,)
    ).fetchall()
    kept = choose_kept([*closed, (newest, now.isoformat())], last=last, days=days, now=now)
    oldest = min(kept)
    cursor = connection.execute(
        "DELETE FROM generations WHERE id != ?1 AND (id < ?2 OR state = 'closed') "
        "AND id NOT IN (SELECT value FROM json_each(?3))",
        (newest, oldest, json.dumps(sorted(kept))),
    )
    return cursor.rowcount
