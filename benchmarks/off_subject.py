"""Are questions about other subjects refused, whatever the documents are?

    python benchmarks/off_subject.py EVAL [--count 40]

Each question set below EVAL is asked questions of the others that are about something else, in
English and in Chinese, and beside them its own. The page is ``benchmarks/OFF_SUBJECT.md``; vectors
come from the work folder of ``quality.py``. A folder without questions is indexed too.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness import HERE
from quality import BASE, WORK, where_measured
from quality_page import markdown, where_section, with_interval

from ragkit.config import Config
from ragkit.evaluate import QuestionSet, opened, read_questions
from ragkit.evaluate.intervals import auc, mean
from ragkit.query.evidence import evidence, has_evidence
from ragkit.query.proof.analysed import AnalysedText

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.pipeline import Pipeline

SEED = 11
ASKERS = {
    "Chinese": ("cmrc2018-dev", "stard-a", "dureader-search-a"),
    "English": ("squad2-noanswer", "scifact-train"),
}
"""Whose questions are asked: encyclopedia, law, web pages; encyclopedia, medicine."""

SUBJECTS = {
    "cmrc2018-dev": {"cmrc2018-dev", "cmrc2018-noanswer"},
    "squad2-noanswer": {"squad2-noanswer", "mixed-folder", "xquad-en", "xquad-zh"}
    | {"xquad-en-to-zh", "xquad-zh-to-en"},
}
"""The sets that an asker shares a subject with, where these are others than itself."""

DOCUMENTS = {"docs-fastapi", "docs-ntsb-pdf"}
"""Folders of documents without questions: manuals in English and Chinese, accident reports."""


def main() -> int:
    """Ask every set, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the sets")
    parser.add_argument("--count", type=int, default=40, help="questions of each asker")
    parser.add_argument("--work", type=Path, default=WORK, help="where indexes and vectors are")
    given = parser.parse_args()
    asked = {
        tongue: {name: sample(given.folder / name, given.work, given.count) for name in names}
        for tongue, names in ASKERS.items()
    }
    rows = []
    for folder in sorted(p for p in given.folder.iterdir() if p.is_dir()):
        for about in documents_of(folder, given.work):
            with opened(about, Config().with_values(BASE), given.work) as rag:
                rows += rows_of(about, rag, asked, given.count)
                print(*rows[-2:], sep="\n", file=sys.stderr, flush=True)
    where = where_measured(f"python benchmarks/off_subject.py EVAL --count {given.count}")
    head = ["documents", "questions", "refused", "own questions kept", "AUC"]
    text = f"{INTRODUCTION}{markdown('By documents', head, rows)}\n{where_section(where)}"
    (HERE / "OFF_SUBJECT.md").write_text(text, "utf-8")
    print(text)
    return 0


INTRODUCTION = """\
# Questions about other subjects

Written by `python benchmarks/off_subject.py`. Documents are asked what they do not speak about:
questions of other sets, forty of each. `refused` is how many of them are, `own questions kept` how
many of the set's own questions with an answer are not refused, and `AUC` how well the evidence
tells the two apart. In brackets: the 95 % interval over the questions.

"""


def documents_of(folder: Path, work: Path) -> Iterator[QuestionSet]:
    """The set in a folder; a folder of documents alone counts as a set without questions."""
    if any((folder / name).is_file() for name in ("queries.jsonl", "questions.jsonl")):
        yield read_questions(folder, work / folder.name)
    elif folder.name in DOCUMENTS:
        yield QuestionSet(folder.name, folder, ())


def sample(source: Path, work: Path, count: int) -> list[str]:
    """Questions that have an answer, the same each time."""
    return chosen(read_questions(source, work / source.name), count)


def chosen(asked: QuestionSet, count: int) -> list[str]:
    """As `sample`."""
    answerable = [q.text for q in asked.questions if q.answerable]
    return random.Random(SEED).sample(answerable, min(count, len(answerable)))  # noqa: S311 -- no secret


def rows_of(
    about: QuestionSet, rag: Pipeline, asked: dict[str, dict[str, list[str]]], count: int
) -> Iterator[Sequence[str]]:
    """One row for each language that strangers ask in."""
    own, kept = judged(rag, chosen(about, 3 * count)) if about.questions else ([], [])
    for tongue, askers in asked.items():
        strange = [
            question
            for name, questions in askers.items()
            if about.name not in SUBJECTS.get(name, {name})
            for question in questions
        ]
        told, passed = judged(rag, strange)
        refused = mean(1 - np.array(passed, float))
        cells = [about.name, f"{tongue}, {len(strange)}", with_interval(asdict(refused))]
        if own:
            cells.append(with_interval(asdict(mean(np.array(kept, float)))))
            cells.append(with_interval(asdict(auc(np.array(own), np.array(told)))))
        yield [*cells, *[""] * (5 - len(cells))]


def judged(rag: Pipeline, questions: Sequence[str]) -> tuple[list[float], list[bool]]:
    """The evidence for each question, and whether it is enough."""
    name = rag.embedder.name
    found = [(AnalysedText(question), rag.search(question)) for question in questions]
    return (
        [evidence(question, hits, name) for question, hits in found],
        [has_evidence(question, hits, embedder=name) for question, hits in found],
    )


if __name__ == "__main__":
    sys.exit(main())
