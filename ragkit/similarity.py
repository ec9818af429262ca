"""How alike two directions are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ragkit.protocols import Vectors

_VECTOR, _MATRIX = 1, 2


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
