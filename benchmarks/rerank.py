"""Does a chat model that grades what hybrid search found put it in a better order?

    python benchmarks/rerank.py EVAL --chat gguf:MODEL.gguf [--count 12] [--sets NAME ...]

EVAL holds the question sets as for ``quality.py``, whose work folder serves both. On each set the
same few questions are searched without and with reranking. Results go to
``benchmarks/results/rerank-DATE.json``, which ``quality.py`` shows on its page.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import HERE
from quality import BASE, WORK, parts, sets_in, where_measured

from ragkit.config import Config
from ragkit.evaluate import differences, evaluate, opened, read_questions

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 5
"""How many hits are graded: a small model takes two seconds for each."""

SEED = 7


def rows_of(source: Path, work: Path, chat: str, count: int) -> Iterator[dict[str, Any]]:
    """One row for each part of a set: nDCG@10 without and with reranking, and how they differ."""
    asked = read_questions(source, work / source.name)
    for part in parts(asked):
        judged = [q for q in part.questions if q.relevant]
        chosen = random.Random(SEED).sample(judged, min(count, len(judged)))  # noqa: S311 -- no secret
        sample = replace(part, questions=tuple(chosen))
        trials = []
        for depth in (0, DEPTH):
            values = BASE | {"models.chat": chat, "search.rerank": depth}
            with opened(asked, Config().with_values(values), work) as rag:
                trials.append(evaluate(sample, rag))
        change = asdict(differences(*trials)["nDCG@10"])
        print(f"{part.name}: {change}", file=sys.stderr, flush=True)
        yield {"set": part.name, "nDCG@10": change}


def main() -> int:
    """Measure the sets; the file is written after each, and sets of the same day stay in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the sets")
    parser.add_argument("--chat", required=True, help="the chat model, as `models.chat` names it")
    parser.add_argument("--count", type=int, default=12, help="questions of each set")
    parser.add_argument("--sets", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--work", type=Path, default=WORK, help="where indexes and vectors are")
    given = parser.parse_args()
    model = Path(given.chat).name
    command = f"python benchmarks/rerank.py EVAL --chat {model} --count {given.count}"
    where = where_measured(command) | {"chat": model, "depth": DEPTH, "seed": SEED}
    file = HERE / "results" / f"rerank-{where['date'][:10]}.json"
    rows: list[dict[str, Any]] = (
        json.loads(file.read_text("utf-8"))["rows"] if file.exists() else []
    )
    for source in sets_in(given.folder):
        if not given.sets or source.name in given.sets:
            new = list(rows_of(source, given.work, given.chat, given.count))
            names = {row["set"] for row in new}
            rows = [row for row in rows if row["set"] not in names] + new
            file.write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n", "utf-8")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
