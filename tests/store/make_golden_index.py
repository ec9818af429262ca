"""Make the index of the newest format that `test_format.py` opens.

The command was ``PYTHONPATH=.:tests python tests/store/make_golden_index.py``, run once when a
format was new. An index of an older format is not made again: that it still opens is the test.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from store_factory import dense, doc_id_of, keyword, new_store, put, vector_of, vectors_of

from ragkit.records import Page
from ragkit.store.local.catalog import FORMAT_VERSION
from ragkit.store.local.segments import SegmentSizes
from ragkit.store.local.store import LocalStore

INDEXES = Path(__file__).parents[1] / "indexes"
INDEX = INDEXES / f"v{FORMAT_VERSION}"
DIM = 24
SIZES = SegmentSizes(rows=32, coded=16)
DOCUMENTS = {
    "handbook/notice.md": ["The notice period is three months.", "Notice must be in writing."],
    "handbook/leave.md": [f"Leave rule {i}: ask {i} days before." for i in range(30)],
    "手册/试用期.txt": [
        "员工的试用期为三个月。",
        "请用iPhone手机登录VPN账号。",
        "The notice period is three months.",
    ],
    "old.pdf": ["Page one.", "Page three."],
}
REPLACED = {"handbook/notice.md": ["The notice period is six weeks.", "Notice must be in writing."]}
DENSE, KEYWORD = (
    ["question 1", "question 2", "The notice period is six weeks."],
    ["noticing", "试用", "号"],
)


def make(index: Path) -> None:
    """Three generations: documents enter, one is replaced, one is removed."""
    store = new_store(index, DIM, SIZES)
    with store.writing("index") as writer:
        for path, texts in DOCUMENTS.items():
            pages = (Page(1, 0, 9), Page(2, 9, 9), Page(3, 10, 21)) if path == "old.pdf" else ()
            kind = path.rpartition(".")[2]
            put(writer, path, texts, vectors=vectors_of(texts, DIM), pages=pages, kind=kind)
    with store.writing("index") as writer:
        for path, texts in REPLACED.items():
            put(writer, path, texts, vectors=vectors_of(texts, DIM), kind="md")
    with store.writing("remove") as writer:
        writer.remove([doc_id_of("old.pdf")])
    store.close()


def answers(store: LocalStore) -> dict[str, list[list[object]]]:
    """What searches of the index answer: path, place and score of each hit."""
    found = {f"dense {q}": dense(store, vector_of(q, DIM), 6) for q in DENSE}
    found |= {f"as of 1 {q}": dense(store, vector_of(q, DIM), 6, as_of=1) for q in DENSE}
    found |= {f"keyword {q}": keyword(store, q, 6) for q in KEYWORD}
    return {
        name: [[h.path, h.start, h.end, h.score, h.ranks.bm25] for h in hits]
        for name, hits in found.items()
    }


if __name__ == "__main__":
    shutil.rmtree(INDEX, ignore_errors=True)
    make(INDEX)
    (INDEX / "writer.lock").unlink()  # it names a machine
    opened = LocalStore(INDEX)
    expected = json.dumps(answers(opened), ensure_ascii=False, indent=1)
    opened.close()
    for rest in ("commits", "catalog.db-wal", "catalog.db-shm"):
        (INDEX / rest).unlink(missing_ok=True)
    (INDEX.with_suffix(".json")).write_text(expected + "\n", "utf-8")
