"""Chunks by a program's own splitter, checked before they are stored."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ragkit.errors import InputError, LoadError
from ragkit.records import Chunk, make_chunk_id
from ragkit.text.markdown import headings_above
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from ragkit.protocols import Splitter
    from ragkit.records import Document


GROUP = "ragkit.splitters"
"""The entry points under which installed packages offer a `Splitter` each."""


@cache
def find_splitter(name: str) -> Splitter:
    """A splitter by the path of its import, or by the name that an installed package gives it.

    Args:
        name: As ``package.module:function``, or that of an entry point.

    Raises:
        InputError: There is none, or it cannot be imported.
    """
    from importlib.metadata import EntryPoint, entry_points  # 20 ms, seldom needed

    found = (
        [EntryPoint(name, name, GROUP)] if ":" in name else [*entry_points(group=GROUP, name=name)]
    )
    if not found:
        msg = (
            f"no installed package has a splitter {name!r}; name one as 'package.module:function', "
            "or give the function itself"
        )
        raise InputError(msg)
    try:
        splitter: Splitter = found[0].load()
    except Exception as exc:  # a stranger's module, which fails in any manner
        msg = f"the splitter {name!r} cannot be imported: {type(exc).__name__}: {exc}"
        raise InputError(msg) from exc
    return splitter


def split_with(splitter: Splitter | str, document: Document) -> list[Chunk]:
    """Cut a document where a program's splitter says.

    Each chunk has the page on which it starts and, in Markdown, the headings above it. White space
    around a chunk is left out, and so are chunks of nothing else.

    Raises:
        LoadError: The splitter raised something, or a chunk does not lie in the text, or they are
            not in order: the document fails, and the run goes on.
    """
    path = f"{document.root}/{document.path}"
    if isinstance(splitter, str):
        splitter = find_splitter(splitter)
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
