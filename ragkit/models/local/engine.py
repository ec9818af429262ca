"""What embedders that run in this process have in common."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import ModelNotFoundError
from ragkit.extras import install_command
from ragkit.models.vectors import average, embedding_failure, flaws, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ragkit.protocols import Vectors

# Characters a call into the model, about a second of work on one core, since Ctrl-C waits for the
# call at hand. Larger calls were measured to gain nothing.
_CALL_CHARS = 2_000
# A text of more characters a token than any vocabulary holds is not worth counting.
_CHARS_PER_TOKEN = 16
_END_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Engine:
    """A model ready to embed.

    ``encode`` takes texts, at least one, each of which fits, and returns float32 of shape
    (len(texts), dim). ``count`` returns a text's tokens; up to ``limit`` fit.
    """

    model: str
    dim: int
    limit: int
    count: Callable[[str], int]
    encode: Callable[[Sequence[str]], Vectors]

    def fits(self, text: str) -> bool:
        """True for a text that the model reads whole."""
        return len(text) <= _CHARS_PER_TOKEN * self.limit and self.count(text) <= self.limit


def embed(engine: Engine, texts: Sequence[str]) -> Vectors:
    """Embed texts, over-long ones in parts whose directions are averaged by length.

    Returns:
        float32, shape (len(texts), engine.dim), unit rows, in order.

    Raises:
        EmbeddingFailedError: A text is blank, holds a lone surrogate, or got no usable vector;
            the others' vectors come with it.
    """
    failed = {i: reason for i, text in enumerate(texts) if (reason := _unreadable(text))}
    parts = [[] if i in failed else pieces(text, engine.fits) for i, text in enumerate(texts)]
    rows = _encode(engine, [part for of_text in parts for part in of_text])
    ends = list(accumulate(map(len, parts)))
    vectors = np.zeros((len(texts), engine.dim), np.float32)
    for i, (of_text, end) in enumerate(zip(parts, ends, strict=True)):
        if of_text:
            own = list(rows[end - len(of_text) : end])
            vectors[i] = average(own, [len(part) for part in of_text])
    failed = flaws(vectors) | failed
    if failed:
        vectors[list(failed)] = 0
        raise embedding_failure(engine.model, failed, vectors)
    return vectors


def package_folder(package: str, distribution: str) -> Path:
    """Find an installed package without importing it.

    Raises:
        ModelNotFoundError: It is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        msg = f"the package {distribution} is not installed; try: {install_command('embedded')}"
        raise ModelNotFoundError(msg, distribution)
    return Path(spec.origin).parent


def package_digest(distribution: str, weights: Path) -> str:
    """Identify the weights that a package carries, in a millisecond.

    Returns:
        64 hex digits: SHA-256 of the distribution's name and version, the file's size, and its
        first and last 64 KiB. (Reading all of it would cost each start 50 ms or more.)
    """
    digest = hashlib.sha256(f"{distribution} {importlib.metadata.version(distribution)}".encode())
    with weights.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES))
        digest.update(file.read())
    digest.update(size.to_bytes(8, "little"))
    return digest.hexdigest()


def _unreadable(text: str) -> str | None:
    """Why a text cannot be embedded, or None."""
    if not text.strip():
        return "the text is empty"
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        return f"the text holds a lone surrogate at position {exc.start}"
    return None


def _encode(engine: Engine, parts: Sequence[str]) -> Vectors:
    """Embed parts in calls of bounded size; float32, shape (len(parts), dim)."""
    done = [engine.encode(call) for call in _calls(parts)]
    return np.concatenate(done) if done else np.zeros((0, engine.dim), np.float32)


def _calls(parts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = size = 0
    for i, part in enumerate(parts):
        if i > start and size + len(part) > _CALL_CHARS:
            yield parts[start:i]
            start, size = i, 0
        size += len(part)
    if start < len(parts):
        yield parts[start:]
