"""Looks a citation up again: in the index, and in the file as it is now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ragkit.errors import LoadError
from ragkit.ingest.given import whole_document
from ragkit.ingest.load import load_document, make_doc_id
from ragkit.ingest.load.members import container_of
from ragkit.records import PROGRAM_ROOT, Citation
from ragkit.text.markdown import headings_above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import LoadSettings
    from ragkit.ingest.load import Parser
    from ragkit.protocols import VectorStore
    from ragkit.records import Document, DocumentInfo, Hit

CitationState = Literal["holds", "differs", "changed", "missing", "unreadable"]
"""What became of a citation.

``holds``: the quote stands at its place, in the index and in the unchanged file. ``differs``: the
file is the cited one, but the record is not what stands there: somebody edited the answer, or the
index was split anew. ``changed``: the file is another one than was cited. ``missing``: the file
or its document is gone. ``unreadable``: the file is there and cannot be loaded.
"""

CONTEXT_CHARS = 80


@dataclass(frozen=True, slots=True)
class CitationCheck:
    """What became of a citation. ``detail`` says in words what does not hold, "" if all does.

    ``start`` and ``end`` are where the quote stands in the file's text now, None if it does
    not. ``file`` is the absolute path. ``line`` is the line on which the quote begins, from 1, for
    formats whose text has the lines of the file. ``before`` and ``after`` stand around it.
    """

    citation: Citation
    state: CitationState
    detail: str = ""
    file: str = ""
    start: int | None = None
    end: int | None = None
    line: int | None = None
    before: str = ""
    after: str = ""


class CitationResolver:
    """The documents of an index and the files behind them, each file loaded once.

    Args:
        store: The index.
        settings: Bound what a file may take to load.
        parser: Parses the files.
    """

    def __init__(self, store: VectorStore, settings: LoadSettings, parser: Parser) -> None:
        self._store = store
        self._settings = settings
        self._parser = parser
        self._documents = store.documents()
        self._files: dict[Path, Document | LoadError] = {}

    def find(self, citation: Citation) -> DocumentInfo | None:
        """The citation's document, or else one with the same bytes, which was moved."""
        return next((d for d in self._documents if d.doc_id == citation.doc_id), None) or next(
            (d for d in self._documents if d.file_sha256 == citation.file_sha256), None
        )

    def last_file(self, citation: Citation) -> Path | None:
        """Where the file of a document lay that the index no longer holds, if that can be told."""
        roots = {d.root for d in self._documents} | set(self._store.sources())
        roots.discard(PROGRAM_ROOT)
        named = (r for r in roots if make_doc_id(r, citation.path) == citation.doc_id)
        return next((Path(root) / citation.path for root in named), None)

    def load(self, document: DocumentInfo) -> Document | LoadError:
        """The file as it is now, or why it cannot be read."""
        path = Path(document.root) / document.path
        if document.origin == "program":
            return self._given(document, path)
        if path not in self._files:
            try:
                self._files[path] = load_document(
                    path, root=Path(document.root), settings=self._settings, parser=self._parser
                )
            except LoadError as exc:
                self._files[path] = exc
        return self._files[path]

    def _given(self, document: DocumentInfo, path: Path) -> Document | LoadError:
        """The text that a program gave: the index has it alone."""
        content = self._store.content(document.doc_id)
        if content is None:
            return LoadError("it was deleted meanwhile", path)
        return whole_document(*content)

    def keeps_lines(self, document: Document) -> bool:
        """Whether a document's text has the lines of its file."""
        row = self._parser.formats.of_kind(document.kind)
        return row is not None and row.keeps_lines

    def chunks(self, document: DocumentInfo, citation: Citation) -> list[Hit]:
        """What the index holds of the place that a citation names."""
        return self._store.chunks_at(document.doc_id, citation.start, citation.end)


def check_citation(citation: Citation, resolver: CitationResolver) -> CitationCheck:
    """Look one citation up in the index and in its file."""
    info = resolver.find(citation)
    if info is None:
        file = resolver.last_file(citation)
        detail = "the index holds this document no more"
        return CitationCheck(citation, "missing", detail, str(file or ""))
    path = Path(info.root) / info.path
    document = resolver.load(info)
    if isinstance(document, LoadError):
        within = container_of(path.as_posix())
        if path.exists() or (within and Path(within[0]).exists()):
            return CitationCheck(
                citation, "unreadable", f"it cannot be read: {document}", str(path)
            )
        return CitationCheck(citation, "missing", "the file is gone", str(path))
    place = info.path if info.origin == "program" else str(path)
    check = _placed(citation, document, place, lines=resolver.keeps_lines(document))
    state, detail = _state(check, info, document, resolver.chunks(info, citation))
    return replace(check, state=state, detail=detail)


def _placed(citation: Citation, document: Document, file: str, *, lines: bool) -> CitationCheck:
    """Find the quote in the file's text: at its offsets, else where it stands first."""
    text, start = document.text, citation.start
    if start < 0 or text[start : citation.end] != citation.quote:
        start = text.find(citation.quote)
    if start < 0:
        return CitationCheck(citation, "holds", file=file)
    end = start + len(citation.quote)
    return CitationCheck(
        citation,
        "holds",
        file=file,
        start=start,
        end=end,
        line=text.count("\n", 0, start) + 1 if lines else None,
        before=text[max(0, start - CONTEXT_CHARS) : start],
        after=text[end : end + CONTEXT_CHARS],
    )


def _state(
    check: CitationCheck, info: DocumentInfo, document: Document, chunks: Sequence[Hit]
) -> tuple[CitationState, str]:
    citation = check.citation
    there = (check.start, check.end) == (citation.start, citation.end)
    if document.file_sha256 != citation.file_sha256:
        place = "the quote still stands at its place" if there else _elsewhere(check)
        return "changed", f"the file has changed since; {place}"
    if info.doc_id != citation.doc_id:
        return "changed", f"the file was moved or copied to {info.path}"
    if info.file_sha256 != citation.file_sha256:
        return "changed", "the index holds another state of the file; index it again"
    indexed = _stands_in(chunks, citation)
    if not (there or indexed):
        return "differs", (
            f"the file is the same, but this text does not stand at characters "
            f"{citation.start}-{citation.end}; {_elsewhere(check)}"
        )
    if there != indexed:
        one, other = ("file", "index") if there else ("index", "file")
        return "differs", f"the {one} has the quote at its place, the {other} as read now has not"
    wrong = _wrong_field(citation, info, document, chunks)
    return ("differs", wrong) if wrong else ("holds", "")


def _elsewhere(check: CitationCheck) -> str:
    if check.start is None:
        return "the quote is nowhere in it"
    return f"the quote stands at characters {check.start}-{check.end}"


def _stands_in(chunks: Sequence[Hit], citation: Citation) -> bool:
    """True if the chunks hold the quote at its offsets; chunks leave out only white space."""
    held = {
        offset: chunk.text[offset - chunk.start]
        for chunk in chunks
        for offset in range(max(chunk.start, citation.start), min(chunk.end, citation.end))
    }
    return len(citation.quote) == citation.end - citation.start and all(
        held.get(offset, char if char.isspace() else "") == char
        for offset, char in enumerate(citation.quote, citation.start)
    )


def _is_heading(citation: Citation, chunk: Sequence[str], document: Document) -> bool:
    """Whether the headings are a chunk's, or those with what stands between them and the place."""
    if citation.heading == chunk:
        return True
    above = headings_above(document.text, citation.start)
    inner = citation.heading[len(chunk) :]
    known = citation.heading[: len(chunk)] == chunk
    return bool(chunk) and bool(inner) and known and above[-len(inner) :] == inner


def _wrong_field(
    citation: Citation, info: DocumentInfo, document: Document, chunks: Sequence[Hit]
) -> str:
    """Name the first thing that the citation says wrongly of its place, "" if all is right."""
    pages = [p.number for p in document.pages if p.start <= citation.start and p.start < p.end]
    headings = [chunk.heading for chunk in chunks]
    found = {
        "path": (citation.path, info.path),
        "title": (citation.title, info.title),
        "page": (citation.page, pages[-1] if pages else None),
        "heading": (citation.heading, headings[0] if headings else ()),
    }
    if any(_is_heading(citation, heading, document) for heading in headings):
        del found["heading"]
    return "; ".join(f"its {k} is {b!r}, not {a!r}" for k, (a, b) in found.items() if a != b)
