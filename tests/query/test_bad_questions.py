"""Questions and folders that nobody plans for: each is answered or refused, and nothing breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.records import Answer

FACT = "The notice period is three months for permanent staff."
FILES = {
    "staff.md": f"# Staff\n\n{FACT} It ends with a quarter.\n",
    "fees.md": "# Fees\n\nThe late fee is 5 dollars a day.\n",
}


def answered(
    folder: Path, question: str, files: dict[str, str] = FILES, *, mode: str = "hybrid"
) -> Answer:
    """The answer without a chat model from an index of some files; it can be proved."""
    docs = write_files(folder / "docs", files)
    config = Config().with_values({"search.mode": mode, "models.chat": "none"})
    with Pipeline(folder / "index", config, embedder=HashEmbedder()) as rag:
        rag.index(docs)
        answer = rag.ask(question)
        assert rag.verify(answer).holds
        return answer


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
@pytest.mark.parametrize(
    "question",
    [
        "?!… —— ，。",
        "what is the of and",
        "的 了 是 吗",
        "'; DROP TABLE chunks; --",
        '" OR 1=1 NEAR(a b, 3) * text:^',
        "AND OR NOT (",
        "☃ 🙂",
        "ما هي مدة الإشعار؟",
        "如何给小猫接种疫苗？",
    ],
)
def test_a_question_without_a_subject_of_the_documents_is_refused(
    tmp_path: Path, question: str, mode: str
) -> None:
    answer = answered(tmp_path, question, mode=mode)
    assert (answer.refused, answer.citations, answer.closest) == (True, (), ())


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_a_question_of_ten_thousand_characters_is_answered_by_what_it_begins_with(
    tmp_path: Path, mode: str
) -> None:
    question = f"How long is the notice period for permanent staff? {'Please tell me. ' * 625}"
    answer = answered(tmp_path, question, mode=mode)
    assert len(question) > 10_000
    assert answer.refused or answer.text.startswith(FACT)


@pytest.mark.parametrize(
    ("question", "files", "said"),
    [
        ("How long is the notice period?", {"a.md": FACT}, f"{FACT} [1]"),
        (
            "What does the Midi plan cost a month?",
            {"plans.csv": "plan,cost a month\nMini,12\nMidi,19\nMaxi,34\n"},
            "plan: Midi; cost a month: 19 [1]",
        ),
        (
            "What does the Midi plan cost?",
            {"plans.md": "| Plan | Cost |\n|---|---|\n| Mini | 12 |\n| Midi | 19 |\n"},
            "Plan: Midi; Cost: 19 [1]",
        ),
    ],
    ids=["one document", "rows of names", "a table"],
)
def test_a_folder_of_one_kind_is_answered(
    tmp_path: Path, question: str, files: dict[str, str], said: str
) -> None:
    answer = answered(tmp_path, question, files, mode="keyword")
    assert answer.text.splitlines()[0] == said
    assert all(s.status in ("quoted", "supported") for s in answer.sentences)


def test_a_folder_of_code_is_quoted_by_its_lines(tmp_path: Path) -> None:
    code = 'def notice_period() -> int:\n    """The notice period in months."""\n    return 3\n'
    answer = answered(tmp_path, "What is the notice period?", {"a.py": code}, mode="keyword")
    assert "The notice period in months." in answer.text


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        (
            "How long is the notice period?",
            f"How long is the notice period?\n\n{FACT}\n",
            f"How long is the notice period? {FACT} [1]",
        ),
        (
            "How long is the notice period?",
            "We were asked: How long is the notice period? Nobody knew.\n\n## Rules\n\n" + FACT,
            FACT,
        ),
        (
            "通知期有多长？",
            "问：通知期有多长？\n\n答：正式员工的通知期为三个月。\n",
            "问：通知期有多长？答：正式员工的通知期为三个月。 [1]",
        ),
    ],
)
def test_a_document_that_holds_the_question_is_quoted_for_its_answer(
    tmp_path: Path, question: str, text: str, said: str
) -> None:
    answer = answered(tmp_path, question, {"a.md": text}, mode="keyword")
    assert said in answer.text
    assert not any(
        answer.text[span.start : span.end].rstrip() == question for span in answer.closest
    )
