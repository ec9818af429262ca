"""Similarity search over rows: all that knows FAISS.

Small segments are scanned exactly. Larger ones are scanned by their RaBitQ codes, 15 times smaller
than the rows, and the caller rescores the best candidates from the rows themselves.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ragkit.store.local.files import ROW_DTYPE
from ragkit.store.local.rotation import rotated
from ragkit.system import passive_openmp

with passive_openmp():
    # Measured beside other work on two cores, 3,400 rows: a search took 1.7 to 5 ms so, 14 to 25 ms
    # with the library's own setting; on an idle machine there is no difference.
    import faiss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ragkit.protocols import Vectors

    Bits = NDArray[np.uint8]
    Found = tuple[NDArray[np.int64], Vectors]

# Bits that a component of a query is quantised to. With 8, FAISS's finest, a scan took a third
# longer, and as many candidates had to be rescored: the one bit of a row errs by far more.
QUERY_BITS = 4
BLOCK_ROWS = 256  # rows decoded to float32 at a time: they stay in the processor's cache
SPARE = 16  # rows fetched beyond k, so that rounding and ties do not decide at the cut
_OVER_LISTS = 1  # FAISS's parallel mode: the lists of one search on all cores


def code_bytes(dim: int) -> int:
    """Length of a row's code."""
    return (dim + 7) // 8 + 8


class RowScan:
    """Finds the rows of one segment that are most similar to a query; grows as it does.

    Args:
        dim: Length of a vector.
    """

    def __init__(self, dim: int) -> None:
        self._index = faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )

    @property
    def rows(self) -> int:
        """How many rows have been added."""
        return int(self._index.ntotal)

    def add(self, rows: NDArray[np.float16]) -> None:
        """Append rows, float16, shape (n, dim)."""
        self._index.add_sa_codes(np.ascontiguousarray(rows, ROW_DTYPE).view(np.uint8))

    def nearest(self, query: Vectors, k: int, allowed: Bits) -> Found:
        """Find the allowed rows most similar to a query.

        Args:
            query: float32, shape (dim,), unit length.
            k: Rows wanted, at least 1; up to `SPARE` more come back.
            allowed: uint8, one bit a row, least significant bit first.

        Returns:
            Row numbers and inner products, best first, ties by row.
        """
        parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(allowed))
        if self.rows == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        # Of rows that tie at the cut FAISS keeps any: fetch more until the cut parts no tie.
        count = 0
        while True:
            count = min(max(k + SPARE, 4 * count), self.rows)
            with one_thread():
                scores, rows = self._index.search(query.reshape(1, -1), count, params=parameters)
            if count == self.rows or rows[0, -1] < 0 or scores[0, -1] < scores[0, k - 1]:
                return _ordered(rows[0], scores[0], k + SPARE)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenMP begin no team in the calling thread: for one query it has nothing to part.

    Beside other work on two cores, in a program that loaded FAISS itself, an exact scan of 4,262
    rows took 6 to 14 ms with a team, and 0.5 without.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class CodeScan:
    """Finds candidates among rows by their codes: the lists of one or several segments.

    Rows are named by numbers that the caller gives them. A query is rotated as the codes are.

    Args:
        centres: float32, shape (lists, dim): what the codes of each list were made for.
    """

    def __init__(self, centres: Vectors) -> None:
        self._centres = faiss.IndexFlatIP(centres.shape[1])
        self._centres.add(np.ascontiguousarray(centres, np.float32))
        self._index = _rabitq(self._centres)
        self._index.parallel_mode = _OVER_LISTS
        self._halves = half_squares(centres)

    @property
    def rows(self) -> int:
        """How many rows have been added."""
        return int(self._index.ntotal)

    def centre(self, place: int) -> Vectors:
        """What the codes of a list are made for: float32, shape (dim,)."""
        centre: Vectors = self._centres.reconstruct(place)
        return centre

    def add(self, place: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Append rows to a list; the caller fills in what comes back.

        Nothing is copied: codes are most of what a search holds in memory.

        Returns:
            Their numbers, int64 (count,), and codes, uint8 (count, code bytes).
        """
        lists = self._index.invlists
        size = lists.list_size(place)
        lists.resize(place, size + count)  # at once: it keeps no room that it does not need
        self._index.ntotal += count
        width, whole = self._index.code_size, size + count
        numbers = faiss.rev_swig_ptr(lists.get_ids(place), whole)
        codes = faiss.rev_swig_ptr(lists.get_codes(place), whole * width).reshape(whole, width)
        return numbers[size:], codes[size:]

    def drop(self, place: int) -> None:
        """Take the rows of a list away."""
        lists = self._index.invlists
        self._index.ntotal -= lists.list_size(place)
        lists.resize(place, 0)

    def nearness(self, query: Vectors) -> Vectors:
        """How near the lists' centres are to a query, the nearest greatest: float32 (lists,).

        Rows were parted by the same measure. The inner product alone would pass over lists of
        short centres, which hold what is like nothing else.
        """
        lists, dim = self._centres.ntotal, self._centres.d
        centres = faiss.rev_swig_ptr(self._centres.get_xb(), lists * dim).reshape(lists, dim)
        # Not `@`: waking BLAS's threads takes longer than this, and much longer on a busy machine.
        nearness: Vectors = np.einsum("ij,j->i", centres, query) - self._halves
        return nearness

    def nearest(self, query: Vectors, k: int, allowed: Bits, lists: NDArray[np.int64]) -> Found:
        """Find the allowed rows of some lists that seem most similar to a query.

        Args:
            query: float32, shape (dim,), unit length.
            k: Rows wanted, at least 1.
            allowed: uint8, one bit a number, least significant bit first.
            lists: Which to scan, each once.

        Returns:
            Numbers and estimated inner products, best first, ties by number.
        """
        parameters = faiss.IVFRaBitQSearchParameters(
            nprobe=len(lists), qb=QUERY_BITS, sel=faiss.IDSelectorBitmap(allowed)
        )
        k = min(k, self.rows)
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        query = np.ascontiguousarray(query, np.float32)
        lists = np.ascontiguousarray(lists, np.int64)
        unused = np.zeros(len(lists), np.float32)  # RaBitQ takes no distance to the centres
        scores, numbers = np.empty(k, np.float32), np.empty(k, np.int64)
        at = faiss.swig_ptr
        # FAISS's own wrapper for arrays takes no parameters. False: labels are the rows' numbers.
        arguments = (at(query), k, at(lists), at(unused), at(scores), at(numbers), False)
        self._index.search_preassigned_c(1, *arguments, parameters)
        return _ordered(numbers, scores, k)


class CodeEncoder:
    """Makes the RaBitQ codes of rows for given centres, float32, shape (lists, dim)."""

    def __init__(self, centres: Vectors) -> None:
        self._centres = faiss.IndexFlatIP(centres.shape[1])
        self._centres.add(np.ascontiguousarray(centres, np.float32))
        self._index = _rabitq(self._centres)

    @property
    def code_bytes(self) -> int:
        """Length of one row's code."""
        return int(self._index.code_size)

    def encode(self, rows: Vectors, lists: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Encode rows, float32 (n, dim), for the centre of each: uint8 (n, code_bytes)."""
        rows, places = np.ascontiguousarray(rows), lists.astype(np.int64)
        codes = np.empty((len(rows), self.code_bytes), np.uint8)
        pointers = map(faiss.swig_ptr, (rows, places, codes))
        self._index.encode_vectors(len(rows), *pointers)
        return codes


class RowEncoder:
    """Makes the RaBitQ codes of rows for one centre.

    Args:
        centre: float32, shape (dim,), not rotated.
        rotation: The number of the rotation of the codes; None for none.
    """

    def __init__(self, centre: Vectors, rotation: int | None = None) -> None:
        self._rotation = rotation
        self.centres: Vectors = rotated(centre[None], rotation)
        self._encoder = CodeEncoder(self.centres)
        self.code_bytes = self._encoder.code_bytes

    def encode(self, rows: NDArray[np.float16]) -> NDArray[np.uint8]:
        """Encode rows, float16 (n, dim), to codes, uint8 (n, code_bytes)."""
        codes = np.empty((len(rows), self.code_bytes), np.uint8)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rotated(rows[start : start + BLOCK_ROWS].astype(np.float32), self._rotation)
            place = np.zeros(len(block), np.uint8)
            codes[start : start + len(block)] = self._encoder.encode(block, place)
        return codes


def half_squares(centres: Vectors) -> Vectors:
    """Half of each centre's squared length: what an inner product lacks to order by distance.

    float32, shape (lists,).
    """
    halves: Vectors = 0.5 * np.einsum("ij,ij->i", centres, centres)
    return halves


def centre_of(rows: NDArray[np.float16]) -> Vectors:
    """The mean of rows, float16 (n, dim), n >= 1: float32, shape (dim,).

    With the mean as centre recall@10 of real sentence embeddings was 0.997 (100 rescored), with
    no centre 0.79 to 0.92.
    """
    return np.mean(rows, axis=0, dtype=np.float64).astype("<f4")


def _rabitq(centres: faiss.IndexFlatIP) -> faiss.IndexIVFRaBitQ:
    index = faiss.IndexIVFRaBitQ(centres, centres.d, centres.ntotal, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True  # the centres are given
    return index


def _ordered(rows: NDArray[np.int64], scores: Vectors, most: int) -> Found:
    """Best first, ties by row. FAISS pads short results with -1; those are dropped."""
    found = np.flatnonzero(rows >= 0)
    best = found[np.lexsort((rows[found], -scores[found]))][:most]
    return rows[best], scores[best]
