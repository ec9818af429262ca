"""Citations name the page on which the quoted words stand, also within a chunk of several pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import make_files
from commands import write_files

from ragkit.config import Config
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [
    "The bridge was opened in 1932.",
    "",
    "The tower is 98 metres high.",
    "Tickets cost nothing.",
]
EMBEDDED = Config().with_values({"models.backend": "embedded", "models.chat": "none"})


def test_hit_lists_the_pages_it_touches(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"guide.pdf": make_files.pdf(PAGES)})
    with Pipeline(tmp_path / "index", EMBEDDED) as rag:
        rag.index(docs)
        (hit,) = rag.search("tower")
    assert hit.page == 1
    assert [page.number for page in hit.pages] == [1, 3, 4]
    tower = hit.pages[1]
    assert hit.text[tower.start - hit.start : tower.end - hit.start].strip() == PAGES[2]


def test_citation_names_the_page_of_the_quote(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"guide.pdf": make_files.pdf(PAGES)})
    with Pipeline(tmp_path / "index", EMBEDDED) as rag:
        rag.index(docs)
        answer = rag.ask("How many metres high is the tower?")
    first = answer.citations[0]
    assert (first.quote, first.page) == (PAGES[2], 3)
