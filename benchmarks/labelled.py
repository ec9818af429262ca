"""The labelled set of the support check: true statements, and the same with one thing swapped.

Each case is a sentence and the passage that it cites. English comes from squad2-noanswer and
xquad-en, Chinese from cmrc2018-dev and xquad-zh (mixed-folder and cmrc2018-noanswer hold the same
paragraphs again). Cases of one article lie in one half.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statements import Statement, bare_verbs, statement
from swaps import is_name, negated, other_figure, other_name

from ragkit.records import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETS = {"en": ("squad2-noanswer", "xquad-en"), "zh": ("cmrc2018-dev", "xquad-zh")}
TRUE, ELSEWHERE, NEAR = "true", "another passage", "name of the same passage"
SWAPS = ("number", "name", "negation")


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, the passage that it cites, and what was done to it; ``half`` is 0 or 1."""

    source: str
    kind: str
    said: str
    passage: Passage
    half: int


@dataclass(frozen=True, slots=True)
class _Row:
    statement: Statement
    references: tuple[str, ...]
    doc: str

    @property
    def article(self) -> str:
        return article(self.doc)


def labelled(folder: Path, language: str, seed: int) -> list[Case]:
    """Make the cases of a language from the sets in a folder."""
    rng = random.Random(seed)  # noqa: S311 -- a sample, no secret
    return [c for name in SETS[language] for c in _cases(folder / name, language, rng)]


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def article(doc: str) -> str:
    """The article of a paragraph: ``Normans`` of ``sq:Normans-0``; cmrc2018 has one of each."""
    return doc.rpartition("-")[0].rpartition(":")[2] or doc


def passage(text: str, title: str = "") -> Passage:
    """A passage of which only text and title matter."""
    return Passage(1, "d", "/", "p", title, (), None, 0, len(text), text, "", None, ("c",), 0)


def _cases(folder: Path, language: str, rng: random.Random) -> Iterator[Case]:
    corpus = {d["_id"]: passage(d["text"], d["title"]) for d in read(folder / "corpus.jsonl")}
    rows = _rows(folder, language, [p.text for p in corpus.values()])
    names: dict[str, set[str]] = defaultdict(set)  # by kind, and by kind and article
    for row in rows:
        if is_name(row.statement.answer, row.statement.kind, language):
            names[row.statement.kind].add(row.statement.answer)
            names[row.statement.kind + row.article].add(row.statement.answer)
    for row in rows:
        cited = corpus[row.doc]
        half = hashlib.sha256(row.article.encode()).digest()[0] % 2
        others = [d for d in corpus if d != row.doc]
        nearest = [d for d in others if article(d) == row.article] or others
        yield Case(folder.name, ELSEWHERE, row.statement.said, corpus[rng.choice(nearest)], half)
        for kind, said in _told(row, cited.text, names, language, rng):
            if said:
                yield Case(folder.name, kind, said, cited, half)


def _rows(folder: Path, language: str, texts: list[str]) -> list[_Row]:
    verbs = bare_verbs(texts) if language == "en" else frozenset()
    rows = []
    for query in read(folder / "queries.jsonl"):
        references = tuple(query.get("answers") or ())
        made = statement(query["text"], references[0], language, verbs) if references else None
        if made:
            rows.append(_Row(made, references, query["metadata"]["evidence"][0]["doc"]))
    return rows


def _told(
    row: _Row, text: str, names: dict[str, set[str]], language: str, rng: random.Random
) -> Iterator[tuple[str, str | None]]:
    made = row.statement
    yield TRUE, made.said
    yield "number", other_figure(made.said, rng)
    yield "negation", negated(made.said, language, rng)
    if is_name(made.answer, made.kind, language):
        here = {name for name in names[made.kind + row.article] if name in text}
        away = {name for name in names[made.kind + row.article] if name not in text}
        anywhere = {name for name in names[made.kind] if name not in text}
        yield NEAR, other_name(made, here, row.references, rng)
        yield "name", other_name(made, away or anywhere, row.references, rng)
