"""Chunks by a program's own splitter, checked before they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.errors import LoadError
from ragkit.records import Chunk, make_chunk_id
from ragkit.text.markdown import headings_above
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from ragkit.protocols import Splitter
    from ragkit.records import Document


def split_with(splitter: Splitter, document: Document) -> list[Chunk]:
    """Cut a document where a program's splitter says.

    Each chunk has the page on which it starts and, in Markdown, the headings above it. White space
    around a chunk is left out, and so are chunks of nothing else.

    Raises:
        LoadError: The splitter raised something, or a chunk does not lie in the text, or they are
            not in order: the document fails, and the run goes on.
    """
    path = f"{document.root}/{document.path}"
    try:
        spans = [(int(start), int(end)) for start, end in splitter(document)]
    except LoadError:
        raise
    except Exception as exc:  # a stranger's code, which must not end the run
        msg = f"cannot be split: {type(exc).__name__}: {exc}"
        raise LoadError(msg, path) from exc
    size, last = len(document.text), 0
    for start, end in spans:
        if not last <= start <= end <= size:
            msg = (
                f"cannot be split: characters {start} to {end} are no chunk of a text of {size}; "
                "chunks lie in the text and begin in order"
            )
            raise LoadError(msg, path)
        last = start
    trimmed = (_trimmed(document.text, *span) for span in spans)
    return [_chunk(document, i, *span) for i, span in enumerate(s for s in trimmed if s[0] < s[1])]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def _chunk(document: Document, ordinal: int, start: int, end: int) -> Chunk:
    text = document.text[start:end]
    pages = [p.number for p in document.pages if p.start <= start and p.start < p.end]
    heading = headings_above(document.text, start) if document.kind == "markdown" else ()
    return Chunk(
        make_chunk_id(document.doc_id, start, end, text), document.doc_id, ordinal, start, end,
        text, tuple(heading), pages[-1] if pages else None, estimate_tokens(text),
    )  # fmt: skip
