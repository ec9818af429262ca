"""Terms for a keyword index: pairs of CJK, folded forms, prefixes."""

from __future__ import annotations

import re
import sqlite3

import pytest

from ragkit.store.local.keywords import query_phrases
from ragkit.text.analysis import QueryTerm, index_text, query_terms

TOKENIZER = "tokenize='porter unicode61 remove_diacritics 2'"


def test_terms_of_a_question_are_distinct_and_in_order() -> None:
    assert query_terms("合同合同 VPN合 vpn VPN") == [
        QueryTerm(("合同",)),
        QueryTerm(("同合",)),
        QueryTerm(("VPN",)),
        QueryTerm(("合",), is_prefix=True),
        QueryTerm(("vpn",)),
    ]


def test_a_traditional_form_is_searched_for_as_written_too() -> None:
    assert query_terms("東京") == [QueryTerm(("东京", "東京"))]
    assert query_terms("東京の天気を見る")[0] == QueryTerm(("東京",))  # Japanese is not folded


def test_index_text_of_mixed_text_is_pairs_with_the_last_character_alone() -> None:
    assert index_text("plain ascii") == "plain ascii"
    assert index_text("看电影abc字").split() == ["看电", "电影", "影", "abc", "字"]


def _found(text: str, question: str) -> bool:
    """Say whether FTS5 finds a text by all terms of a question, as the store asks it."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE VIRTUAL TABLE k USING fts5 (body, {TOKENIZER})")
        connection.execute("INSERT INTO k VALUES (?)", (index_text(text),))
        query = " AND ".join(query_phrases(question))
        return bool(connection.execute("SELECT 1 FROM k WHERE k MATCH ?", (query,)).fetchall())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("a white lantern for navi-\ngation after dusk", "navigation"),
        ("a white lantern for navi-\n  gation after dusk", "lantern navigation"),
        ("a signed certi\u2010\nficate", "certificate"),
        ("a signed certi\u00ad\nficate", "certificate"),
        ("a long-\nterm berth", "long-term berth"),
        ("a long-\nterm berth", "longterm"),
        ("把船归还码\n头，逾期", "码头"),
        ("日\n落\n前\n须\n归\n还", "归还"),
        ("租 船 人 每 小 时 付", "租船人"),
        ("租船人每小时付", "租 船 人"),
        ("cost 1,234,567 crowns", "1234567"),
        ("cost 1 234 567 crowns", "1,234,567"),
        ("cost 1.234.567 Kronen", "1'234'567"),
        ("cost 1234567 crowns", "1,234,567"),
        ("cost 48\u202f200 crowns", "48200"),
        ("a rope of 40 m", "40m"),
        ("a rope of 40m", "40 m"),
        ("a rope of 40m", "40 M rope"),
        ("שָׁלוֹם לְכָל", "שלום"),
        ("مُحَمَّد", "محمد"),
        ("ผู้เช่าจ่ายสิบสองบาทต่อชั่วโมง", "สิบสองบาท"),
        ("किराया बारह रुपये है", "बारह रुपये"),
        ("the warranty² of ten years", "warranty"),
        ("holds 10⁶ litres", "10^6 litres"),
        ("5 m² of sail", "m2"),
        ("naïve café", "cafe"),
        ("the em\u00adbark\u00adment", "embarkment"),
        ("a zero\u200bwidth join", "zerowidth"),
        ("ＡＢＣ１２３ is the code", "ABC123"),
        ("the eﬃcient oﬃce", "efficient office"),
        ("படகு கட்டணம் இருபது ரூபாய்", "கட்டணம்"),
    ],
)
def test_a_text_is_found_however_it_is_set(text: str, question: str) -> None:
    assert _found(text, question)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("किराया बारह", "बारहा"),
        ("holds 10⁶ litres", "106"),
        ("a rope of 40 m", "400m"),
        ("cost 1,234 crowns", "12345"),
        ("สิบสองบาท", "สิบสามบาท"),
        ("Item A-\nB is here", "AB"),
    ],
)
def test_a_text_is_not_found_by_another_word(text: str, question: str) -> None:
    assert not _found(text, question)


@pytest.mark.parametrize("question", ["สิบสองบาท", "रुपये"])
def test_a_question_also_asks_as_indexes_of_before_hold_it(question: str) -> None:
    """Their tokenizer parted words at their marks."""
    before = " ".join(re.findall(r"[^\W_]+", question))
    assert query_terms(question)[0].forms[1] == before != question
