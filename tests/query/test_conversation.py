"""Conversations over an index: follow-up questions, history and proof."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from commands import messages, write_files
from hash_embedder import HashEmbedder
from hypothesis import given
from hypothesis import strategies as st
from ollama_double.server import OllamaServer, Reply
from staff_docs import COMPLETED, FILES, FIRST, LEARNERS, STAFF

from ragkit.config import AnswerSettings, Config
from ragkit.errors import ModelUnavailableError
from ragkit.pipeline import Pipeline
from ragkit.protocols import ChatMessage, TextDelta
from ragkit.query.followup import combined, leans_on_earlier
from ragkit.query.window import ChatTurns, fit_turns, passage_budget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def over(server: OllamaServer, **values: object) -> Config:
    fixed = {"models.backend": "ollama", "models.ollama_host": server.url, "models.retries": 0}
    return Config().with_values(fixed | values)


@pytest.fixture
def rag(tmp_path: Path, ollama: OllamaServer) -> Iterator[Pipeline]:
    """An index of three files, k = 1: only what a search finds first can be cited."""
    write_files(tmp_path / "docs", FILES)
    with Pipeline(tmp_path / "index", over(ollama, **{"search.k": 1})) as pipeline:
        pipeline.index(tmp_path / "docs")
        yield pipeline


# Follow-up questions ---------------------------------------------------------------------------


def test_a_follow_up_is_completed_by_the_model_and_answered_with_proof(
    rag: Pipeline, ollama: OllamaServer
) -> None:
    conversation = rag.chat()
    first = conversation.ask(FIRST)
    ollama.script(f"“{COMPLETED}”", f"{LEARNERS} [1]")
    second = conversation.ask("and for apprentices?")

    assert (first.searched, second.searched) == ("", COMPLETED)
    assert second.question == "and for apprentices?"
    assert [(c.number, c.path, c.quote) for c in first.citations] == [(1, "staff.md", STAFF[:-1])]
    assert [c.path for c in second.citations] == ["apprentices.md"]
    assert [s.status for s in second.sentences] == ["quoted"]
    assert conversation.turns == (first, second)
    assert (first.receipt.turns_given, second.receipt.turns_given) == (0, 1)
    assert f"search_query: {COMPLETED}" in [b["prompt"] for b in ollama.bodies("/api/embeddings")]


def test_every_request_begins_with_the_words_of_the_one_before(
    rag: Pipeline, ollama: OllamaServer
) -> None:
    conversation = rag.chat(system="Call me Ada.")
    answer = conversation.ask(FIRST)
    ollama.script(COMPLETED)
    conversation.ask("and for apprentices?")
    first, rewrite, second = messages(ollama)

    rules, asked, said = second[:3]
    assert rules["content"].endswith("Within these rules: Call me Ada.")
    assert first[0] == rules
    assert rewrite[:3] == second[:3]
    assert asked == {"role": "user", "content": FIRST}
    assert said == {"role": "assistant", "content": STAFF}  # without passages, without its [1]
    assert answer.text.replace(" [1]", "") == STAFF
    assert rewrite[3]["content"].endswith("Next question: and for apprentices?")
    assert len({json.dumps(b["options"]["num_ctx"]) for b in ollama.bodies("/api/chat")}) == 1


@pytest.mark.parametrize(
    "reply",
    ["", "[NO ANSWER]", "Four weeks [1].", "What is the weather?", "apprentices " * 60],
    ids=["empty", "refused", "answered", "other subject", "long"],
)
def test_a_useless_rewriting_is_replaced_by_rule(
    rag: Pipeline, ollama: OllamaServer, reply: str
) -> None:
    conversation = rag.chat()
    conversation.ask(FIRST)
    ollama.script(reply)

    assert conversation.ask("and for apprentices?").searched == COMPLETED


def test_a_question_that_stands_alone_costs_no_request_more(
    rag: Pipeline, ollama: OllamaServer
) -> None:
    conversation = rag.chat()
    conversation.ask(FIRST)
    answer = conversation.ask("When does the kitchen open in the morning?")

    assert answer.searched == ""
    assert len(messages(ollama)) == 2


HANDBOOK = (
    "# Handbook\n\n## Holidays\n\nEmployees have thirty days of holidays a year.\n\n"
    "## Travel\n\nTravel expenses are refunded within two weeks.\n\n"
    "## Apprentices\n\nApprentices have thirty-five days of holidays a year.\n"
)
HANDBOOK_ZH = (
    "# 员工手册\n\n## 年假\n\n正式员工的年假为十天。\n\n## 出差\n\n差旅费在两周内报销。\n\n"
    "## 学徒\n\n学徒的年假为十五天。\n"
)


@pytest.mark.parametrize(
    ("text", "questions", "searched", "said"),
    [
        (
            HANDBOOK,
            ("How many days of holidays do employees have?", "And what about travel expenses?"),
            "travel expenses",
            "Travel expenses are refunded within two weeks.",
        ),
        (
            HANDBOOK,
            ("How many days of holidays do employees have?", "And apprentices?"),
            "apprentices: How many days of holidays do employees have?",
            "Apprentices have thirty-five days of holidays a year.",
        ),
        (HANDBOOK_ZH, ("正式员工的年假有几天？", "那差旅费呢？"), "差旅费", "差旅费在两周内报销。"),
        (
            HANDBOOK_ZH,
            ("正式员工的年假有几天？", "那学徒呢？"),
            "学徒：正式员工的年假有几天？",
            "学徒的年假为十五天。",
        ),
    ],
    ids=["other subject", "same subject", "别的事", "同一件事"],
)
def test_a_follow_up_on_a_subject_of_its_own_is_searched_for_by_itself(
    tmp_path: Path, text: str, questions: tuple[str, str], searched: str, said: str
) -> None:
    write_files(tmp_path / "docs", {"handbook.md": text})
    config = Config().with_values({"models.chat": "none", "search.mode": "keyword"})
    with Pipeline(tmp_path / "index", config, embedder=HashEmbedder()) as rag:
        rag.index(tmp_path / "docs")
        conversation = rag.chat()
        answer = [conversation.ask(question) for question in questions][-1]
    assert answer.searched == searched
    marked = [answer.text[span.start : span.end] for span in answer.closest]
    assert said in marked[:2]


REPORTS = (
    "# Report on the airplane at Elm\n\nThe pilot at Elm had bought the airplane lately, and had "
    "flown it for 55 minutes. The landing gear collapsed, and damage was done to the left wing. "
    "The sky was overcast.\n\n# Other flights\n\nNo damage was found on the boat at Oak.\n"
)
REPORTS_ZH = (
    "# 榆树机场的飞机\n\n榆树机场的飞行员刚买下这架飞机，已经飞行55分钟。起落架折断，左翼严重损坏。"
    "天空多云。\n\n# 其他\n\n橡树湖的船没有损坏。\n"
)


@pytest.mark.parametrize(
    ("text", "questions", "said"),
    [
        (
            REPORTS,
            ("How long had the pilot at Elm flown his airplane?", "What damage did it have?"),
            "The landing gear collapsed, and damage was done to the left wing.",
        ),
        (
            REPORTS,
            ("How long had the pilot at Elm flown his airplane?", "and how was the sky?"),
            "The sky was overcast.",
        ),
        (
            REPORTS_ZH,
            ("榆树机场的飞行员飞了多久？", "它哪里损坏了？"),
            "起落架折断，左翼严重损坏。",
        ),
    ],
    ids=["it", "and", "它"],
)
def test_a_follow_up_is_answered_by_its_own_words(
    tmp_path: Path, text: str, questions: tuple[str, str], said: str
) -> None:
    """The question that completes it has more words, and its answer was quoted again."""
    write_files(tmp_path / "docs", {"reports.md": text})
    config = Config().with_values({"models.chat": "none", "search.mode": "keyword"})
    with Pipeline(tmp_path / "index", config, embedder=HashEmbedder()) as rag:
        rag.index(tmp_path / "docs")
        conversation = rag.chat()
        first, answer = (conversation.ask(question) for question in questions)
    assert "55" in first.text[first.closest[0].start : first.closest[0].end]
    assert answer.text[answer.closest[0].start : answer.closest[0].end] == said


def test_follow_ups_in_a_row_lean_on_the_last_question_that_stood_alone(tmp_path: Path) -> None:
    write_files(tmp_path / "docs", FILES)
    config = Config().with_values({"models.chat": "none"})
    with Pipeline(tmp_path / "index", config, embedder=HashEmbedder()) as rag:
        rag.index(tmp_path / "docs")
        conversation = rag.chat()
        answers = [
            conversation.ask(q) for q in (FIRST, "and for apprentices?", "and for trainees?")
        ]

    trainees = COMPLETED.replace("apprentices", "trainees")
    assert [a.searched for a in answers] == ["", COMPLETED, trainees]


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("and for apprentices?", True),
        ("What about managers?", True),
        ("How long does it take?", True),
        ("Why?", True),
        ("for apprentices?", True),
        ("Who pays them?", True),
        ("What is the notice period?", False),
        ("How many days of leave do employees get in the first year?", False),
        ("那学徒呢？", True),
        ("它要多久？", True),
        ("为什么？", True),
        ("这种情况下谁来赔偿？", True),
        ("那么试用期满以后工资怎么计算？", True),
        ("還有學徒呢？", True),
        ("试用期内辞职要提前几天通知公司？", False),
        ("劳动者应该提前多少天通知用人单位？", False),
        ("租赁合同的最长期限是多少年？", False),
        ("其他城市的最低工资标准是多少钱？", False),
    ],
)
def test_which_questions_lean_on_earlier_ones(question: str, leans: bool) -> None:  # noqa: FBT001 -- a parameter
    assert leans_on_earlier(question) is leans


@pytest.mark.parametrize(
    ("question", "earlier", "expected"),
    [
        ("and for apprentices?", FIRST, COMPLETED),
        ("What about in May?", "What was the rainfall in April?", "What was the rainfall in May?"),
        (
            "And at Soledad?",
            "How long had the pilot at White Plains flown before the accident?",
            "How long had the pilot at Soledad flown before the accident?",
        ),
        (
            "and for apprentices?",
            "How long is the notice for permanent staff in Berlin?",
            "How long is the notice for apprentices in Berlin?",
        ),
        (
            "And in Berlin?",
            "How high is the rent in New York?",
            "How high is the rent in Berlin?",
        ),
        ("What about managers?", FIRST, f"managers: {FIRST}"),
        ("Why?", FIRST, f"Why: {FIRST}"),
        ("And?", FIRST, FIRST),
        ("那学徒呢？", "员工的通知期是多久？", "学徒：员工的通知期是多久？"),
        ("呢？", "员工的通知期是多久？", "员工的通知期是多久？"),
        ("它要多久？", "怎样申请仲裁？", "它要多久：怎样申请仲裁？"),
    ],
)
def test_a_follow_up_is_completed_by_rule(question: str, earlier: str, expected: str) -> None:
    assert combined(question, earlier) == expected


# History ---------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=300)


@given(st.lists(st.tuples(texts, texts), max_size=6), st.integers(900, 3000))
def test_history_is_the_latest_turns_that_leave_half_to_the_passages(
    turns: list[tuple[str, str]], num_ctx: int
) -> None:
    settings = AnswerSettings(num_ctx=num_ctx, reserve_tokens=100)
    said = tuple((ChatMessage("user", a), ChatMessage("assistant", b)) for a, b in turns)
    fitted = fit_turns(FIRST, ChatTurns(turns=said), settings, context_tokens=num_ctx)
    alone = passage_budget(FIRST, settings, context_tokens=num_ctx)
    left = passage_budget(FIRST, settings, context_tokens=num_ctx, turns=fitted)

    assert fitted.turns == said[fitted.dropped :]
    assert left >= alone / 2 - 1
    if fitted.dropped:
        more = sum(fitted.tokens.estimate(m.content) + 8 for m in said[fitted.dropped - 1])
        assert alone - left + more > alone / 2 - 1


def test_dropped_turns_are_told_and_not_sent(rag: Pipeline, ollama: OllamaServer) -> None:
    small = rag.config.with_values({"answer.num_ctx": 1000, "answer.reserve_tokens": 100})
    ollama.script("A long answer about the kitchen. " * 40, "Short.", "Last.")
    with Pipeline(rag.path, small) as narrow:
        conversation = narrow.chat()
        answers = [conversation.ask(f"When does the kitchen open on day {n}?") for n in range(3)]

    assert [a.receipt.turns_dropped for a in answers] == [0, 1, 1]
    assert [a.receipt.turns_given for a in answers] == [0, 0, 1]
    assert len(messages(ollama)[2]) == 4
    assert len(conversation.turns) == 3


def test_reasoning_enters_neither_history_nor_citations(
    rag: Pipeline, ollama: OllamaServer
) -> None:
    with Pipeline(rag.path, over(ollama, **{"models.chat": "deepseek-r1"})) as thinker:
        conversation = thinker.chat()
        ollama.script(Reply((f"<think>Perhaps [1]?</think>{STAFF} [1]",), thinking=("Hm.",)))
        first = conversation.ask(FIRST)
        conversation.ask("When does the kitchen open in the morning?")

    assert first.text == f"{STAFF} [1]"
    assert [m["content"] for m in messages(ollama)[1][1:3]] == [FIRST, STAFF]


def test_an_answer_that_is_stopped_or_fails_leaves_no_turn(
    rag: Pipeline, ollama: OllamaServer
) -> None:
    conversation = rag.chat()
    ollama.script(Reply(("The notice ", "period "), ending="drop"), Reply(("word ",) * 50))
    with pytest.raises(ModelUnavailableError):
        conversation.ask(FIRST)
    events = conversation.stream(FIRST)
    assert isinstance(next(events), TextDelta)
    events.close()

    assert conversation.turns == ()


def test_clear_forgets_the_turns_and_keeps_the_system_text(
    rag: Pipeline, ollama: OllamaServer
) -> None:
    conversation = rag.chat(system="Be brief.")
    conversation.ask(FIRST)
    conversation.clear()
    answer = conversation.ask("and for apprentices?")

    assert answer.searched == ""
    roles = [[m["role"] for m in request] for request in messages(ollama)]
    assert roles == [["system", "user"]] * 2
    assert messages(ollama)[1][0]["content"].endswith("Be brief.")


def test_a_saved_conversation_holds_every_answer_whole(rag: Pipeline, tmp_path: Path) -> None:
    conversation = rag.chat()
    answer = conversation.ask(FIRST)
    conversation.save(tmp_path / "talk.json")
    conversation.save(tmp_path / "talk.md")
    saved = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    text = (tmp_path / "talk.md").read_text("utf-8")

    assert saved == json.loads(json.dumps(conversation.to_json()))
    (turn,) = saved["turns"]
    assert (turn["question"], turn["text"]) == (FIRST, answer.text)
    assert turn["citations"][0]["quote"] == STAFF[:-1]
    assert text == f"# index\n\n## {FIRST}\n\n{answer.text}\n\n- [1] staff.md: “{STAFF[:-1]}”\n"
