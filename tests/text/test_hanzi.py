"""Traditional and simplified Chinese find each other, and Japanese stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import opencc
import pytest
from store_factory import ingest, keyword, new_store

from ragkit.text.words import simplified, words

if TYPE_CHECKING:
    from pathlib import Path


def test_every_character_is_folded_as_opencc_does() -> None:
    converter = opencc.OpenCC("t2s")
    blocks = (range(0x3400, 0xA000), range(0xF900, 0xFB00))
    for character in (chr(code) for block in blocks for code in block):
        theirs = converter.convert(character)
        while converter.convert(theirs) != theirs:
            theirs = converter.convert(theirs)
        expected = character if ord(theirs) > 0xFFFF else theirs  # rare forms beyond the plane
        assert simplified(character) == expected, character


@pytest.mark.parametrize(
    "text", ["plain ASCII", "", "東京の天気は晴れです", "カタカナ語の発音", "서울의 날씨"]
)
def test_other_languages_are_left_as_they_are(text: str) -> None:
    assert simplified(text) == text


def test_a_quoted_kana_does_not_make_a_chinese_text_japanese() -> None:
    text = "這家店叫「の」，賣書、賣茶，開在車站對面，從早上八點到晚上"
    assert simplified(text) == "这家店叫「の」，卖书、卖茶，开在车站对面，从早上八点到晚上"


def test_keywords_in_either_script_find_both(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    ingest(store, {"jian.txt": ["房东应当退还押金"], "fan.txt": ["房東應當退還押金"]})

    for question in ("退还押金", "退還押金"):
        hits = keyword(store, question)
        assert sorted((hit.path, hit.text) for hit in hits) == [
            ("fan.txt", "房東應當退還押金"),
            ("jian.txt", "房东应当退还押金"),
        ]


def test_a_word_without_kana_finds_the_japanese_text_it_stands_in(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    ingest(store, {"ja.txt": ["広島から東京へ電車で行きます。島です"], "zh.txt": ["东京在日本"]})

    found = {q: sorted(h.path for h in keyword(store, q)) for q in ("東京", "電車", "島", "东京")}

    assert found == {"東京": ["ja.txt", "zh.txt"], "電車": ["ja.txt"], "島": ["ja.txt"],
                     "东京": ["zh.txt"]}  # fmt: skip


def test_words_of_both_scripts_compare_equal() -> None:
    assert words("退還押金") == words("退还押金") == ["退还", "还押", "押金"]
