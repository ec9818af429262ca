"""What the engine is given of a text, against SQLite's own tokenizer; URLs of indexes."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ragkit.errors import InputError, StoreError
from ragkit.store.bm25 import term_weight
from ragkit.store.remote.endpoint import API_KEY, PASSWORD, USER, parse_endpoint, read_access
from ragkit.store.remote.keywords import WordQuery, words_of
from ragkit.text.analysis import index_text

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = [
    "The notice period is 3 months: e-mail hr_team@example.org, naïve Café ÜBER Straße.",
    "劳动合同法第十条规定,用iPhone看电影🤔。",
    "東京タワー 2024年3月",
    "สวัสดีครับ ประเทศไทย",
    "नमस्ते दुनिया",
    "Привет, ёлка и йод; ΑΒΓ ώρα; İstanbul",
    "navi-\ngation m² 10³ ½ ①",
]


@pytest.fixture(scope="module")
def tokenizer() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE t USING fts5(x, tokenize='unicode61 remove_diacritics 2')"
        )
        connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
        yield connection


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_those_of_sqlite(tokenizer: sqlite3.Connection, text: str) -> None:
    tokenizer.execute("DELETE FROM t")
    tokenizer.execute("INSERT INTO t VALUES (?)", (index_text(text),))
    rows = tokenizer.execute("SELECT term FROM v ORDER BY offset").fetchall()

    assert words_of((), text).split(" ") == [term for (term,) in rows]


def test_a_question_has_the_words_of_its_texts() -> None:
    indexed = words_of(("Teil",), "劳动合同法 40 m naïve").split(" ")
    assert indexed[0] == "teil"
    asked = WordQuery("劳动合同 40m Naive").count_request()["aggs"]["terms"]["filters"]["filters"]
    words = {name[1:] for name in asked if name.startswith("w")}
    assert words - {"40m"} <= set(indexed)


def test_the_weight_of_a_term_is_sqlites() -> None:
    question = WordQuery("lion zebra")
    counted: dict[str, Any] = {
        "hits": {"total": {"value": 40}},
        "aggregations": {"terms": {"buckets": {
            "t0": {"doc_count": 4}, "wlion": {"doc_count": 4},
            "t1": {"doc_count": 0}, "wzebra": {"doc_count": 0},
        }}},
    }  # fmt: skip
    query, reach = question.scored(counted)
    assert query is not None
    (clause,) = query["bool"]["should"]
    lucene = 2.2 * math.log(1 + 36.5 / 4.5)
    assert clause["match"]["words"]["boost"] * lucene == pytest.approx(2.2 * math.log(36.5 / 4.5))
    assert reach == pytest.approx(term_weight(4, 40) + term_weight(0, 40))


def test_a_url_names_nodes_and_an_index() -> None:
    found = parse_endpoint("opensearch://a,b:9300,[::1]/handbook")
    assert found.nodes == ("https://a:9200", "https://b:9300", "https://[::1]:9200")
    assert found.name == "handbook"
    assert parse_endpoint("opensearch-http://localhost/x").nodes == ("http://localhost:9200",)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("opensearch://host/Handbook", "refused"),
        ("opensearch://host/", "refused"),
        ("opensearch://host/a/b", "refused"),
        ("opensearch:///name", "names no host"),
        ("opensearch://me:secret@host/name", "holds no password"),
        ("opensearch://host:port/name", "no usable port"),
    ],
)
def test_another_url_is_refused(url: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        parse_endpoint(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_sent_unencrypted_to_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(USER, "ada")
    monkeypatch.setenv(PASSWORD, "secret")
    monkeypatch.delenv(API_KEY, raising=False)
    for url in ("opensearch://host/x", "opensearch-http://127.0.0.1:1/x"):
        access = read_access(parse_endpoint(url))
        assert (access.user, access.password) == ("ada", "secret")
        assert "secret" not in repr(access)
    with pytest.raises(StoreError, match="unencrypted") as caught:
        read_access(parse_endpoint("opensearch-http://host/x"))
    assert "secret" not in str(caught.value)
