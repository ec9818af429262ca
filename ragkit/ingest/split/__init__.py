"""Split stage: a document becomes chunks that follow its structure. Pure; exact offsets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from ragkit.errors import ConfigError
from ragkit.ingest.load.formats import FORMATS
from ragkit.ingest.split.packing import Piece, pack
from ragkit.ingest.split.sections import Section, groups
from ragkit.ingest.split.units import Limits, limits
from ragkit.records import Chunk, make_chunk_id
from ragkit.text.scripts import grapheme_start
from ragkit.text.tokens import TOKEN_UNIT, fit, token_weight
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ragkit.config import SplitSettings
    from ragkit.ingest.load.formats import Structure
    from ragkit.ingest.split.scanners import Block
    from ragkit.records import Document, Hit

PREFIX_TOKENS = 64
"""Most tokens that title and headings add to a chunk when it is embedded."""

MIN_CHUNK_TOKENS = 16
_MIN_WINDOW = 2 * PREFIX_TOKENS
_STRUCTURES = {row.kind: row.structure for row in FORMATS}
_WITHOUT_OVERLAP: tuple[Structure, ...] = ("code", "rows")  # there are no sentences to repeat


def split(
    document: Document,
    settings: SplitSettings,
    *,
    max_tokens: int = 512,
    structure: Structure | None = None,
) -> Iterator[Chunk]:
    """Cut a document into chunks: by headings, then blocks, sentences, lines, words, characters.

    Chunks come in order, ``document.text[c.start:c.end] == c.text`` without white space
    around it, and together they hold every character that is not white space. A chunk with its
    prefix (`embedding_text`) is estimated at ``max_tokens`` at most. Neighbours within a section
    share whole sentences of up to ``settings.overlap_tokens`` (and less than a third of a chunk);
    small sections under one parent share a chunk, whose heading path is then what theirs have
    in common. The path of a chunk that begins within a table ends with the names of its columns,
    if the table says which they are. Visible characters stay whole unless one alone is over the
    limit.

    Args:
        document: What to split.
        settings: The aimed size and the overlap, in estimated tokens.
        max_tokens: The embedding model's window.
        structure: How the text writes headings, lists and tables; None: as ragkit's own format
            of the document's kind does, and plain if there is none.

    Raises:
        ConfigError: The settings leave no room for text.
    """
    sizes = _sizes(settings, max_tokens)
    structure = structure or _STRUCTURES.get(document.kind, "plain")
    if structure in _WITHOUT_OVERLAP:
        sizes = sizes._replace(overlap=0)
    return _chunks(document, structure, sizes)


def _sizes(settings: SplitSettings, max_tokens: int) -> Limits:
    if settings.chunk_tokens < MIN_CHUNK_TOKENS:
        msg = f"split.chunk_tokens = {settings.chunk_tokens}: expected {MIN_CHUNK_TOKENS} or more"
        raise ConfigError(msg)
    if settings.overlap_tokens < 0:
        msg = f"split.overlap_tokens = {settings.overlap_tokens}: expected 0 or more"
        raise ConfigError(msg)
    if max_tokens < _MIN_WINDOW:
        msg = (
            f"the embedding model reads only {max_tokens} tokens at once; "
            f"ragkit needs a model that reads {_MIN_WINDOW} or more"
        )
        raise ConfigError(msg)
    return limits(settings.chunk_tokens, settings.overlap_tokens, max_tokens - PREFIX_TOKENS)


def _chunks(document: Document, structure: Structure, sizes: Limits) -> Iterator[Chunk]:
    page_at = _page_finder(document)
    ordinal = 0
    for group, weight in groups(document.text, structure, sizes):
        tables = [b for section in group for b in section.blocks if b.title and not b.depth]
        ends = _ends(group) if tables else {}
        for piece in _pieces(document.text, group, weight, sizes):
            text = document.text[piece.start : piece.end]
            yield Chunk(
                chunk_id=make_chunk_id(document.doc_id, piece.start, piece.end, text),
                doc_id=document.doc_id,
                ordinal=ordinal,
                start=piece.start,
                end=piece.end,
                text=text,
                heading=_heading(group, piece) + _column_names(tables, ends, piece),
                page=page_at(piece.start),
                tokens=-(-piece.weight // TOKEN_UNIT),
            )
            ordinal += 1


def _pieces(text: str, group: list[Section], weight: int, sizes: Limits) -> Iterator[Piece]:
    start, end = group[0].start, group[-1].end
    if weight <= sizes.high:
        last = start + len(text[start:end].rstrip())
        return iter((Piece(start, start, last, weight - token_weight(text[last:end])),))
    return pack(text, [block for section in group for block in section.blocks], end, sizes)


def _heading(group: list[Section], piece: Piece) -> tuple[str, ...]:
    """Give the heading path that all sections which a piece touches have in common."""
    if len(group) == 1:
        return group[0].path
    paths = [s.path for s in group if s.start < piece.end and s.end > piece.core]
    shared = takewhile(lambda titles: len(set(titles)) == 1, zip(*paths, strict=False))
    return tuple(titles[0] for titles in shared)


def _ends(group: list[Section]) -> dict[int, int]:
    """Where each block of a group ends, by where it begins."""
    blocks = [block.start for section in group for block in section.blocks]
    return dict(pairwise([*blocks, group[-1].end]))


def _column_names(tables: list[Block], ends: dict[int, int], piece: Piece) -> tuple[str, ...]:
    """Name the columns of the table within which a piece begins; behind its first row only."""
    index = bisect_left(tables, piece.start, key=lambda block: block.start) - 1
    if index < 0 or piece.start >= ends[tables[index].start]:
        return ()
    return (tables[index].title,)


def _page_finder(document: Document) -> Callable[[int], int | None]:
    pages = [page for page in document.pages if page.start < page.end]
    starts = [page.start for page in pages]

    def page_at(position: int) -> int | None:
        index = bisect_right(starts, position) - 1
        return pages[index].number if index >= 0 else None

    return page_at


def embedding_text(chunk: Chunk | Hit, title: str) -> str:
    """Give the text to embed for a chunk: a line of title and headings, then its own text.

    What the chunk's own first line says is not said twice, nor a title that is the first heading;
    characters that nobody sees are left out.
    The line costs at most `PREFIX_TOKENS`: outer headings go first, then the title.
    """
    parts = _named(chunk.heading, title)
    own = chunk.text.partition("\n")[0].strip("#=~ ")
    if parts and own.startswith(parts[-1]):
        parts = parts[:-1]
    prefix = _bounded(tuple(part for part in parts if part))
    text = f"{prefix}\n{chunk.text}" if prefix else chunk.text
    seen = visible(text)
    return seen if seen.strip() else text  # no embedder takes an empty text


@lru_cache  # the chunks of a section share it
def _named(heading: tuple[str, ...], title: str) -> tuple[str, ...]:
    parts = [" ".join(part.split()) for part in heading]
    title = " ".join(title.split())
    if title and (not parts or parts[0] != title):
        parts.insert(0, title)
    return tuple(parts)


@lru_cache
def _bounded(path: tuple[str, ...]) -> str:
    parts = list(path)
    most = PREFIX_TOKENS * TOKEN_UNIT - token_weight("\n")
    while len(parts) > 1 and token_weight(" > ".join(parts)) > most:
        del parts[min(1, len(parts) - 2)]
    line = " > ".join(parts)
    if token_weight(line) <= most:
        return line
    return line[: grapheme_start(line, fit(line, 0, most))].rstrip()
