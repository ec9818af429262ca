"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["dense", "keyword", "hybrid"]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a paged document. A page without text has ``start == end``.

    ``number`` counts from 1; ``start`` and ``end`` are offsets in the document's text.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class HitRanks:
    """Why a hit stands where it does. Ranks count from 1; None: not found that way.

    ``bm25`` is FTS5's score with its sign turned, higher is better; ``fused``, in [0, 1], is the
    score that ordered a hybrid search. ``by_score`` is the rank before diversity moved hits,
    ``before_rerank`` that before a chat model's ``grade``, from 0 to 3, did; None where they did
    not come into it. ``background`` is the mean cosine of the passages ranked 10 to 40 by meaning,
    the same for every hit: how near the question is to what does not answer it.
    """

    dense: int | None = None
    keyword: int | None = None
    bm25: float | None = None
    fused: float | None = None
    by_score: int | None = None
    before_rerank: int | None = None
    grade: int | None = None
    background: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found, complete: nothing more needs to be fetched to show it.

    ``rank`` counts from 1. ``score`` is the cosine similarity of chunk and question in
    [-1, 1]; None in mode ``keyword``, which computes none. ``page`` is the number of the page on
    which the chunk starts; ``pages`` are all that it touches, with their offsets. ``metadata``
    are what its document says of itself, as `told_metadata` gives it. ``from_picture``: some of it
    was read by text recognition, so letters may be wrong.
    """

    rank: int
    score: float | None
    chunk_id: str
    doc_id: str
    root: str
    path: str
    title: str
    kind: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    file_sha256: str
    ranks: HitRanks = HitRanks()
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    from_picture: bool = False
