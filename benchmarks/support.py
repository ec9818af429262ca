"""How often is a statement judged supported by what says it, and by what does not?

Usage: ``python benchmarks/support.py EVAL_FOLDER``. The folder holds ``xquad-en``, ``xquad-zh``
and ``scifact-train`` in the usual form. No model is needed. Prints the share of statements that
`ragkit.answer.support.check_sentence` calls quoted or supported, for the threshold in force.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.answer.support import MIN_COVERED, check_sentence
from ragkit.records import Passage
from ragkit.text import sentences

if TYPE_CHECKING:
    from collections.abc import Callable

Pair = tuple[str, str]
SEED = 1
STATEMENTS, SENTENCES = 400, 200


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def report(name: str, pairs: list[Pair]) -> None:
    """Print the share of statements that their text is found to support."""
    held = sum(
        check_sentence(said, [passage(text)]).status in ("quoted", "supported")
        for said, text in pairs
    )
    print(f"{name:55} {held / len(pairs):.3f}  of {len(pairs)}")


def passage(text: str) -> Passage:
    """A passage of which only the text matters."""
    return Passage(1, "d", "/", "p", "", (), None, 0, len(text), text, "", None, ("c",), 0)


def changed(pairs: list[Pair], change: Callable[[str], str]) -> list[Pair]:
    """Apply a change to each statement and keep those that it changes."""
    return [(change(said), text) for said, text in pairs if change(said) != said]


def scifact(folder: Path, rng: random.Random) -> None:
    """Claims of experts, labelled as supported or contradicted by an abstract."""
    corpus = {d["_id"]: d["text"] for d in read(folder / "corpus.jsonl")}
    labelled = {
        (query["text"], item["doc"], item["label"])
        for query in read(folder / "queries.jsonl")
        for item in query["metadata"]["evidence"]
    }
    ids = sorted(corpus)
    for label in ("SUPPORT", "CONTRADICT"):
        pairs = [(said, corpus[doc]) for said, doc, found in sorted(labelled) if found == label]
        report(f"SciFact, {label}", pairs)
        if label == "SUPPORT":
            report("SciFact, another abstract", [(s, corpus[rng.choice(ids)]) for s, _ in pairs])


def xquad(folder: Path, language: str, rng: random.Random) -> None:
    """Statements made of a question and its answer, and sentences of the paragraphs."""
    corpus = {d["_id"]: d["text"] for d in read(folder / "corpus.jsonl")}
    queries = rng.sample(read(folder / "queries.jsonl"), STATEMENTS)
    gold: list[Pair] = []
    other: list[Pair] = []
    whole: list[Pair] = []
    for query in queries:
        place = query["metadata"]["evidence"][0]
        text = corpus[place["doc"]]
        said = re.sub(r"[?？]", "", query["text"]) + " " + query["answers"][0]
        article = place["doc"].rsplit("-", 1)[0]
        others = [t for i, t in corpus.items() if i.rsplit("-", 1)[0] == article and t != text]
        gold.append((said, text))
        other.append((said, rng.choice(others)))
        whole += [(text[a:b], text) for a, b in sentences(text) if a <= place["start"] < b]
    short = changed(whole[:SENTENCES], lambda s: shortened(s, language, rng))
    report(f"{language}, gold paragraph", gold)
    report(f"{language}, other paragraph of the article", other)
    report(f"{language}, figures changed", changed(gold, with_other_figures))
    report(f"{language}, sentence with words left out", short)
    report(f"{language}, the same negated", changed(short, negation_for(language)))


def with_other_figures(said: str) -> str:
    """Add one to every figure."""
    return re.sub(r"\d+", lambda m: str(int(m[0]) + 1), said)


def shortened(said: str, language: str, rng: random.Random) -> str:
    """Leave out one English word, or Chinese clause, in four."""
    parts = said.split() if language == "en" else re.split("(?<=，)", said)
    kept = [part for part in parts if rng.random() > 0.25]
    return (" " if language == "en" else "").join(kept or parts)


def negation_for(language: str) -> Callable[[str], str]:
    """A function that negates the first verb that it knows."""
    verb = re.compile(
        r"\b(is|was|were|are|can|will|had|has)\b" if language == "en" else "(?<!不)(是)"
    )
    put = r"\1 not" if language == "en" else r"不\1"
    return lambda said: verb.sub(put, said, count=1)


def main() -> None:
    """Measure all sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    rng = random.Random(SEED)  # noqa: S311 -- a sample, no secret
    print(f"share supported at {MIN_COVERED}")
    scifact(folder / "scifact-train", rng)
    for language in ("en", "zh"):
        xquad(folder / f"xquad-{language}", language, rng)


if __name__ == "__main__":
    main()
