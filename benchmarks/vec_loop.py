"""A bare loop over sqlite-vec with FTS5 beside it: vectors, words and text in one SQLite file.

What the floor leaves out is in it, an index of words; still no structure, no checks, no recovery.
Many Pythons cannot load extensions into SQLite, hence pysqlite3.

    python benchmarks/vec_loop.py FOLDER INDEX URL [--batch 32]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pysqlite3
import sqlite_vec
from floor import cut, embed

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMIT_TEXTS = 1024


def index(windows: Sequence[tuple[str, int, str]], where: Path, url: str, batch: int) -> None:
    """Embed and store, a commit after each `COMMIT_TEXTS`."""
    where.mkdir(parents=True)
    database = pysqlite3.connect(str(where / "index.db"))
    database.enable_load_extension(True)  # noqa: FBT003 -- it takes no name
    sqlite_vec.load(database)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, path, start, text)")
    database.execute(
        "CREATE VIRTUAL TABLE words USING fts5 (text, content='', "
        "tokenize='porter unicode61 remove_diacritics 2')"
    )
    is_made = False
    for first in range(0, len(windows), COMMIT_TEXTS):
        part = windows[first : first + COMMIT_TEXTS]
        rows = embed(["search_document: " + text for _, _, text in part], url, batch)
        if not is_made:
            database.execute(f"CREATE VIRTUAL TABLE rows USING vec0 (v float[{rows.shape[1]}])")
            is_made = True
        ids = range(first, first + len(part))
        database.executemany(
            "INSERT INTO texts VALUES (?, ?, ?, ?)",
            [(i, *window) for i, window in zip(ids, part, strict=True)],
        )
        database.executemany(
            "INSERT INTO words (rowid, text) VALUES (?, ?)",
            [(i, text) for i, (_, _, text) in zip(ids, part, strict=True)],
        )
        database.executemany(
            "INSERT INTO rows (rowid, v) VALUES (?, ?)",
            [(i, row.tobytes()) for i, row in zip(ids, rows, strict=True)],
        )
        database.commit()
    database.close()


def main() -> None:
    """Index a folder; the texts and seconds of the work alone are printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("url")
    parser.add_argument("--batch", type=int, default=0, help="texts a request; 0: /api/embeddings")
    parser.add_argument("--size", type=int, default=1000, help="characters of a window")
    parser.add_argument("--stride", type=int, default=1000)
    given = parser.parse_args()
    started = time.perf_counter()
    windows = cut(given.folder, given.size, given.stride)
    index(windows, given.index, given.url, given.batch)
    print(json.dumps({"chunks": len(windows), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
