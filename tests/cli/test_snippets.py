"""The part of a passage that `ragkit search` shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.cli.snippets import snippet

HEAD = "National Transportation Safety Board, final report, page 1 of 5. | Location: | Elm | "
FILLING = "The flight began at noon and the sky was clear. " * 8
SAID = "He applied carburetor heat, but the vibration persisted. "
ZH = "国家运输安全委员会最终报告。" + "飞行于中午开始，天空晴朗。" * 20 + "飞行员使用了化油器加热。"


@pytest.mark.parametrize(
    ("text", "question", "begins", "has"),
    [
        (HEAD + FILLING + SAID + FILLING, "carburetor", "… He applied", "carburetor heat"),
        (HEAD + FILLING + SAID, "What did the carburetors do?", "… ", "carburetor heat"),
        (HEAD + FILLING + SAID, "the final report", "National Transportation", "page 1"),
        (HEAD + FILLING + SAID, "submarine", "National Transportation", "page 1"),
        (HEAD + FILLING + SAID, "of the", "National Transportation", "page 1"),
        (ZH, "化油器加热", "… ", "飞行员使用了化油器加热。"),
        (SAID, "vibration", "He applied", "the vibration persisted."),
    ],
    ids=["sentence", "stem", "at the top", "none", "no terms", "zh", "short"],
)
def test_the_words_of_the_question_are_shown(
    text: str, question: str, begins: str, has: str
) -> None:
    shown = snippet(text, question)
    assert shown.startswith(begins)
    assert has in shown


def test_a_word_in_an_endless_sentence_has_some_words_before_it() -> None:
    shown = snippet("word " * 200 + "carburetor " + "more " * 200, "carburetor", 100)
    before, _, after = shown.partition("carburetor")
    assert before == "… " + "word " * 8
    assert after.endswith(" …")


@given(
    words=st.lists(
        st.sampled_from(["fee", "pool", "五元", "游泳", "x.", "。", "|", "\n"]), max_size=80
    ),
    question=st.sampled_from(["pool fee", "游泳 五元", "zebra", ""]),
    limit=st.integers(5, 60),
)
def test_what_is_shown_stands_so_in_the_passage(
    words: list[str], question: str, limit: int
) -> None:
    text = " ".join(words)
    shown = snippet(text, question, limit)
    bare = shown.removeprefix("… ").removesuffix(" …")
    assert bare in " ".join(text.split())
    assert len(bare) <= limit
