"""Arithmetic of vectors, and what embedders do with texts that are too long for their models."""

from __future__ import annotations

import struct
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import EmbeddingFailedError
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ragkit.protocols import Vectors

# Where a text may be cut, best first: after a paragraph, a line, a sentence, a clause, a word.
# Not `ragkit.text.sentences`: a sentence is one of five levels here, and another cut would give a
# long text another vector than an index keeps for it under the same model.
_BOUNDARIES = tuple(
    late_pattern(pattern)
    for pattern in (
        r"\n\s*\n",
        r"\n",
        r"[。！？…]+[”’」』）]*|[.!?]+[\"')\]]*\s+",
        r"[，；：、]|[,;:]\s+",
        r"\s+",
    )
)
# A cut lies between these parts of the text, so that halving always gets somewhere.
_EARLIEST, _LATEST = 0.3, 0.7
_SHORTEST = 2
_VECTOR, _MATRIX = 1, 2


def flaws(vectors: Vectors) -> dict[int, str]:
    """Find rows that are no direction.

    Args:
        vectors: float32, shape (n, dim).

    Returns:
        Row to reason, for rows that are not finite or are zero.
    """
    found = dict.fromkeys(_rows(~vectors.any(axis=1)), "the model gave a zero vector")
    infinite = _rows(~np.isfinite(vectors).all(axis=1))
    return found | dict.fromkeys(infinite, "the model gave a vector that is not finite")


def to_row(values: Any) -> Vectors:  # noqa: ANN401 -- what a server sent
    """Turn the numbers of a reply into a vector, float32.

    A value beyond float32 becomes infinite, and is found by `flaws`; None becomes NaN. What is no
    list of numbers gives another shape.

    Raises:
        ValueError, TypeError: It can be no vector.
    """
    try:  # a third of NumPy's time, which looks at each number twice
        return np.frombuffer(struct.pack(f"{len(values)}f", *values), np.float32)
    except (struct.error, OverflowError, TypeError):
        with np.errstate(over="ignore"):
            return np.array(values, np.float32)


def unit_rows(vectors: Vectors) -> Vectors:
    """Scale every row to unit length.

    Args:
        vectors: float32, shape (n, dim), finite; left as it is.

    Returns:
        float32, same shape. A zero row stays zero.
    """
    # In double precision: squares of large float32 values overflow, of small ones vanish.
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    rows: Vectors = (wide / lengths).astype(np.float32)
    return rows


def average(vectors: Sequence[Vectors], weights: Sequence[float]) -> Vectors:
    """The direction of several parts of one text.

    Args:
        vectors: One a part, float32, shape (dim,), of any norm; each counts by its direction.
        weights: One a part, above zero; for texts, their lengths.

    Returns:
        float32, shape (dim,), unit length; zero where the parts cancel out.
    """
    total = np.asarray(weights, np.float64) @ unit_rows(np.stack(vectors))
    direction: Vectors = unit_rows(total[None, :].astype(np.float32))[0]
    return direction


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> Vectors:
    """The cosine of the angle between vectors: 1 the same direction, 0 none in common, -1 opposite.

    Their lengths do not matter. Computed in double precision.

    Args:
        a: Shape (dim,), or (n, dim) for n vectors.
        b: Shape (dim,), or (m, dim) for m vectors.

    Returns:
        float32 in [-1, 1]: shape () for two vectors, (n,) or (m,) for a vector and a matrix,
        (n, m) for two matrices, where row i holds the similarities of ``a[i]``.

    Raises:
        ValueError: The dimensions differ, a vector is zero or not finite, or an argument is
            neither a vector nor a matrix.

    >>> float(cosine_similarity([3.0, 4.0], [6.0, 8.0]))
    1.0
    >>> cosine_similarity([[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0]]).tolist()
    [[0.0], [1.0]]
    """
    one, other = _directions(a, "a"), _directions(b, "b")
    if one.shape[-1] != other.shape[-1]:
        msg = f"a has {one.shape[-1]} dimensions, b has {other.shape[-1]}"
        raise ValueError(msg)
    cosines: Vectors = np.asarray(np.clip(one @ other.T, -1, 1), np.float32)
    return cosines


def embedding_failure(
    model: str, failed: Mapping[int, str], vectors: Vectors
) -> EmbeddingFailedError:
    """The error for texts that a model could not embed.

    Args:
        model: Its name.
        failed: Position to reason, at least one.
        vectors: float32, shape (n_texts, dim); rows that failed are zero.
    """
    position, reason = min(failed.items())
    msg = (
        f"{model} could not embed {len(failed)} of {len(vectors)} texts; text {position}: {reason}"
    )
    return EmbeddingFailedError(msg, model, failed=failed, vectors=vectors)


def halve(text: str) -> tuple[str, str]:
    """Cut a text in two near its middle, at the best boundary there.

    Returns:
        Two parts, neither empty, which joined are the text.

    Raises:
        ValueError: The text has fewer than two characters.
    """
    if len(text) < _SHORTEST:
        msg = "a text of one character cannot be halved"
        raise ValueError(msg)
    low, high = max(1, int(len(text) * _EARLIEST)), max(2, int(len(text) * _LATEST))
    for boundary in _BOUNDARIES:
        cuts = [m.end() for m in boundary.finditer(text, low, high) if m.end() < len(text)]
        if cuts:
            cut = min(cuts, key=lambda c: abs(c - len(text) / 2))
            return text[:cut], text[cut:]
    cut = _before_marks(text, len(text) // 2)
    return text[:cut], text[cut:]


def pieces(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Cut a text into parts that fit a model.

    Args:
        text: Any text.
        fits: True for a text that the model can take whole.

    Returns:
        Parts in order that joined are the text, except that blank parts are left out. A single
        character is a part even if it does not fit.
    """
    if len(text) < _SHORTEST or fits(text):
        return [text] if text.strip() else []
    first, second = halve(text)
    return pieces(first, fits) + pieces(second, fits)


def _before_marks(text: str, cut: int) -> int:
    """Move a cut to before a letter whose combining marks it would part from it."""
    while cut > 1 and unicodedata.combining(text[cut]):
        cut -= 1
    return cut


def _rows(mask: NDArray[np.bool_] | np.bool_) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]


def _directions(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Vectors scaled to unit length, shape kept."""
    given = np.asarray(values, np.float64)
    if given.ndim not in (_VECTOR, _MATRIX):
        msg = f"{name} has shape {given.shape}; expected (dim,) or (n, dim)"
        raise ValueError(msg)
    # Scaled by the largest value first: the squares of very large or small ones have no double.
    largest = np.abs(given).max(axis=-1, keepdims=True, initial=0.0)
    if not np.isfinite(given).all() or not largest.all() or not given.shape[-1]:
        msg = f"{name} holds a vector that is zero or not finite: it has no direction"
        raise ValueError(msg)
    scaled = given / largest
    unit: NDArray[np.float64] = scaled / np.linalg.norm(scaled, axis=-1, keepdims=True)
    return unit
