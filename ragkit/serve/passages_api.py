"""Places of documents: their text, and for a PDF the pages as pictures with the words marked."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from ragkit.errors import InputError
from ragkit.records import copy_fields
from ragkit.serve.bodies import query_number, query_text
from ragkit.serve.failures import json_reply
from ragkit.serve.operations import INDEX, PNG, Operation, Parameter
from ragkit.serve.own_replies import MarksReply, NeighbourReply, PassageReply

if TYPE_CHECKING:
    from starlette.requests import Request

    from ragkit.pipeline import Pipeline
    from ragkit.records import Chunk, Document
    from ragkit.serve.page_pictures import PagePictures
    from ragkit.serve.serving import Serving

AROUND, MOST_AROUND = 1500, 100_000
"""Characters of a document that are shown before and behind a place, if not said, and at most."""

MOST_NEIGHBOURS = 50
MOST_PAGES = 8
"""Pages on which the words of one place are marked."""

_DOCUMENT = Parameter("doc_id", "The document, as hits and citations name it.", is_required=True)
_START = Parameter("start", "Where the place begins: an offset in the document.", "number")
_END = Parameter("end", "Where it ends.", "number")


class PassagesAPI:
    """Shows places of documents.

    Args:
        serving: The indexes.
        pictures: Draws pages.
    """

    def __init__(self, serving: Serving, pictures: PagePictures) -> None:
        self._serving, self._pictures = serving, pictures

    def operations(self) -> list[Operation]:
        """What is done with places of documents."""
        place = (INDEX, _DOCUMENT, _START, _END)
        return [
            Operation(
                "GET",
                "/passages",
                self.passages,
                "A place of a document with what stands around it.",
                reply=PassageReply,
                parameters=(
                    *place,
                    Parameter("around", "Characters on both sides; 1,500 if not given.", "number"),
                    Parameter("neighbours", "Chunks on both sides that are told too.", "number"),
                ),
                statuses=(404,),
            ),
            Operation(
                "GET",
                "/page-picture",
                self.picture,
                "The picture of a page of a PDF, as it was indexed.",
                parameters=(
                    INDEX,
                    _DOCUMENT,
                    Parameter("page", "Its number, from 1.", "number", is_required=True),
                ),
                other=PNG,
                statuses=(404, 409, 415, 501),
            ),
            Operation(
                "GET",
                "/page-marks",
                self.marks,
                "Where the words of a place stand on the pages of a PDF.",
                reply=MarksReply,
                parameters=place,
                statuses=(404, 409, 415, 501),
            ),
        ]

    async def passages(self, request: Request) -> Response:
        """A place of a document with what stands around it."""
        around = min(query_number(request, "around", AROUND), MOST_AROUND)
        count = min(query_number(request, "neighbours", 0), MOST_NEIGHBOURS)
        document, chunks, place = await self._asked(request)
        return json_reply(_passage(document, chunks, place, (around, count)))

    async def picture(self, request: Request) -> Response:
        """The picture of a page."""
        number = query_number(request, "page", 0)
        document, _, _ = await self._asked(request)
        _check_page(document, number)
        tag = f'"{document.file_sha256[:24]}-{number}"'
        headers = {"etag": tag, "cache-control": "private, no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        png = await self._pictures.draw(document, number)
        return Response(png, headers=headers, media_type=PNG)

    async def marks(self, request: Request) -> Response:
        """Where the words of a place stand."""
        document, _, (start, end) = await self._asked(request)
        _check_page(document, None)
        pages = [p for p in document.pages if p.start < max(end, start + 1) and start < p.end]
        if len(pages) > MOST_PAGES:
            msg = f"the place is on {len(pages)} pages; at most {MOST_PAGES} are marked at once"
            raise InputError(msg)
        found = [await self._pictures.mark(document, page, (start, end)) for page in pages]
        return json_reply(MarksReply(document.doc_id, tuple(found)))

    async def _asked(self, request: Request) -> tuple[Document, list[Chunk], tuple[int, int]]:
        """The document that is asked for, its chunks, and the place in it.

        Raises:
            InputError: There is no such document, or no such place in it.
        """
        doc_id = query_text(request, "doc_id")
        place = (query_number(request, "start", 0), query_number(request, "end", 0))
        async with self._serving.indexes.using(query_text(request, "index")) as rag:
            document, chunks = await rag.run(lambda pipeline: _content(pipeline, doc_id))
        start, end = place
        if not 0 <= start <= end <= len(document.text):
            msg = f"{start} to {end} is no place in a text of {len(document.text)} characters"
            raise InputError(msg)
        return document, chunks, place


def _content(pipeline: Pipeline, doc_id: str) -> tuple[Document, list[Chunk]]:
    content = pipeline.store.content(doc_id)
    if content is None:
        msg = f"no document {doc_id!r:.80} is in the index; it may have been changed or removed"
        raise InputError(msg)
    return content


def _passage(
    document: Document, chunks: list[Chunk], place: tuple[int, int], shown: tuple[int, int]
) -> PassageReply:
    """A place with as many characters around it, and as many chunks."""
    (start, end), (around, count) = place, shown
    first, last = max(0, start - around), min(len(document.text), end + around)
    within = [c for c in chunks if c.start < max(end, start + 1) and start < c.end]
    before = [c for c in chunks if c not in within and c.end <= start]
    behind = [c for c in chunks if c not in within and c.start >= max(end, start + 1)]
    before = before[len(before) - count :] if count else []
    near = chain(((c, "before") for c in before), ((c, "behind") for c in behind[:count]))
    return copy_fields(
        document,
        PassageReply,
        length=len(document.text),
        start=start,
        end=end,
        text_start=first,
        text_end=last,
        text=document.text[first:last],
        heading=within[0].heading if within else (),
        pages=tuple(p for p in document.pages if p.start <= last and first <= p.end),
        chunks=tuple(chunk.chunk_id for chunk in within),
        neighbours=tuple(copy_fields(c, NeighbourReply, side=side) for c, side in near),
    )


def _check_page(document: Document, number: int | None) -> None:
    """Refuse what has no page that could be drawn."""
    if document.kind != "pdf" or document.origin == "program":
        raise HTTPException(415, f"{document.path} is no PDF, and only a PDF's pages are drawn")
    if number is not None and not 1 <= number <= len(document.pages):
        msg = f"{document.path} has {len(document.pages)} pages; there is no page {number}"
        raise InputError(msg)
