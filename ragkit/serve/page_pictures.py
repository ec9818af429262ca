"""Draws pages of indexed PDFs, in a process of its own: a file made to harm ends that one alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from ragkit.errors import LoadError
from ragkit.extras import install_command
from ragkit.ingest.load.members import container_of
from ragkit.ingest.load.parser import Parser
from ragkit.ingest.load.readers.pdf_picture import BOXES, LETTERS, PICTURE, SIZE
from ragkit.ingest.load.readers.pdfium import has_pdfium
from ragkit.serve.own_replies import PageMarks
from ragkit.serve.page_marks import find_words, line_boxes
from ragkit.system import DaemonPool

if TYPE_CHECKING:
    from ragkit.config import LoadSettings
    from ragkit.ingest.load.formats import Parsed
    from ragkit.records import Document, Page

_MODULE = "ragkit.ingest.load.readers.pdf_picture"
_DRAW, _MEASURE = f"{_MODULE}:draw_page", f"{_MODULE}:measure_page"
_LONGEST_S = 30.0
"""A reader of a page waits for it; an ingest may take longer."""


class PagePictures:
    """Draws pages one after the other, in the file that was indexed and in no other.

    Args:
        settings: Bound what a page may take.
    """

    def __init__(self, settings: LoadSettings) -> None:
        limit = min(settings.parse_timeout_s, _LONGEST_S)
        self._settings = replace(settings, parse_timeout_s=limit)
        self._parser: Parser | None = None
        self._pool = DaemonPool(1)

    async def draw(self, document: Document, number: int) -> bytes:
        """The picture of a page, a PNG.

        Raises:
            HTTPException: The file is another one than was indexed, or pages cannot be drawn here.
            LoadError: The page cannot be drawn.
        """
        drawn = await self._look(_DRAW, document, number)
        return base64.b64decode(drawn.metadata[PICTURE])

    async def mark(self, document: Document, page: Page, place: tuple[int, int]) -> PageMarks:
        """Where the words of a place stand on one of its pages; errors as for `draw`.

        Args:
            document: With its text.
            page: That the place touches.
            place: Offsets in the document.
        """
        measured = await self._look(_MEASURE, document, page.number)
        start, end = max(place[0], page.start), min(place[1], page.end)
        near = (start - page.start) / max(page.end - page.start, 1)
        found = find_words(document.text[start:end], measured.metadata[LETTERS], near)
        boxes = measured.metadata[BOXES]
        width, height = measured.metadata[SIZE]
        lines = line_boxes(boxes[place] for place in found.places)
        return PageMarks(page.number, width, height, lines, found.is_whole)

    async def close(self) -> None:
        """End the process that draws."""
        if self._parser is not None:
            await asyncio.wrap_future(self._pool.submit(self._parser.close))
        self._pool.close()

    async def _look(self, reader: str, document: Document, number: int) -> Parsed:
        if not has_pdfium():
            command = install_command("pdf")
            raise HTTPException(501, f"pages are drawn by the extra `pdf`; try: {command}")
        job = self._pool.submit(lambda: self._looked(reader, document, number))
        return await asyncio.wrap_future(job)

    def _looked(self, reader: str, document: Document, number: int) -> Parsed:
        if self._parser is None:
            self._parser = Parser(self._settings)
        data = read_indexed_file(document)
        return self._parser.look_at_page(reader, data, document.path, number)


def read_indexed_file(document: Document) -> bytes:
    """The bytes of a document's file, if they are those that were indexed.

    Raises:
        HTTPException: They are not, or the document lies within another file.
        LoadError: It cannot be read.
    """
    path = Path(document.root) / document.path
    if container_of(path.as_posix()):
        raise HTTPException(415, f"{document.path} lies within another file: it is not drawn")
    try:
        data = path.read_bytes()
    except OSError as exc:
        msg = f"{document.path} cannot be read: {exc.strerror}"
        raise LoadError(msg, path) from exc
    if hashlib.sha256(data).hexdigest() != document.file_sha256:
        raise HTTPException(409, f"{document.path} has changed since it was indexed")
    return data
