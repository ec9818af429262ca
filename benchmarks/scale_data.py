"""What `scale.py` fills an index with: documents, their vectors, questions, and exact answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from corpus import Words, english_words

from ragkit.records import Chunk, Document, make_chunk_id, make_doc_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ragkit.protocols import Vectors

SEED = 20261128
DIM = 768
CHUNKS_A_DOCUMENT, CHUNK_CHARS = 40, 694
OWN_WORDS, OWN_SHARE = 40, 0.12  # of a document: how many, and their share of its words
WORDS_A_CHUNK = 130  # more than a chunk takes
FAMILIES = ("decaying", "uneven", "isotropic")
UNEVEN_DIMS, UNEVEN_SHARE = 32, 0.35
WARMING, TIMED, NOISE, K = 50, 100, 0.75, 10
QUESTIONS = WARMING + TIMED
LATE_SHARE = 0.01  # of the documents, which come in a run of their own
QUESTION_WORDS = 9


@dataclass(frozen=True)
class Batch:
    """Documents that are committed together: each with its chunks and their cache keys.

    ``vectors`` are those of all chunks, ``last`` is the number of the document that follows.
    """

    documents: list[tuple[Document, list[Chunk], list[bytes]]]
    vectors: Vectors
    last: int

    @property
    def keys(self) -> list[list[bytes]]:
        """The cache keys of each document's chunks."""
        return [keys for _, _, keys in self.documents]


def early_documents(chunks: int, at_once: int) -> int:
    """How many documents come in a first run: all but about 1 %, in whole batches."""
    count = chunks // CHUNKS_A_DOCUMENT
    return count - at_once * max(1, round(count * LATE_SHARE / at_once))


def documents(
    family: str, chunks: int, at_once: int, *, seed: int = SEED + 1, name: str = ""
) -> Iterator[Batch]:
    """Documents in order: 100 folders and kinds take turns, so that each has 1 % of them."""
    count = chunks // CHUNKS_A_DOCUMENT
    vectors = made(family, chunks, seed, at_once * CHUNKS_A_DOCUMENT)
    for start in range(0, count, at_once):
        numbers = range(start, min(start + at_once, count))
        parts = [_document(number, name) for number in numbers]
        yield Batch(parts, next(vectors), numbers.stop)


def _document(number: int, name: str) -> tuple[Document, list[Chunk], list[bytes]]:
    texts = chunk_texts(number, name)
    titles = [" ".join(text.split()[3:6]) for text in texts[::8]]
    path = f"{number % 100:02d}/{name}{number:06d}.md"
    doc_id, root = make_doc_id("/made", path), "/made"
    chunks, start = [], 0
    for i, text in enumerate(texts):
        end = start + len(text)
        chunk_id = make_chunk_id(doc_id, start, end, text)
        chunks.append(
            Chunk(chunk_id, doc_id, i, start, end, text, heading=(titles[i // 8],), tokens=170)
        )
        start = end + 1
    body = "\n".join(texts)
    document = Document(
        doc_id, root, path, title=path, kind="csv" if number % 100 == 50 else "md", text=body,
        size_bytes=len(body), mtime_ns=number,
        file_sha256=hashlib.sha256(body.encode()).hexdigest(),
    )  # fmt: skip
    return document, chunks, [hashlib.sha256(text.encode()).digest() for text in texts]


@cache
def _words() -> Words:
    return english_words()


def chunk_texts(number: int, name: str = "") -> list[str]:
    """The texts of a document's chunks; each begins with its number among all."""
    rng = np.random.default_rng([SEED, number, len(name)])
    words = _words()
    own = Words.zipf([words.words[i] for i in rng.integers(200, len(words.words), OWN_WORDS)])
    size = CHUNKS_A_DOCUMENT * WORDS_A_CHUNK
    common, rare = words.draw(rng, size), own.draw(rng, size)
    chosen = (rng.random(size) < OWN_SHARE).tolist()
    drawn = [o if c else w for w, o, c in zip(common, rare, chosen, strict=True)]
    texts = []
    for i in range(CHUNKS_A_DOCUMENT):
        text = " ".join(drawn[i * WORDS_A_CHUNK : (i + 1) * WORDS_A_CHUNK])
        texts.append(f"{name}{number * CHUNKS_A_DOCUMENT + i} {text}"[:CHUNK_CHARS])
    return texts


def searched(text: str) -> int:
    """The number of a chunk among all; -1 for one of another kind."""
    first = text.split(" ", 1)[0]
    return int(first) if first.isdigit() else -1


def questions(chunks: int, count: int) -> list[str]:
    """Words that stand side by side in a chunk, of one document each."""
    rng = np.random.default_rng(SEED + 4)
    found = []
    for number in rng.integers(chunks // CHUNKS_A_DOCUMENT, size=count).tolist():
        words = chunk_texts(number)[int(rng.integers(CHUNKS_A_DOCUMENT))].split()[1:-1]
        start = int(rng.integers(len(words) - QUESTION_WORDS))
        found.append(" ".join(words[start : start + QUESTION_WORDS]))
    return found


def spectrum(family: str) -> Vectors:
    """The standard deviation of each dimension: float32, shape (DIM,)."""
    place = np.arange(DIM)
    variance = {
        "decaying": 1 / (1 + place),
        "uneven": np.where(
            place < UNEVEN_DIMS,
            UNEVEN_SHARE / UNEVEN_DIMS,
            (1 - UNEVEN_SHARE) / (DIM - UNEVEN_DIMS),
        ),
        "isotropic": np.ones(DIM),
    }[family]
    scale: Vectors = np.sqrt(variance / variance.sum()).astype(np.float32)
    return scale


def made(family: str, rows: int, seed: int, batch: int) -> Iterator[Vectors]:
    """Unit rows in batches, float32 (n, DIM); those of decaying spectrum on a random basis."""
    random = np.random.Generator(np.random.PCG64(seed))
    scale = spectrum(family)
    if family == "decaying":
        basis = np.random.Generator(np.random.PCG64(SEED)).standard_normal((DIM, DIM))
        transform = scale[:, None] * np.linalg.qr(basis)[0].astype(np.float32)
    for start in range(0, rows, batch):
        drawn = random.standard_normal((min(batch, rows - start), DIM), np.float32)
        yield unit(drawn @ transform if family == "decaying" else drawn * scale)


def unit(rows: Vectors) -> Vectors:
    """The rows, scaled to length 1."""
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


class Truth:
    """What an exact search over the rows answers, gathered as they are made.

    Args:
        family: Of the rows.
        chunks: How many rows there will be.
        early: How many documents the first run has.
    """

    def __init__(self, family: str, chunks: int, early: int) -> None:
        near = next(made(family, QUESTIONS, SEED + 1, QUESTIONS))  # the first rows
        self.queries = unit(near + NOISE * next(made(family, QUESTIONS, SEED + 2, QUESTIONS)))
        self.texts = questions(chunks, QUESTIONS)
        self._early = early
        self._rows = 0
        none = np.full((QUESTIONS, K), -np.inf, np.float32)
        self._best: dict[str, Any] = {
            name: (none, np.full((QUESTIONS, K), -1))
            for name in ("", "path", "kind", "as_of", "removed")
        }

    def add(self, rows: Vectors) -> None:
        """Take notice of the next rows."""
        numbers = np.arange(self._rows, self._rows + len(rows))
        document = numbers // CHUNKS_A_DOCUMENT
        scores = self.queries @ rows.astype(np.float16).astype(np.float32).T
        allowed = {
            "": document >= 0,
            "path": document % 100 == 7,
            "kind": document % 100 == 50,
            "as_of": document < self._early,
            "removed": document % 10 != 3,
        }
        for name, (before, best) in self._best.items():
            chosen = np.flatnonzero(allowed[name])
            merged = np.hstack([before, scores[:, chosen]])
            names = np.hstack([best, np.broadcast_to(numbers[chosen], (QUESTIONS, len(chosen)))])
            order = np.argpartition(-merged, K - 1, axis=1)[:, :K]
            self._best[name] = tuple(np.take_along_axis(a, order, axis=1) for a in (merged, names))
        self._rows += len(rows)

    def save(self, file: Path) -> None:
        """Write the questions and, for each restriction, the numbers of the best rows."""
        found = {f"best {name}": best for name, (_, best) in self._best.items()}
        np.savez(file, queries=self.queries, texts=np.array(self.texts), **found)
