"""Greetings and the like are answered without a search; questions never are taken for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.query.small_talk import small_talk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Hello", "greeting"),
        ("hi there!", "greeting"),
        ("Good morning, how are you?", "greeting"),
        ("你好！", "greeting"),
        ("早上好", "greeting"),
        ("Thanks a lot.", "thanks"),
        ("ok, thank you so much!", "thanks"),
        ("谢谢你", "thanks"),
        ("非常感谢！", "thanks"),
        ("Bye", "farewell"),
        ("再见", "farewell"),
        ("What is in here?", "contents"),
        ("What’s in this folder?", "contents"),
        ("which documents do you have?", "contents"),
        ("这里有什么？", "contents"),
        ("有哪些文件？", "contents"),
        ("你知道什么", "contents"),
        ("Who wrote hello world?", None),
        ("Hello, how long is the notice period?", None),
        ("What is in the contract?", None),
        ("谢谢的英文怎么说？", None),
        ("合同里有什么？", None),
        ("Thanks" * 20, None),
        ("?!", None),
        ("", None),
    ],
)
def test_whole_messages_are_told(message: str, expected: str | None) -> None:
    assert small_talk(message) == expected


@pytest.mark.parametrize("mode", ["keyword", "dense", "hybrid"])
@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Hello", "Hello. I answer from 2 documents (2 markdown), among them a.md, b.md."),
        ("这里有什么？", "我根据 2 个文档回答（markdown 2 个），其中有 a.md、b.md。"),
        ("Thank you!", "You are welcome."),
        ("谢谢", "不客气。"),
    ],
)
def test_a_greeting_gets_a_reply_and_no_quotation(
    tmp_path: Path, message: str, said: str, mode: str
) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": "Hello there.\n", "b.md": "谢谢大家。\n"})
    config = Config().with_values({"models.chat": "none", "search.mode": mode})
    with Pipeline(tmp_path / "index", config, embedder=HashEmbedder()) as rag:
        rag.index(docs)
        answer = rag.ask(message)
    assert answer.text.startswith(said)
    assert (answer.refused, answer.citations, answer.receipt.found) == (False, (), ())
