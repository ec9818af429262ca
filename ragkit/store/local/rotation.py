"""The rotation of rows before they are coded: RaBitQ needs it, FAISS does not do it.

A sign bit says as much of a row as its component is large: a model that puts much of its vectors
into a few dimensions spends their bits badly. A rotation spreads them over all dimensions, and
inner products stay as they are.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

ROTATION = 1
"""The number of the rotation below in the format. docs/format.md states it: it never changes."""

ROUNDS = 4


def rotated(vectors: Vectors, rotation: int | None = ROTATION) -> Vectors:
    """Rotate vectors, float32 (n, dim): float32, same shape, same lengths within rounding.

    Additions, subtractions and products by given numbers, in a given order: the result is the
    same bit for bit on every machine.

    Args:
        vectors: They stay as they are.
        rotation: Its number in the format; None gives the vectors back.

    Raises:
        ValueError: The number is not known.
    """
    if rotation is None:
        return vectors
    if rotation != ROTATION:
        msg = f"rotation {rotation} is not known to this version of ragkit"
        raise ValueError(msg)
    columns = np.array(vectors.T, np.float32, order="C")  # a component's values side by side
    dim = len(columns)
    width = 1 << (dim.bit_length() - 1)
    for turn, signs in enumerate(_signs(dim)):
        columns *= signs
        _hadamard(columns[:width] if turn % 2 == 0 else columns[dim - width :])
    return np.ascontiguousarray(columns.T)


def _hadamard(columns: Vectors) -> None:
    """Multiply by the Hadamard matrix of Sylvester's order, scaled to keep lengths, in place."""
    width, half = len(columns), 1
    while half < width:
        pairs = columns.reshape(width // (2 * half), 2, half, -1)
        low, high = pairs[:, 0], pairs[:, 1]
        difference = low - high
        low += high
        high[...] = difference
        half *= 2
    columns *= np.float32(width**-0.5)


@lru_cache(maxsize=2)
def _signs(dim: int) -> NDArray[np.float32]:
    """The signs of each round, float32 (ROUNDS, dim, 1), 1 or -1."""
    size = (dim + 7) // 8
    drawn = hashlib.shake_256(f"ragkit rotation {ROTATION}".encode()).digest(ROUNDS * size)
    bits = np.frombuffer(drawn, np.uint8).reshape(ROUNDS, size)
    flipped = np.unpackbits(bits, axis=1, count=dim, bitorder="little")
    return 1.0 - 2.0 * flipped[:, :, None].astype(np.float32)
