"""How large the catalog's log grows while readers never pause.

A writer commits a thousand times, forty chunks each; four processes search without a pause, so that
some transaction is open at any moment and the log can never be emptied as a matter of course.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from harness import Row, Scope, absolute, model_server, print_rows, ragkit
from scale_data import CHUNKS_A_DOCUMENT, FAMILIES, documents

from ragkit.protocols import SearchRequest
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

COMMITS, READERS = 1000, 4
LOG = "catalog.db-wal"


def read(index: Path, searches: Synchronized[int]) -> None:
    """Search by words until the process is ended, and count."""
    with closing(open_store(index)) as store:
        while True:
            store.search(SearchRequest(10, "keyword", text="the of"))
            with searches.get_lock():
                searches.value += 1


def measure(scope: Scope) -> list[Row]:
    """The row of this question."""
    index = scope.work / "index-log"
    with model_server() as url:
        note = scope.work / "note.txt"
        note.write_text("Made to have an embedder.\n")
        ragkit("index", note, "--index", index, "--backend", "ollama", url=url)
    commits = COMMITS // 20 if scope.quick else COMMITS
    context = multiprocessing.get_context("spawn")
    searches = context.Value("q", 0)
    readers = [
        context.Process(target=read, args=(index, searches), daemon=True) for _ in range(READERS)
    ]
    largest = 0
    with closing(open_store(index)) as store, store.writing("index") as writer:
        batches = documents(FAMILIES[0], commits * CHUNKS_A_DOCUMENT, 1)
        for number, batch in enumerate(batches):
            writer.add_vectors(*batch.keys, batch.vectors)
            for document in batch.documents:
                writer.add(*document)
            writer.commit()
            if number == 0:
                for reader in readers:
                    reader.start()
                while searches.value < READERS:
                    time.sleep(0.01)
            largest = max(largest, (index / LOG).stat().st_size)
    alive = sum(reader.is_alive() for reader in readers)
    for reader in readers:
        reader.kill()
        reader.join()
    if alive < READERS or not searches.value:
        msg = f"only {alive} of {READERS} readers searched to the end, {searches.value} times"
        raise RuntimeError(msg)
    return [
        absolute(
            f"the log at its largest, {commits} commits beside {READERS} readers",
            64,
            "MB",
            ragkit=round(largest / 1e6, 2),
            searches=searches.value,
            catalog_mb=round((index / "catalog.db").stat().st_size / 1e6, 1),
        )
    ]


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
