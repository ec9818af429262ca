"""The labelled set of the support check: true statements, and the same with one thing swapped.

Figures are also written anew in a passage and in a sentence of it or a statement about it, once the
same in any spelling and once another (`spelled`).

Each case is a sentence and the passage that it cites. English comes from squad2-noanswer and
xquad-en, Chinese from cmrc2018-dev and xquad-zh (mixed-folder and cmrc2018-noanswer hold the same
paragraphs again). Cases of one article lie in one half.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from roles import made, swapped_names
from spelled import KINDS, rewritten
from statements import Statement, bare_verbs, statement
from swaps import is_name, negated, other_figure, other_name

from ragkit.records import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETS = {"en": ("squad2-noanswer", "xquad-en"), "zh": ("cmrc2018-dev", "xquad-zh")}
TRUE, ELSEWHERE, NEAR = "true", "another passage", "name of the same passage"
SWAPS = ("number", "name", "negation")
ROLES = "roles"
SPELLED = (*KINDS, ROLES)
SAME = ", true"
"""Added to a kind of `SPELLED` for the true sentences of it."""

_SAMPLED = {"en": 1.0, "zh": 0.3}
"""Which share of the passages' sentences is written anew; there are many more Chinese ones."""
_SENTENCE = re.compile(r"[^.!?。！？\n]{15,250}(?:\.(?=\s|$)|[!?。！？])")


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
    cases = [c for name in SETS[language] for c in _cases(folder / name, language, rng)]
    return [*cases, *_roles(folder, language, rng)]


def _roles(folder: Path, language: str, rng: random.Random) -> Iterator[Case]:
    """Doer and object swapped: in made sentences, and around names in English passages."""
    for one in made(language, rng):
        case = Case("made", ROLES, one.false, passage(one.text), _half(one.text))
        yield case
        yield replace(case, kind=ROLES + SAME, said=one.true)
    for name in SETS[language] if language == "en" else ():
        for d in read(folder / name / "corpus.jsonl"):
            for said in swapped_names(d["text"]):
                yield Case(name, ROLES, said, passage(d["text"]), _half(article(d["_id"])))


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
    corpus = {
        d["_id"]: replace(passage(d["text"], d["title"]), doc_id=d["_id"])
        for d in read(folder / "corpus.jsonl")
    }
    rows = _rows(folder, language, [p.text for p in corpus.values()])
    names: dict[str, set[str]] = defaultdict(set)  # by kind, and by kind and article
    for row in rows:
        if is_name(row.statement.answer, row.statement.kind, language):
            names[row.statement.kind].add(row.statement.answer)
            names[row.statement.kind + row.article].add(row.statement.answer)
    for row in rows:
        cited = corpus[row.doc]
        half = _half(row.article)
        others = [d for d in corpus if d != row.doc]
        nearest = [d for d in others if article(d) == row.article] or others
        yield Case(folder.name, ELSEWHERE, row.statement.said, corpus[rng.choice(nearest)], half)
        for kind, said in _told(row, cited.text, names, language, rng):
            if said:
                yield Case(folder.name, kind, said, cited, half)
        yield from _anew(Case(folder.name, TRUE, row.statement.said, cited, half), language, rng)
    for cited in corpus.values():
        half = _half(article(cited.doc_id))
        for said in _sampled(cited.text, language, rng):
            yield from _anew(Case(folder.name, TRUE, said, cited, half), language, rng)


def _half(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0] % 2


def _sampled(text: str, language: str, rng: random.Random) -> list[str]:
    found = map(str.strip, _SENTENCE.findall(text))
    return [said for said in found if rng.random() < _SAMPLED[language]]


def _anew(case: Case, language: str, rng: random.Random) -> Iterator[Case]:
    """The case with its figures written anew, the same and another."""
    for anew in rewritten(case.said, case.passage.text, language, rng):
        cited = replace(case.passage, text=anew.text, end=len(anew.text))
        yield replace(case, kind=anew.kind, said=anew.false, passage=cited)
        yield replace(case, kind=anew.kind + SAME, said=anew.true, passage=cited)


def _rows(folder: Path, language: str, texts: list[str]) -> list[_Row]:
    verbs = bare_verbs(texts) if language == "en" else frozenset()
    rows = []
    for query in read(folder / "queries.jsonl"):
        references = tuple(query.get("answers") or ())
        told = statement(query["text"], references[0], language, verbs) if references else None
        if told:
            rows.append(_Row(told, references, query["metadata"]["evidence"][0]["doc"]))
    return rows


def _told(
    row: _Row, text: str, names: dict[str, set[str]], language: str, rng: random.Random
) -> Iterator[tuple[str, str | None]]:
    told = row.statement
    yield TRUE, told.said
    yield "number", other_figure(told.said, language, rng)
    yield "negation", negated(told.said, language, rng)
    if is_name(told.answer, told.kind, language):
        here = {name for name in names[told.kind + row.article] if name in text}
        away = {name for name in names[told.kind + row.article] if name not in text}
        anywhere = {name for name in names[told.kind] if name not in text}
        yield NEAR, other_name(told, here, row.references, rng)
        yield "name", other_name(told, away or anywhere, row.references, rng)
