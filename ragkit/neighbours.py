"""What stands beside a hit in its document, for an answer that needs more than the hit says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.records import Hit
    from ragkit.store.local.store import LocalStore


def with_neighbours(hits: Sequence[Hit], store: LocalStore, count: int) -> list[Hit]:
    """Add to hits the chunks before and after each in its document.

    They rank behind all hits, so that they take only what the hits leave of a context's budget:
    first those of the best hit, the nearest first. `ragkit.ground.assemble` joins them to what
    they overlap.

    Args:
        hits: Best first; they come first in the result, unchanged.
        store: Where they were found. A document that has changed since adds nothing.
        count: Most chunks on either side of a hit.
    """
    known = {hit.chunk_id: hit for hit in hits}
    for hit in hits if count else ():
        for near in store.neighbours(hit, count):
            known.setdefault(near.chunk_id, replace(near, rank=len(known) + 1))
    return list(known.values())
