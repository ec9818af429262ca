"""How well does `ragkit.answer.evidence` tell questions with an answer from those without?

Usage: ``python benchmarks/evidence.py EVAL_FOLDER [--seed 7]``. The folder holds the sets
``squad2-noanswer``, ``cmrc2018-noanswer`` and ``xquad-zh-to-en`` in the usual form
(``corpus.jsonl``, ``queries.jsonl``, ``qrels.tsv``). About 250 passages are embedded: minutes.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.answer.evidence import BEST, THRESHOLD, evidence
from ragkit.answer.terms import content_terms, share_covered
from ragkit.models.embedded import embedded_embedder
from ragkit.records import Hit

ARTICLES = ("Huguenot", "Yuan dynasty")


@dataclass
class Sample:
    """Questions by kind (``yes``: answerable; else why not) over a few passages."""

    name: str
    passages: dict[str, str]
    questions: dict[str, list[str]]
    rows: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def english(folder: Path, rng: random.Random) -> Sample:
    """Two articles of SQuAD 2.0: their questions, near misses, and questions of other articles."""
    corpus = [d for d in read(folder / "corpus.jsonl") if d["title"] in ARTICLES]
    passages = {d["_id"]: d["text"] for d in corpus}
    kinds: dict[str, list[str]] = {"yes": [], "near": [], "off": []}
    for query in read(folder / "queries.jsonl"):
        meta = query["metadata"]
        own = meta["source_doc"] in passages
        if own or meta["answerable"]:
            kind = "off" if not own else "yes" if meta["answerable"] else "near"
            kinds[kind].append(query["text"])
    return Sample("English", passages, {k: rng.sample(v, 50) for k, v in kinds.items()})


def chinese(folder: Path, rng: random.Random) -> Sample:
    """CMRC 2018 with paragraphs taken out; per question the two that share most terms."""
    corpus = {d["_id"]: d["text"] for d in read(folder / "corpus.jsonl")}
    terms = {i: set(content_terms(text)) for i, text in corpus.items()}
    kinds: dict[str, list[str]] = {"yes": [], "off": []}
    for query in read(folder / "queries.jsonl"):
        kinds["yes" if query["metadata"]["answerable"] else "off"].append(query["text"])
    questions = {k: rng.sample(v, 45) for k, v in kinds.items()}
    near: set[str] = set()
    for question in (q for qs in questions.values() for q in qs):
        asked = set(content_terms(question))
        near |= set(sorted(terms, key=lambda i, a=asked: -len(a & terms[i]))[:2])  # type: ignore[misc]  # a default binds the loop's value
    return Sample("Chinese", {i: corpus[i] for i in sorted(near)}, questions)


def across(folder: Path, rng: random.Random) -> Sample:
    """Chinese questions on eight English articles of XQuAD, and on the other articles."""
    corpus = {d["_id"]: d["text"] for d in read(folder / "corpus.jsonl")}
    articles = sorted({i.rsplit("-", 1)[0] for i in corpus})
    chosen = set(rng.sample(articles, 8))
    passages = {i: t for i, t in corpus.items() if i.rsplit("-", 1)[0] in chosen}
    rows = (line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:])
    gold = {row[0]: row[1] for row in rows}
    kinds: dict[str, list[str]] = {"yes": [], "off": []}
    for query in read(folder / "queries.jsonl"):
        kinds["yes" if gold[query["_id"]] in passages else "off"].append(query["text"])
    return Sample("Chinese on English", passages, {k: rng.sample(v, 40) for k, v in kinds.items()})


def measure(sample: Sample) -> None:
    """Fill in per question: best cosine, best share of terms, evidence."""
    embedder = embedded_embedder()
    ids = list(sample.passages)
    vectors = embedder.embed_documents([sample.passages[i] for i in ids])
    for kind, questions in sample.questions.items():
        for question in questions:
            cosines = vectors @ embedder.embed_query(question)
            best = [int(i) for i in np.argsort(-cosines)[:BEST]]
            hits = [
                hit(rank, float(cosines[i]), sample.passages[ids[i]])
                for rank, i in enumerate(best, start=1)
            ]
            asked = set(content_terms(question))
            share = max(share_covered(asked, set(content_terms(h.text))) for h in hits)
            row = (float(cosines[best[0]]), share, evidence(question, hits, embedder.name))
            sample.rows.setdefault(kind, []).append(row)


def hit(rank: int, score: float, text: str) -> Hit:
    """A hit of which only rank, score and text matter."""
    return Hit(rank, score, "c", "d", "/", "p", "", "txt", (), None, 0, len(text), text, "")


def auc(yes: list[float], no: list[float]) -> float:
    """Chance that a question with an answer scores above one without; ties count half."""
    a, b = np.array(yes)[:, None], np.array(no)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def main() -> None:
    """Measure the three samples and print one line for each kind without an answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    rng = random.Random(args.seed)  # noqa: S311 -- a sample, no secret
    samples = (
        english(args.folder / "squad2-noanswer", rng),
        chinese(args.folder / "cmrc2018-noanswer", rng),
        across(args.folder / "xquad-zh-to-en", rng),
    )
    print("sample | without an answer | AUC cosine, words, evidence | kept | refused")
    for sample in samples:
        measure(sample)
        yes = sample.rows["yes"]
        kept = np.mean([row[2] >= THRESHOLD for row in yes])
        for kind in (k for k in sample.rows if k != "yes"):
            no = sample.rows[kind]
            areas = [auc([r[i] for r in yes], [r[i] for r in no]) for i in range(3)]
            refused = np.mean([row[2] < THRESHOLD for row in no])
            shown = ", ".join(f"{a:.3f}" for a in areas)
            print(f"{sample.name} | {kind} | {shown} | {kept:.2f} | {refused:.2f}")


if __name__ == "__main__":
    main()
