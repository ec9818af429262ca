"""Keyword search scores few chunks, and finds what scoring all of them finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from store_factory import ingest, new_store

from ragkit.protocols import SearchRequest
from ragkit.records import NO_FILTER, Filter
from ragkit.store import bm25
from ragkit.store.local import keywords, matching
from ragkit.store.local.findable import Ranges
from ragkit.store.local.matching import Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNKS, VOCABULARY = 1500, 120


@pytest.fixture
def catalog() -> Iterator[sqlite3.Connection]:
    """A keyword index of chunks of 5 to 30 words, of Zipf's frequencies."""
    rng = np.random.default_rng(7)
    shares = 1 / np.arange(1, VOCABULARY + 1)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE k USING fts5 (body, heading, content='')")
        for i in range(1, CHUNKS + 1):
            drawn = rng.choice(VOCABULARY, rng.integers(5, 30), p=shares / shares.sum())
            body = " ".join(f"w{word}" for word in drawn.tolist())
            connection.execute("INSERT INTO k (rowid, body, heading) VALUES (?, ?, '')", (i, body))
        yield connection


def plain(connection: sqlite3.Connection, terms: list[str], count: int) -> list[tuple[int, float]]:
    query = "SELECT rowid, -rank FROM k WHERE k MATCH ? ORDER BY rank, rowid LIMIT ?"
    return connection.execute(query, (" OR ".join(terms), count)).fetchall()


def test_what_is_passed_over_would_not_have_been_found(
    catalog: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "WORTHWHILE", 0)
    monkeypatch.setattr(bm25, "FREQUENT_SHARE", 1.0)
    monkeypatch.setattr(bm25, "FREQUENT_MIN", 10 * CHUNKS)
    statements: list[str] = []
    catalog.set_trace_callback(statements.append)
    words = Words(catalog, "k", CHUNKS, Ranges.of([]), {})
    rng = np.random.default_rng(8)
    for count in (1, 3, 10, 40):
        for _ in range(25):
            drawn = rng.choice(VOCABULARY, int(rng.integers(2, 12)), replace=False)
            question = " ".join(f"w{word}" for word in drawn.tolist())
            found, _ = words.matching(question, count, None, fill=False)
            expected = plain(catalog, [f'"w{word}"' for word in drawn.tolist()], count)
            assert list(found) == [chunk for chunk, _ in expected], question
            # A sum's terms stand in another order, and round otherwise.
            assert list(found.values()) == pytest.approx([score for _, score in expected])
    assert sum(" AND +rowid IN (SELECT rowid" in statement for statement in statements) > 20


def test_a_term_of_several_forms_is_never_taken_for_a_light_one() -> None:
    assert keywords.most_of('("东京" OR "東京")', 900, 1000) == np.inf
    assert keywords.most_of('"often"', 490, 1000) < 0.1


def test_frequent_words_fill_up_what_a_filter_leaves_of_the_rare_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bm25, "FREQUENT_MIN", 5)
    store = new_store(tmp_path / "index")
    texts = {
        f"{folder}/{i}.txt": [f"common words {folder}{i}"] for folder in "ab" for i in range(20)
    }
    ingest(store, texts | {"a/zebra.txt": ["a zebra"], "b/often.txt": ["seldom common"]})

    def found(text: str, k: int, chosen: Filter = NO_FILTER) -> list[str]:
        request = SearchRequest(k, "keyword", text=text, filter=chosen)
        return [hit.path for hit in store.search(request)]

    only_a = Filter(paths=("a/*",))
    hits = found("zebra common words", 8, only_a)
    assert hits[0] == "a/zebra.txt"
    assert len(hits) == 8
    assert {path[0] for path in hits} == {"a"}
    assert len(found("zebra common words", 50, only_a)) == 21  # all there are
    assert found("zebra common words", 8) == ["a/zebra.txt"]  # no filter took any
    store.close()
