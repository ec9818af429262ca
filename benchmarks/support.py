"""How often is a statement judged supported by what says it, and by what does not?

Usage: ``python benchmarks/support.py EVAL_FOLDER [--write]``. The folder holds the sets that
`labelled` names, and ``scifact-train``. No model is needed; it takes a minute. Verbatim sentences
are left out. Thresholds are chosen on the first half of the articles, the second is reported.
``--write`` keeps them in ``results/support-DATE.json`` and ``SUPPORT.md``.

Precision is stated as if supported and unsupported sentences were equally many and each kind of
swap were a third of the latter, since the sets hold them in other numbers.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from labelled import (
    ELSEWHERE,
    NEAR,
    SAME,
    SETS,
    SPELLED,
    SWAPS,
    TRUE,
    Case,
    labelled,
    passage,
    read,
)

from ragkit._version import __version__
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.bounds import bounded_otherwise
from ragkit.query.proof.edits import edited
from ragkit.query.proof.entities import names_missing
from ragkit.query.proof.limits import oversteps
from ragkit.query.proof.listed import items_missing
from ragkit.query.proof.negation import has_opposite, opposed
from ragkit.query.proof.numbers import compared_terms, figures_missing
from ragkit.query.proof.opposites import excludes
from ragkit.query.proof.places import CitedPassage
from ragkit.query.proof.quotation import verbatim_span
from ragkit.query.proof.relations import turned_round
from ragkit.query.proof.roles import roles_swapped
from ragkit.query.proof.scales import measured_otherwise
from ragkit.query.proof.support import MIN_COVERED, check_sentence
from ragkit.text.words import share_covered

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
SEED = 1
IN_FORCE = {"en": MIN_COVERED["alphabet"], "zh": MIN_COVERED["cjk"]}
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KINDS: tuple[str, ...] = (TRUE, *SWAPS, NEAR, ELSEWHERE)
NAMES = {"en": "English", "zh": "Chinese"}

Scores = dict[str, list[float]]
"""Scores of the sentences by kind; 0 where the check found a contradiction or a gap."""


def scored(cases: Iterable[Case]) -> Scores:
    """Score each sentence against the passage that it cites, those quoted word for word apart."""
    scores: Scores = {}
    for case in cases:
        support = check_sentence(case.said, [CitedPassage(case.passage)])
        if support.status != "quoted":
            scores.setdefault(case.kind, []).append(support.score)
    return scores


def share(scores: list[float], threshold: float) -> float:
    """The share of scores at or above a threshold."""
    return sum(s >= threshold for s in scores) / len(scores)


def row(scores: Scores, threshold: float) -> dict[str, float]:
    """Recall, precision over balanced classes, and the share judged supported of each kind."""
    shares = {kind: share(scores[kind], threshold) for kind in KINDS}
    wrong = mean(shares[kind] for kind in SWAPS)
    recall = shares[TRUE]
    return {
        "threshold": threshold,
        "precision": recall / (recall + wrong) if recall else 0.0,
        "recall": recall,
        **{kind: shares[kind] for kind in KINDS[1:]},
    }


def anew(scores: Scores, least: float) -> dict[str, dict[str, float]]:
    """For each way of writing figures anew: how many, and the share judged supported."""
    return {
        kind: {
            "false": len(scores[kind]),
            "false supported": share(scores[kind], least),
            "true": len(scores[kind + SAME]),
            "true supported": share(scores[kind + SAME], least),
        }
        for kind in SPELLED
        if scores.get(kind) and scores.get(kind + SAME)
    }


RULES = {
    "figures": figures_missing,
    "names": names_missing,
    "opposites": has_opposite,
    "negations and opposites": opposed,
    "roles": roles_swapped,
    "exclusive words": excludes,
    "scales": measured_otherwise,
    "bounds": bounded_otherwise,
    "limits": oversteps,
    "edits": edited,
    "turned round": turned_round,
    "lists": items_missing,
}


ALONE = "opposites alone"
_OPPOSITES = ("opposites", "negations and opposites", ALONE)


def alarms(cases: Iterable[Case], least: float) -> dict[str, float]:
    """The share of true statements that each rule calls unsupported, by the place they cite.

    `ALONE` are those that would be supported, with `least` covered, if no opposite were looked for.
    """
    found: dict[str, list[bool]] = {rule: [] for rule in (*RULES, ALONE)}
    for case in cases:
        said = AnalysedText(case.said)
        place = CitedPassage(case.passage).find(said)
        held = AnalysedText(case.passage.text[place.start : place.end])
        for rule, speaks in RULES.items():
            found[rule].append(speaks(said, held))
        others = (hits[-1] for rule, hits in found.items() if hits and rule not in _OPPOSITES)
        found[ALONE].append(
            found["negations and opposites"][-1]
            and not any(others)
            and not verbatim_span(said, held)
            and share_covered(compared_terms(said), compared_terms(held)) >= least
        )
    return {rule: mean(hits) for rule, hits in found.items()}


def measured(folder: Path, language: str) -> dict[str, Any]:
    """Measure one language: counts and a row for each threshold, of either half."""
    cases = labelled(folder, language, SEED)
    halves = [scored(c for c in cases if c.half == half) for half in (0, 1)]
    return {
        "sentences": [{kind: len(half[kind]) for kind in KINDS} for half in halves],
        "chosen on": [row(halves[0], t) for t in THRESHOLDS],
        "reported": [row(halves[1], t) for t in THRESHOLDS],
        "written anew": anew(halves[1], IN_FORCE[language]),
        "alarms": alarms((c for c in cases if c.half and c.kind == TRUE), IN_FORCE[language]),
        "sets": {
            name: row(scored(c for c in cases if c.half and c.source == name), IN_FORCE[language])
            for name in SETS[language]
        },
    }


def scifact(folder: Path) -> dict[str, float]:
    """Expert claims that an abstract supports or contradicts: share judged supported."""
    corpus = {d["_id"]: d for d in read(folder / "corpus.jsonl")}
    scores: Scores = {}
    for query in read(folder / "queries.jsonl"):
        for label, doc in sorted({(e["label"], e["doc"]) for e in query["metadata"]["evidence"]}):
            cited = CitedPassage(passage(corpus[doc]["text"], corpus[doc]["title"]))
            scores.setdefault(label, []).append(check_sentence(query["text"], [cited]).score)
    return {label: share(found, IN_FORCE["en"]) for label, found in scores.items()}


def as_markdown(results: dict[str, Any]) -> str:
    """Write the results as a page."""
    lines = [
        "# The support check, measured",
        "",
        f"`python benchmarks/support.py EVAL_FOLDER --write`, {results['date']}, ragkit "
        f"{results['ragkit']}, seed {SEED}. The script says how sentences are made and counted.",
        f"The threshold in force is {IN_FORCE['en']} in English and {IN_FORCE['zh']} in Chinese.",
    ]
    for language, found in results["languages"].items():
        for half, title in enumerate(("chosen on", "reported")):
            counts = found["sentences"][half]
            lines += ["", f"## {NAMES[language]}, the half that is {title}", ""]
            lines += [", ".join(f"{n} {kind}" for kind, n in counts.items()) + ".", ""]
            columns = list(found[title][0])
            lines += ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
            for figures in found[title]:
                lines.append("| " + " | ".join(f"{figures[c]:.3f}" for c in columns) + " |")
    lines += _rules(results["languages"])
    lines += ["", "## Set by set, the half that is reported, at the threshold in force", ""]
    lines += ["| set | precision | recall |", "| --- | --- | --- |"]
    for found in results["languages"].values():
        for name, figures in found["sets"].items():
            lines.append(f"| {name} | {figures['precision']:.3f} | {figures['recall']:.3f} |")
    claims = results["SciFact"]
    lines += ["", "## Claims of experts (SciFact)", ""]
    lines += [f"{label}: {found:.3f} judged supported." for label, found in claims.items()]
    return "\n".join(lines) + "\n"


def _rules(languages: dict[str, Any]) -> list[str]:
    """Write what was measured rule by rule."""
    lines = [
        "",
        "## Figures written anew, the half that is reported, at the threshold in force",
        "",
    ]
    lines += [
        "One figure of a passage is replaced by a random one, in any spelling; a sentence of the",
        "passage, or a statement about it, says the same or another. Each is spelled by num2words",
        "or cn2an, which the checker does not use. Roles are sentences of two people and an act,",
        "in a passage of other words, and English ones with a name on either side of a verb.",
        "",
    ]
    lines += ["| | false | judged supported | true | judged supported |"]
    lines += ["| --- |" + " ---: |" * 4]
    for language, found in languages.items():
        for kind, figures in found["written anew"].items():
            cells = [f"{v:.3f}" if "supported" in k else str(v) for k, v in figures.items()]
            lines.append(f"| {NAMES[language]}, {kind} | " + " | ".join(cells) + " |")
    lines += ["", "## What each rule calls unsupported of the true statements, reported half", ""]
    lines += ["`opposites alone`: what would be supported if no opposite were looked for.", ""]
    columns = (*RULES, ALONE)
    lines += ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for language, found in languages.items():
        shares = [f"{found['alarms'][rule]:.3f}" for rule in columns]
        lines.append(f"| {NAMES[language]} | " + " | ".join(shares) + " |")
    return lines


def main() -> None:
    """Measure all sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    now = datetime.now(UTC)
    results = {
        "date": f"{now:%Y-%m-%d}",
        "ragkit": __version__,
        "python": platform.python_version(),
        "seed": SEED,
        "threshold": IN_FORCE,
        "languages": {language: measured(given.folder, language) for language in SETS},
        "SciFact": scifact(given.folder / "scifact-train"),
    }
    page = as_markdown(results)
    print(page)
    if given.write:
        (HERE / "SUPPORT.md").write_text(page, "utf-8")
        path = HERE / "results" / f"support-{results['date']}.json"
        path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
