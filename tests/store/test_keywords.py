"""Keyword search: stemming, Chinese pairs, mixed text, BM25 by its formula."""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from store_factory import doc_id_of, ingest, keyword, new_store

from ragkit.store.bm25 import FREQUENT_MIN, FREQUENT_MOST, MAX_TERMS
from ragkit.store.local.keywords import query_phrases, select_terms
from ragkit.text.analysis import index_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Find = Callable[[str], list[str]]

TOKENIZER = "tokenize='porter unicode61 remove_diacritics 2'"
TEXTS = {
    "notice.txt": "The notice period is three months.",
    "notices.txt": "Notices must be written.",
    "cafe.txt": "A café in Zürich",
    "wide.txt": "Ｆｕｌｌ　Ｗｉｄｔｈ ｔｅｘｔ",
    "zh.txt": "员工的试用期为三个月。",
    "zh_last.txt": "他每天学习中文，也看书。",
    "mixed.txt": "请用iPhone手机登录VPN账号",
    "ja.txt": "有給休暇はカレンダーで申請します",
    "ko.txt": "휴가 신청은 금요일까지",
    "rare.txt": "\U00020000\U00020001字",
    "emoji.txt": "hello🤔 100₽",
    "snake.txt": "call read_file_now twice",
}  # fmt: skip


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Find]:
    store = new_store(tmp_path_factory.mktemp("keywords") / "index")
    ingest(store, {path: [text] for path, text in TEXTS.items()})
    yield lambda question: [hit.path for hit in keyword(store, question)]
    store.close()


FOUND = {
    "an English word in another form": ("noticed", ["notices.txt", "notice.txt"]),
    "upper case": ("ZURICH", ["cafe.txt"]),
    "without its accent": ("cafe", ["cafe.txt"]),
    "half width for full width": ("width", ["wide.txt"]),
    "a Chinese word": ("试用", ["zh.txt"]),
    "a Chinese sentence": ("试用期有多久？", ["zh.txt"]),
    "one character that begins a run": ("员", ["zh.txt"]),
    "one character within a run": ("用", ["zh.txt", "mixed.txt"]),
    "one character that ends a run": ("文", ["zh_last.txt"]),
    "one character that ends a text": ("号", ["mixed.txt"]),
    "Latin inside Chinese": ("iphone", ["mixed.txt"]),
    "Chinese and Latin run together": ("VPN账号", ["mixed.txt"]),
    "Japanese": ("カレンダー", ["ja.txt"]),
    "Korean": ("휴가", ["ko.txt"]),
    "characters beyond the basic plane": ("\U00020000\U00020001", ["rare.txt"]),
    "part of a name with underscores": ("file", ["snake.txt"]),
    "a name with underscores": ("read_file_now", ["snake.txt"]),
    "a word beside an emoji": ("hello", ["emoji.txt"]),
    "a number beside a newer currency sign": ("100", ["emoji.txt"]),
    "a word that is nowhere": ("zebra", []),
    "a Chinese word that is nowhere": ("合同", []),
    "nothing": ("", []),
    "punctuation only": ("?!，。“” --", []),
    "the query language of FTS5": ('notice" OR AND NOT ( NEAR(* ^:', ["notice.txt", "notices.txt"]),
    "a heading": ("Part cafe.txt", []),
}  # fmt: skip


@pytest.mark.parametrize(("question", "paths"), FOUND.values(), ids=FOUND.keys())
def test_a_question_finds_by_its_words(find: Find, question: str, paths: list[str]) -> None:
    if question.startswith("Part"):  # every heading begins with it; the name decides
        assert find(question)[0] == "cafe.txt"
    else:
        assert sorted(find(question)) == sorted(paths)


def test_bm25_is_the_formula_of_the_documentation(tmp_path: Path) -> None:
    """Okapi BM25 with k1 = 1.2 and b = 0.75, as FTS5 documents it, over heading and body."""
    store = new_store(tmp_path / "index")
    bodies = ["wolf", "wolf wolf bear", "bear deer deer deer deer", "deer", "fox deer owl", "owl"]
    ingest(store, {f"{i}.txt": [body] for i, body in enumerate(bodies)})
    documents = [["part", str(i), "txt", *body.split()] for i, body in enumerate(bodies)]
    average = sum(map(len, documents)) / len(documents)
    expected: dict[str, float] = {}
    for word in ("wolf", "bear"):
        holding = sum(word in words for words in documents)
        idf = math.log((len(documents) - holding + 0.5) / (holding + 0.5))
        for i, words in enumerate(documents):
            tf = words.count(word)
            length = 1.2 * (1 - 0.75 + 0.75 * len(words) / average)
            if tf:
                expected[f"{i}.txt"] = expected.get(f"{i}.txt", 0.0) + idf * tf * 2.2 / (
                    tf + length
                )
    hits = keyword(store, "bears or wolves: wolf")
    assert {hit.path: hit.ranks.bm25 for hit in hits} == pytest.approx(expected, rel=1e-6)
    assert [hit.path for hit in hits] == sorted(expected, key=lambda p: -expected[p])
    assert [hit.ranks.keyword for hit in hits] == [1, 2, 3]
    assert {hit.score for hit in hits} == {None}


def test_dead_chunks_do_not_crowd_out_living_ones(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    ingest(store, {f"{i:02d}.txt": ["crowd crowd crowd"] for i in range(40)})
    ingest(store, {"last.txt": ["a crowd of many other words here"]})
    with store.writing("remove") as writer:
        writer.remove([doc_id_of(f"{i:02d}.txt") for i in range(40)])
    assert [hit.path for hit in keyword(store, "crowd", 1)] == ["last.txt"]
    assert len(keyword(store, "crowd", 99, as_of=1)) == 40


def test_a_frequent_word_still_finds_when_the_rare_one_finds_nothing_living(
    tmp_path: Path,
) -> None:
    store = new_store(tmp_path / "index")
    ingest(store, {"gone.txt": ["zebra"], "all.txt": [f"common {i}" for i in range(1100)]})
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("gone.txt")])
    assert len(keyword(store, "common zebra", 5)) == 5


@pytest.fixture
def counted() -> Iterator[sqlite3.Connection]:
    """A keyword index: `common` in every chunk, `half` in half, `rare` in three."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE keywords USING fts5 (heading, body, content='')")
    size = 2 * FREQUENT_MIN
    connection.executemany(
        "INSERT INTO keywords (rowid, heading, body) VALUES (?, '', ?)",
        [(i, f"common {'half' if i % 2 else ''} {'rare' if i < 4 else ''} w{i}")
         for i in range(1, size + 1)],
    )  # fmt: skip
    yield connection
    connection.close()


def chosen(counted: sqlite3.Connection, *terms: str, size: int) -> tuple[list[str], float]:
    return select_terms(counted, "keywords", [f'"{term}"' for term in terms], chunks=size)


def test_frequent_terms_are_left_out_while_rarer_ones_are_there(
    counted: sqlite3.Connection,
) -> None:
    size = 2 * FREQUENT_MIN
    assert chosen(counted, "common", "half", "rare", size=size)[0] == ['"rare"']
    assert chosen(counted, "common", "half", size=size)[0] == ['"half"', '"common"']
    assert chosen(counted, "common", "nowhere", size=size)[0] == ['"common"']


def test_in_a_large_index_a_term_of_too_many_chunks_is_frequent_whatever_its_share() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE keywords USING fts5 (body, content='')")
    rows = ((i, "often rare" if i < 9 else "often") for i in range(FREQUENT_MOST + 1))
    connection.executemany("INSERT INTO keywords (rowid, body) VALUES (?, ?)", rows)
    kept, _ = select_terms(
        connection, "keywords", ['"often"', '"rare"'], chunks=100 * FREQUENT_MOST
    )
    alone, _ = select_terms(connection, "keywords", ['"often"'], chunks=100 * FREQUENT_MOST)
    connection.close()
    assert (kept, alone) == (['"rare"'], ['"often"'])


def test_the_score_in_reach_counts_words_that_no_chunk_has(counted: sqlite3.Connection) -> None:
    size = 2 * FREQUENT_MIN
    rare = 2.2 * math.log((size - 3 + 0.5) / 3.5)
    nowhere = 2.2 * math.log((size + 0.5) / 0.5)

    reach = [chosen(counted, t, "rare", size=size)[1] for t in ("nowhere", "common")]

    assert reach == pytest.approx([rare + nowhere, rare])
    query = "SELECT -rank FROM keywords WHERE keywords MATCH 'rare' ORDER BY rank LIMIT 1"
    assert 0 < counted.execute(query).fetchone()[0] < rare
    assert chosen(counted, size=size) == ([], 0)


def test_a_long_question_keeps_its_rarest_terms(counted: sqlite3.Connection) -> None:
    terms = ['"rare"', *(f'"w{i}"' for i in range(1, 41))]
    kept, _ = select_terms(counted, "keywords", terms, chunks=100)
    assert len(kept) == MAX_TERMS
    assert '"rare"' not in kept


def test_terms_of_a_question_become_phrases() -> None:
    phrases = query_phrases("合同合同 VPN合 vpn VPN 東")
    assert phrases == ['"合同"', '"同合"', '"VPN"', '"合"*', '"vpn"', '("东"* OR "東"*)']


@example("a\x08b")
@given(st.text(max_size=60))
def test_any_text_is_found_by_each_of_its_own_terms(text: str) -> None:
    terms = query_phrases(text)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE VIRTUAL TABLE k USING fts5 (body, {TOKENIZER})")
        connection.execute("INSERT INTO k VALUES (?)", (index_text(text),))
        for term in terms:
            tokens = connection.execute(
                "SELECT count(*) FROM k WHERE k MATCH ?", (term,)
            ).fetchone()
            assert tokens == (1,), term
    finally:
        connection.close()
