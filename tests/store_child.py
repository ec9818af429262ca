"""Other processes that use an index, for `test_lock.py`: `store_child.py hold|read INDEX`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from store_factory import vector_of

from ragkit.protocols import SearchRequest
from ragkit.store.local.store import LocalStore


def hold(index: Path) -> None:
    """Write to the index until the input ends."""
    with LocalStore(index).writing("index the handbook"):
        print("held", flush=True)  # noqa: T201 -- the answer
        sys.stdin.read()


def read(index: Path) -> None:
    """Search until the writer has added its last text; print each set that was seen at once."""
    store = LocalStore(index)
    seen: set[str] = set()
    query = vector_of("q")
    print("reading", flush=True)  # noqa: T201 -- the answer
    while not any(text.startswith("last") for text in seen):
        hits = store.search(SearchRequest(k=99, mode="hybrid", vector=query, text="word"))
        rows = np.stack([vector_of(hit.text) for hit in hits]).astype("<f2").astype(np.float32)
        assert np.abs(np.array([hit.score for hit in hits], float) - rows @ query).max() < 1e-5
        seen.add(",".join(sorted(hit.text for hit in hits)))
    print("\n".join(sorted(seen)))  # noqa: T201 -- the answer


if __name__ == "__main__":
    {"hold": hold, "read": read}[sys.argv[1]](Path(sys.argv[2]))
