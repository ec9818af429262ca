"""The shipped corpora, and that the answers of the demo are computed from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragkit import Config, Pipeline
from ragkit.config import LoadSettings, SplitSettings
from ragkit.ingest.load import Parser, load_document, walk_files
from ragkit.ingest.split import split

ROOT = Path(__file__).parent.parent
FOLDERS = ("accident-reports", "everyday-law-zh")
QUESTIONS: list[dict[str, Any]] = [
    json.loads(line) for line in (ROOT / "corpora/questions.jsonl").read_text("utf-8").splitlines()
]
EMBEDDED = Config().with_values({"models.backend": "embedded", "models.chat": "none"})


def load_corpora() -> dict[str, tuple[str, int]]:
    """Text and number of chunks of each shipped file, by its path below corpora/."""
    loaded = {}
    with Parser(LoadSettings()) as parser:
        for folder in FOLDERS:
            root = ROOT / "corpora" / folder
            for entry in walk_files(root, LoadSettings()):
                document = load_document(
                    entry.path, root=root, settings=LoadSettings(), parser=parser
                )
                chunks = sum(1 for _ in split(document, SplitSettings()))
                loaded[f"{folder}/{entry.relative}"] = (document.text, chunks)
    return loaded


def test_corpora_are_small_and_hold_the_evidence_of_their_questions() -> None:
    loaded = load_corpora()
    assert len(loaded) == 14
    assert 50 <= sum(chunks for _, chunks in loaded.values()) <= 150
    for question in QUESTIONS:
        for evidence in question["evidence"]:
            text, _ = loaded[f"{question['metadata']['folder']}/{evidence['doc']}"]
            assert "".join(evidence["text"].split()) in "".join(text.split())


@pytest.mark.parametrize(
    ("folder", "file", "old", "new", "question"),
    [
        (
            "everyday-law-zh",
            "房屋租赁.md",
            "在六个月内未提出异议",
            "在九个月内未提出异议",
            "房东知道房客转租，多久不提异议就算同意？",
        ),
        (
            "accident-reports",
            "overview.md",
            "`(F)` a factor that contributed",
            "`(F)` a finding of no weight",
            "What does the letter F mean in the findings of a report?",
        ),
    ],
    ids=["zh", "en"],
)
@pytest.mark.long
def test_an_edited_fact_changes_the_answer(
    folder: str, file: str, old: str, new: str, question: str, tmp_path: Path
) -> None:
    text = (ROOT / "corpora" / folder / file).read_text("utf-8")
    assert text.count(old) == 1
    copy = tmp_path / "corpus" / file
    copy.parent.mkdir()
    copy.write_text(text, "utf-8")
    with Pipeline(tmp_path / "index", EMBEDDED) as rag:
        rag.index(copy.parent)
        before = rag.ask(question)
        copy.write_text(text.replace(old, new), "utf-8")
        report = rag.index(copy.parent)
        after = rag.ask(question)
    assert report.changed == (file,)
    assert report.embedded < report.chunks
    assert old in before.text
    assert new in after.text
    assert old not in after.text
    assert before.citations[0].quote in text
    assert after.citations[0].quote in text.replace(old, new)


def test_a_fresh_clone_has_the_folder_for_indexes() -> None:
    assert (ROOT / "indexes/README.md").is_file()
