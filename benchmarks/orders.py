"""Which sentences of ordinary documents are taken for orders to a model?

    python benchmarks/orders.py FOLDER...

Reads all that is text below the folders (``.md .rst .txt .html``, ``METADATA``, and the ``text`` of
each line of a ``corpus.jsonl``) and prints every sentence that `ragkit.text.injection` finds, then
how much was read. Each is a mistake, or a document about such attacks: look.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.text.injection import find_injections
from ragkit.text.scripts import is_cjk

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDINGS = {".md", ".rst", ".txt", ".html"}
LARGEST = 2_000_000  # bytes; larger ones are lists of data


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """The texts below a folder, each with its file."""
    for path in sorted(folder.rglob("*")):
        if path.name == "corpus.jsonl":
            for line in path.read_text("utf-8").strip().split("\n"):
                yield path, json.loads(line)["text"]
        elif _is_read(path) and path.stat().st_size < LARGEST:
            yield path, path.read_text("utf-8", "replace")


def _is_read(path: Path) -> bool:
    return path.is_file() and (path.suffix in ENDINGS or path.name == "METADATA")


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=Path)
    count = size = cjk = found = 0
    for folder in parser.parse_args().folders:
        for path, text in texts(folder):
            count, size, cjk = count + 1, size + len(text), cjk + sum(map(is_cjk, text))
            for start, end in find_injections(text):
                found += 1
                print(f"{path}: {text[start:end]}")
    print(f"{found} sentences in {count} texts, {size:,} characters, {cjk:,} of them CJK")


if __name__ == "__main__":
    main()
