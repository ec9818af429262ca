"""The floor: the shortest script that does the bare job with requests, orjson, NumPy and FAISS.

No structure, no index of words, no checks, no recovery: what ragkit takes beyond it they cost.

    python benchmarks/floor.py index FOLDER INDEX URL [--batch 32]
    python benchmarks/floor.py search INDEX URL QUESTION
    python benchmarks/floor.py ask INDEX URL QUESTION
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
import orjson
import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

MODEL, CHAT = "nomic-embed-text", "llama3.2"
IN_FLIGHT = 8  # more than the server's slots, as ragkit


def cut(folder: Path, size: int, stride: int) -> list[tuple[str, int, str]]:
    """Path, start and text of a window of `size` characters every `stride` of them."""
    found = []
    for file in sorted(folder.rglob("*.md")):
        text = file.read_text("utf-8")
        found += [(str(file), i, text[i : i + size]) for i in range(0, len(text), stride)]
    return found


def session() -> requests.Session:
    """A session that keeps a connection for every request in flight."""
    made = requests.Session()
    made.mount("http://", HTTPAdapter(pool_maxsize=IN_FLIGHT))
    return made


def embed(texts: Sequence[str], url: str, batch: int) -> Rows:
    """Unit rows, float32; one text a request where `batch` is 0."""
    http = session()

    def one(text: str) -> Rows:
        reply = http.post(f"{url}/api/embeddings", json={"model": MODEL, "prompt": text})
        return np.array([orjson.loads(reply.content)["embedding"]], np.float32)

    def many(part: Sequence[str]) -> Rows:
        reply = http.post(f"{url}/api/embed", json={"model": MODEL, "input": part})
        return np.array(orjson.loads(reply.content)["embeddings"], np.float32)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        if batch:
            parts = [texts[i : i + batch] for i in range(0, len(texts), batch)]
            rows = np.concatenate(list(pool.map(many, parts)))
        else:
            rows = np.concatenate(list(pool.map(one, texts)))
    unit: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def index(windows: Sequence[tuple[str, int, str]], where: Path, url: str, batch: int) -> None:
    """Embed and store."""
    rows = embed(["search_document: " + text for _, _, text in windows], url, batch)
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    where.mkdir(parents=True)
    faiss.write_index(flat, str(where / "rows.faiss"))
    catalog = sqlite3.connect(where / "texts.db")
    catalog.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, path, start, text)")
    catalog.executemany(
        "INSERT INTO texts VALUES (?, ?, ?, ?)",
        ((i, *window) for i, window in enumerate(windows)),
    )
    catalog.commit()
    catalog.close()


class Flat:
    """The stored rows and texts, loaded."""

    def __init__(self, where: Path) -> None:
        self._rows = faiss.read_index(str(where / "rows.faiss"))
        self._catalog = sqlite3.connect(where / "texts.db")

    def search(self, vector: Rows, k: int = 8) -> list[tuple[float, str, int, str]]:
        """Score, path, start and text of the nearest windows, best first."""
        scores, ids = self._rows.search(vector.reshape(1, -1), k)
        query = "SELECT path, start, text FROM texts WHERE id = ?"
        rows = [self._catalog.execute(query, (i,)).fetchone() for i in ids[0].tolist()]
        return [(score, *row) for score, row in zip(scores[0].tolist(), rows, strict=True)]


def answer(question: str, found: Sequence[tuple[float, str, int, str]], url: str) -> str:
    """What a chat model says to a question with the found texts before it."""
    said = "\n\n".join([*(text for *_, text in found), question])
    body = {"model": CHAT, "stream": False, "messages": [{"role": "user", "content": said}]}
    reply = session().post(f"{url}/api/chat", json=body)
    text: str = orjson.loads(reply.content)["message"]["content"]
    return text


def main() -> None:
    """Do one of these; the texts and seconds of the work alone are printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ingest = commands.add_parser("index")
    ingest.add_argument("folder", type=Path)
    ingest.add_argument("index", type=Path)
    ingest.add_argument("url")
    ingest.add_argument("--batch", type=int, default=0, help="texts a request; 0: /api/embeddings")
    ingest.add_argument("--size", type=int, default=1000, help="characters of a window")
    ingest.add_argument("--stride", type=int, default=1000)
    for name in ("search", "ask"):
        query = commands.add_parser(name)
        query.add_argument("index", type=Path)
        query.add_argument("url")
        query.add_argument("question")
    given = parser.parse_args()
    if given.command == "index":
        started = time.perf_counter()
        windows = cut(given.folder, given.size, given.stride)
        index(windows, given.index, given.url, given.batch)
        print(json.dumps({"chunks": len(windows), "seconds": time.perf_counter() - started}))
    else:
        vector = embed(["search_query: " + given.question], given.url, 0)[0]
        found = Flat(given.index).search(vector)
        if given.command == "ask":
            print(json.dumps(answer(given.question, found, given.url), ensure_ascii=False))
        else:
            print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
