"""Does a keyword index hold the words of its texts? Each text is analysed again and compared.

The index has no text of its own (FTS5, contentless), so the texts are put into fresh ones in
memory, some thousand at a time, and both are read word by word: fts5vocab gives each word with the
chunk, the column and the place where it stands. What is compared is a sum over these for each of
65,536 groups of words, so that memory stays the same however many words there are.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.catalog import KEYWORDS, keywords_table
from ragkit.store.local.connections import connect
from ragkit.text.analysis import index_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Sums = NDArray[np.uint64]

SAMPLED_FROM = 16_384  # chunks; fewer are all compared
_RUNS, _RUN_CHUNKS = 16, 32
_BATCH_CHUNKS = 8_192
_GROUPS = 1 << 16
_FETCHED = 20_000
_SOUGHT = 8  # of many words one in so many: what damages a page's table moves all words behind it
_SAME_COMMIT_TRIES = 20

_CHUNKS = """
SELECT c.id, c.heading, c.text FROM json_each(?) j
JOIN chunks c ON c.id >= json_extract(j.value, '$[0]') AND c.id < json_extract(j.value, '$[1]')
"""
# One number for all places of a word: neighbours in any of the three give another sum.
_PLACES = "sum(((doc * 2654435761 + offset * 40503) & 4294967295) + (col = 'body'))"


def wrong_keywords(path: Path, build: int, *, sampled: bool) -> str:
    """Compare a build's keyword index with its texts; says what differs, "" if nothing does.

    Args:
        path: The index folder.
        build: The build; its keyword index is there.
        sampled: Of many chunks look at some runs only, at the words' chunks and not their places.
    """
    with ExitStack() as opened:
        texts = opened.enter_context(closing(_private(path)))
        (chunks,) = texts.execute(
            "SELECT ifnull(sum(chunks), 0) FROM documents WHERE build = ?", (build,)
        ).fetchone()
        if sampled and chunks > SAMPLED_FROM:
            return _compare_sample(texts, build, chunks)
        stored = opened.enter_context(closing(_private(path)))
        _share_a_commit(texts, stored)
        # SQLite lets go of Python's lock: each side has a core of its own.
        with ThreadPoolExecutor(2) as threads:
            made = threads.submit(_Expected(texts, build).sums)
            there = threads.submit(_stored, stored, build, 1 if chunks <= SAMPLED_FROM else _SOUGHT)
            expected, (found, unreached) = made.result(), there.result()
        if differs := _difference(expected, found):
            return differs
        if unreached:
            return f"a search does not reach all that is stored of {unreached} words"
        return _wrong_statistics(stored, build, expected[2])


def _private(path: Path) -> sqlite3.Connection:
    """A connection that may have tables of its own; the file of the catalog stays read-only."""
    connection = connect(path)
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = OFF")
    return connection


def _share_a_commit(one: sqlite3.Connection, other: sqlite3.Connection) -> None:
    """Begin a read transaction on both that sees the same commit."""
    for _ in range(_SAME_COMMIT_TRIES):
        seen = []
        for connection in (one, other):
            connection.execute("BEGIN")
            seen += connection.execute("SELECT commits FROM head").fetchone()
        if seen[0] == seen[1]:
            return
        for connection in (one, other):
            connection.execute("ROLLBACK")
    msg = "the index is written to without a pause"
    raise sqlite3.OperationalError(msg)


class _Expected:
    """The keyword index that the texts of a build should have, a batch in memory at a time."""

    def __init__(self, connection: sqlite3.Connection, build: int) -> None:
        self._connection = connection
        self._build = build
        self._wrong_sizes = 0
        self._totals = [0, 0, 0]

    def sums(self) -> tuple[Sums, int, list[int]]:
        """Sums of all groups, how many sizes of chunks differ, and the statistics of FTS5."""
        total = np.zeros(_GROUPS, np.uint64)
        for ranges in self._batches():
            rows = self._connection.execute(_CHUNKS, (json.dumps(ranges),)).fetchall()
            make_index(self._connection, rows, keywords_table(self._build))
            total += _sums(self._connection, "temp.expected")
            self._compare_sizes()
        return total, self._wrong_sizes, self._totals

    def _batches(self) -> Iterator[list[tuple[int, int]]]:
        """The chunks of the build as ranges of row ids, some thousand chunks at a time."""
        documents = self._connection.execute(
            "SELECT first_chunk, first_chunk + min(chunks, (SELECT ifnull(max(id), 0) FROM chunks))"
            " FROM documents WHERE build = ? AND chunks > 0 ORDER BY first_chunk",
            (self._build,),
        ).fetchall()
        batch: list[tuple[int, int]] = []
        size = 0
        for first, end in documents:
            for start in range(first, end, _BATCH_CHUNKS):
                batch.append((start, min(end, start + _BATCH_CHUNKS)))
                size += batch[-1][1] - start
                if size >= _BATCH_CHUNKS:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def _compare_sizes(self) -> None:
        (wrong,) = self._connection.execute(
            "SELECT count(*) FROM temp.expected_docsize e LEFT JOIN "  # noqa: S608 -- ours
            f"main.{keywords_table(self._build)}_docsize s ON s.id = e.id WHERE s.sz IS NOT e.sz"
        ).fetchone()
        self._wrong_sizes += wrong
        for i, value in enumerate(_statistics(self._connection, "temp.expected")):
            self._totals[i] += value


def make_index(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, str, str]], like: str
) -> None:
    """Make ``temp.expected``, the keyword index of some chunks.

    Args:
        connection: One that may have temporary tables.
        rows: Of each chunk its row id, its headings as they are stored, and its text.
        like: The stored table, in whose order the columns stand: lengths are stored in it.
    """
    connection.execute("DROP TABLE IF EXISTS temp.expected")
    create, _ = KEYWORDS.format(table="temp.expected").split(";\n", 1)
    (first,) = connection.execute(
        "SELECT name FROM pragma_table_info(?) ORDER BY cid LIMIT 1", (like,)
    ).fetchone()
    if first == "heading":  # an older index
        create = create.replace("body, heading", "heading, body")
    connection.execute(create)
    connection.executemany(
        "INSERT INTO temp.expected (rowid, heading, body) VALUES (?, ?, ?)",
        ((i, index_text(" ".join(json.loads(heading))), index_text(text))
         for i, heading, text in rows),
    )  # fmt: skip


def _sums(connection: sqlite3.Connection, table: str) -> Sums:
    """For each group of words one sum over all places where they stand, modulo 2^64."""
    schema, _, name = table.partition(".")
    connection.execute("DROP TABLE IF EXISTS temp.places")
    connection.execute(
        f"CREATE VIRTUAL TABLE temp.places USING fts5vocab ({schema}, {name}, instance)"
    )
    sums = np.zeros(_GROUPS, np.uint64)
    words = connection.execute(f"SELECT term, {_PLACES} FROM temp.places GROUP BY term")  # noqa: S608 -- ours
    while part := words.fetchmany(_FETCHED):
        marks = np.array([zlib.crc32(str(term).encode()) for term, _ in part], np.uint64)
        places = np.array([place for _, place in part], np.uint64)
        np.add.at(sums, marks % _GROUPS, places * (marks | np.uint64(1)))
    return sums


def _stored(connection: sqlite3.Connection, build: int, step: int) -> tuple[Sums, int]:
    """Sums of a build's keyword index read from end to end, and how many words a seek misses.

    What is read from end to end passes over the tables of each page that a seek goes by. One word
    in `step` is sought.
    """
    table = keywords_table(build)
    sums = _sums(connection, f"main.{table}")
    for name in ("read", "sought"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
        connection.execute(f"CREATE VIRTUAL TABLE temp.{name} USING fts5vocab (main, {table}, row)")
    (missed,) = connection.execute(
        "SELECT count(*) FROM temp.read r WHERE r.rowid % ? = 0 AND NOT EXISTS "
        "(SELECT 1 FROM temp.sought s WHERE s.term = r.term AND s.doc = r.doc)",
        (step,),
    ).fetchone()
    return sums, missed


def _difference(expected: tuple[Sums, int, list[int]], found: Sums) -> str:
    sums, wrong_sizes, _ = expected
    differ = int((sums != found).sum())
    if differ:
        return f"the words of the texts and those stored differ, in {differ} of {_GROUPS} groups"
    return f"the lengths of {wrong_sizes} chunks differ" if wrong_sizes else ""


def _wrong_statistics(connection: sqlite3.Connection, build: int, expected: list[int]) -> str:
    found = _statistics(connection, f"main.{keywords_table(build)}")
    same = list(found) == expected or not any(expected)
    return "" if same else f"it counts {list(found)} chunks and words, and there are {expected}"


def _statistics(connection: sqlite3.Connection, table: str) -> Iterator[int]:
    """What FTS5 knows for BM25: how many rows there are, and the words in each column."""
    row = connection.execute(f"SELECT block FROM {table}_data WHERE id = 1").fetchone()  # noqa: S608 -- ours
    value = count = 0
    for byte in row[0] if row else b"":
        count += 1
        value = value << 8 | byte if count == 9 else value << 7 | byte & 0x7F  # SQLite's varint
        if byte < 0x80 or count == 9:
            yield value
            value = count = 0


def _compare_sample(connection: sqlite3.Connection, build: int, chunks: int) -> str:
    """Look at some runs of neighbouring chunks: which words stand in which, and their lengths."""
    table = keywords_table(build)
    starts = connection.execute(
        "SELECT first_chunk FROM documents WHERE build = ? AND chunks > 0 ORDER BY first_chunk",
        (build,),
    ).fetchall()
    step = max(1, len(starts) // _RUNS)
    for (first,) in starts[step // 2 :: step][:_RUNS]:
        rows = connection.execute(
            "SELECT c.id, c.heading, c.text FROM chunks c JOIN documents d ON d.id = c.document "
            "WHERE c.id >= ? AND c.id < ? AND d.build = ? ORDER BY c.id",
            (first, first + _RUN_CHUNKS, build),
        ).fetchall()
        make_index(connection, rows, table)
        if wrong := _wrong_run(connection, table, (rows[0][0], rows[-1][0])):
            return f"{wrong}, in a sample of {chunks} chunks"
    return ""


def _wrong_run(connection: sqlite3.Connection, table: str, span: tuple[int, int]) -> str:
    connection.execute("DROP TABLE IF EXISTS temp.places")
    connection.execute("CREATE VIRTUAL TABLE temp.places USING fts5vocab (temp, expected, row)")
    terms = [term for (term,) in connection.execute("SELECT term FROM temp.places")]
    query = "SELECT rowid FROM {0} WHERE {1} MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid"
    for term in terms:
        phrase = '"' + term.replace('"', '""') + '"'
        made, there = (
            connection.execute(query.format(name, column), (phrase, *span)).fetchall()
            for name, column in (("temp.expected", "expected"), (f"main.{table}", table))
        )
        if made != there:
            return f"the word {term!r} stands in other chunks than those stored"
    (wrong,) = connection.execute(
        "SELECT count(*) FROM temp.expected_docsize e LEFT JOIN "  # noqa: S608 -- ours
        f"main.{table}_docsize s ON s.id = e.id WHERE s.sz IS NOT e.sz"
    ).fetchone()
    return f"the lengths of {wrong} chunks differ" if wrong else ""
