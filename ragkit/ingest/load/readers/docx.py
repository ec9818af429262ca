"""DOCX: what Word shows of a document, in order, as lines marked as Markdown marks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.docx_numbering import Numbering
from ragkit.ingest.load.readers.docx_styles import (
    RunLook,
    Style,
    Styles,
    W,
    look_of,
    numbering_of,
    outline_level,
    shade_of,
    value_of,
)
from ragkit.ingest.load.readers.docx_symbols import known_symbols, symbol
from ragkit.ingest.load.readers.formulas import MATH, linear_formula
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter
from ragkit.ingest.load.readers.open_xml import OpenXmlPackage, Relation
from ragkit.ingest.load.readers.page_furniture import is_page_number
from ragkit.text.raising import raise_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.etree import _Element

    Element: TypeAlias = _Element

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SKIPPED = frozenset(
    [
        W + tag
        for tag in ("del", "moveFrom", "instrText", "pPr", "rPr", "tblPr", "tcPr", "trPr", "rt")
    ]
    + [W + tag for tag in ("sectPr", "tblGrid", "sdtPr", "rubyPr", "delText")]
    + ["{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"]
)
_FORMULAS = (MATH + "oMath", MATH + "oMathPara")
_SPACING = {
    W + "tab": "\t",
    W + "ptab": "\t",
    W + "br": "\n",
    W + "cr": "\n",
    W + "noBreakHyphen": "-",
}
_PICTURES = (
    "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr",
    "{urn:schemas-microsoft-com:vml}shape",
)
_UNKNOWN = "auto"
"""A colour that no text is near to: what lies behind a text box or in a styled table."""

_NOTES = {W + "footnoteReference": "footnotes", W + "endnoteReference": "endnotes"}
_PLAIN_TABLES = ("", "TableGrid", "TableNormal", "a1", "a3")
_LISTS = ("List Bullet", "List Number", "ListBullet", "ListNumber", "List 2", "List 3")


def read_docx(data: bytes, name: str) -> Parsed:
    """Read a Word document.

    Headings, by their style or outline level, become ``# `` lines, list paragraphs ``- `` lines or
    the number that Word counts, tables those of Markdown. Formulas are written on the line;
    footnotes and comments stand below their paragraph; headers and footers, each once, at the end.
    Deleted text is left out and inserted text kept. Text that nobody sees is left out and counted
    in ``metadata["hidden"]``; what is struck out is left out and noted.

    Raises:
        LoadError: The file is encrypted or broken.
    """
    package = OpenXmlPackage(data, name, label="DOCX", main="word/document.xml")
    root = package.xml(package.main)
    relations = package.relations(package.main)
    shared = _Shared(
        package,
        Styles(package.part_of("styles", relations)),
        Numbering(package.part_of("numbering", relations)),
        name,
    )
    body = _Story(shared, package.main, relations)
    if root is not None:
        background = root.find(W + "background")
        colour = background.get(W + "color", "") if background is not None else ""
        body.write(root, ground=colour if len(colour) == 6 else None)
        body.write_margins(root)
    return Parsed(
        body.writer.text(), package.title(), metadata=package.properties() | shared.metadata()
    )


@dataclass
class _Shared:
    """What all stories of a document have in common, and what is noted of them."""

    package: OpenXmlPackage
    styles: Styles
    numbering: Numbering
    name: str
    hidden: int = 0
    struck: int = 0
    not_read: list[str] = field(default_factory=list)
    notes: int = 0

    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {"hidden": self.hidden} if self.hidden else {}
        notes = []
        if self.struck:
            places = "1 place" if self.struck == 1 else f"{self.struck} places"
            notes.append(f"struck-out text was left out in {places}")
        notes += [f"its part {part} is missing or broken" for part in self.package.missing]
        notes += self.not_read
        return found | ({"notes": notes} if notes else {})


class _Story:
    """One story of a document: its body, a note, a header. Written without recursion.

    Attributes:
        writer: Has the text at the end.
    """

    def __init__(self, shared: _Shared, part: str, relations: dict[str, Relation]) -> None:
        self.writer = MarkdownWriter()
        self._shared = shared
        self._part = part
        self._relations = relations
        self._paragraphs: list[Style] = []
        self._grounds: list[str | None] = [None]
        self._look = RunLook()
        self._below: list[str] = []
        self._notes: dict[str, dict[str, str]] = {}

    def write(self, root: Element, ground: str | None = None) -> None:
        """Write everything in an element that is seen on a ground of a colour; None: white."""
        from lxml import etree

        self._grounds = [ground]
        walk: Any = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = element.tag
            if event == "end":
                self._close(element)
            elif tag in _SKIPPED or (tag == W + "r" and not self._open_run(element)):
                walk.skip_subtree()
            elif tag in _FORMULAS:
                self._write_formula(element)
                walk.skip_subtree()
            else:
                self._open(element)

    def write_margins(self, root: Element) -> None:
        """Write the headers and footers of all sections, each text once."""
        seen: dict[str, None] = {}
        for kind in ("header", "footer"):
            for reference in root.iter(W + kind + "Reference"):
                relation = self._relations.get(reference.get(_R + "id", ""))
                found = self._shared.package.xml(relation.target) if relation else None
                if relation and found is not None:
                    numbers = _has_page_number(found)
                    lines = self._told(found, relation.target).split("\n")
                    seen |= {n: None for n in lines if not (numbers and is_page_number(n))}
        for line in filter(str.strip, seen):
            self._add_line(line)

    def _told(self, root: Element, part: str) -> str:
        """The text of another story."""
        relations = self._shared.package.relations(part) if part != self._part else self._relations
        story = _Story(self._shared, part, relations)
        story.write(root)
        return story.writer.text()

    def _open(self, element: Element) -> None:
        act = _OPENINGS.get(element.tag)
        if act:
            act(self, element)

    def _close(self, element: Element) -> None:
        tag, writer = element.tag, self.writer
        if tag == W + "t":
            text = known_symbols(self._look.font or "", element.text or "")
            writer.add(text, self._look.shift or 0)
        elif tag in _SPACING:
            writer.add(_SPACING[tag])
        elif tag in _CLOSINGS:
            _CLOSINGS[tag](self, element)

    # Runs ---------------------------------------------------------------------------------------

    def _open_run(self, run: Element) -> bool:
        """Take on the look of a run; False if nobody sees it or it is struck out."""
        styles = self._shared.styles
        properties = run.find(W + "rPr")
        paragraph = self._paragraphs[-1].look if self._paragraphs else styles.default
        look = paragraph
        if properties is not None:
            style = styles.get(value_of(properties, "rStyle")).look if len(properties) else look
            look = look_of(properties).over(style).over(paragraph)
        self._look = look
        unseen = look.is_unseen(self._grounds[-1])
        if not (unseen or look.is_struck):
            return True
        if any((text.text or "").strip() for text in run.iter(W + "t")):
            self._shared.hidden += unseen
            self._shared.struck += not unseen
        return False

    def _write_formula(self, element: Element) -> None:
        text = linear_formula(element)
        is_apart = element.tag == MATH + "oMathPara"
        self.writer.add(f" {text} " if is_apart else text)

    def write_symbol(self, element: Element) -> None:
        """Write a character of a symbol font."""
        self.writer.add(symbol(element.get(W + "font", ""), element.get(W + "char", "")))

    def write_alternative(self, element: Element) -> None:
        """Write a picture's text alternative, if it is of some words."""
        text = " ".join((element.get("descr") or element.get("alt") or "").split())
        if len(text.split()) > 1 or not text.isascii():
            self.writer.add(f" [{text}] ")

    # Notes and other parts ----------------------------------------------------------------------

    def write_note(self, element: Element) -> None:
        """Write the mark of a note; its text stands below the paragraph."""
        kind = _NOTES[element.tag]
        if text := self._texts_of(kind).get(element.get(W + "id", "")):
            self._shared.notes += 1
            number = str(self._shared.notes)
            self.writer.add(number, 1)
            self._below.append(f"{raise_text('', number)} {text}")

    def write_comment(self, element: Element) -> None:
        """Keep a comment for below the paragraph."""
        if text := self._texts_of("comments").get(element.get(W + "id", "")):
            self._below.append(f"[{text}]")

    def _texts_of(self, kind: str) -> dict[str, str]:
        """The notes or comments of the document, by id."""
        if kind not in self._notes:
            found: dict[str, str] = {}
            self._notes[kind] = found
            target = next((r.target for r in self._relations.values() if r.kind == kind), None)
            root = self._shared.package.xml(target) if target else None
            for element in root if root is not None else ():
                if target and element.get(W + "type", "normal") == "normal":
                    text = " ".join(self._told(element, target).split())
                    author = element.get(W + "author")
                    said = f"Comment by {author}: {text}" if author else text
                    found[element.get(W + "id", "")] = said if text else ""
        return self._notes[kind]

    def write_chunk(self, element: Element) -> None:
        """Write what stands in a file of another format within the document."""
        relation = self._relations.get(element.get(_R + "id", ""))
        data = self._shared.package.read(relation.target) if relation else None
        if relation is None or data is None:
            return
        read = _chunk_reader(relation.target)
        try:
            parsed = read(data, self._shared.name) if read else None
        except (LoadError, UnsupportedFormatError):
            parsed = None
        if parsed is None:
            self._shared.not_read.append(f"its part {relation.target} was not read")
            return
        for block in parsed.text.split("\n\n"):
            self.writer.end_block()
            for line in block.split("\n"):
                self.writer.add(line)
                self.writer.end_line()
        self.writer.end_block()

    def _write_below(self) -> None:
        """Write the notes of the paragraphs that ended, each a paragraph of its own."""
        if self.writer.in_cell:
            return
        below, self._below = self._below, []
        for line in below:
            self._add_line(line)

    def _add_line(self, line: str) -> None:
        self.writer.end_block()
        self.writer.add(line)
        self.writer.end_block()

    # Blocks -------------------------------------------------------------------------------------

    def open_paragraph(self, element: Element) -> None:
        """Begin a paragraph: a heading, a list item, or text."""
        shared, writer = self._shared, self.writer
        writer.end_line()
        style = shared.styles.get(value_of(element, "pPr/pStyle") or shared.styles.paragraph)
        self._paragraphs.append(style)
        self._grounds.append(shade_of(element.find(W + "pPr")) or style.shade or self._grounds[-1])
        level = outline_level(element)
        level = style.level if level is None else level
        numbering = numbering_of(element) or style.numbering
        mark = shared.numbering.mark(numbering) if numbering and not _is_deleted(element) else ""
        if level:
            writer.end_block()
            number = f"{mark} " if mark not in ("", "-") else ""
            writer.mark("#" * min(level, 6) + " " + number)
        elif mark or (numbering is None and style.name.startswith(_LISTS)):
            writer.list_depth = 1 + (numbering[1] if numbering else 0)
            writer.item(mark or "-")
        else:
            writer.end_block()

    def close_paragraph(self, _element: Element) -> None:
        """End a paragraph."""
        self.writer.end_line()
        self.writer.list_depth = 0
        self._paragraphs.pop()
        self._grounds.pop()
        self._write_below()

    def open_table(self, element: Element) -> None:
        """Begin a table."""
        self.writer.open_table()
        is_plain = value_of(element, "tblPr/tblStyle") in _PLAIN_TABLES
        self._grounds.append(self._grounds[-1] if is_plain else _UNKNOWN)

    def close_table(self, _element: Element) -> None:
        """End a table."""
        self.writer.close_table()
        self._grounds.pop()
        self._write_below()

    def close_row(self, element: Element) -> None:
        """End a row."""
        header = element.find(f"{W}trPr/{W}tblHeader")
        is_marked = header is not None and header.get(W + "val", "1") not in ("0", "false", "off")
        self.writer.end_row(is_marked=is_marked)

    def open_cell(self, element: Element) -> None:
        """Begin a cell."""
        self.writer.open_cell()
        self._grounds.append(shade_of(element.find(W + "tcPr")) or self._grounds[-1])

    def close_cell(self, element: Element) -> None:
        """End a cell."""
        self._grounds.pop()
        span = value_of(element, "tcPr/gridSpan")
        merged = element.find(f"{W}tcPr/{W}vMerge")
        self.writer.close_cell(
            columns=int(span) if span.isdigit() else 1,
            goes_on=merged is not None and merged.get(W + "val", "continue") == "continue",
        )

    def open_box(self, _element: Element) -> None:
        """Begin a text box, whose ground is not known."""
        self._grounds.append(_UNKNOWN)

    def close_box(self, _element: Element) -> None:
        """End a text box."""
        self._grounds.pop()


_OPENINGS: dict[str, Callable[[_Story, Element], None]] = dict.fromkeys(
    _PICTURES, _Story.write_alternative
) | {
    W + "p": _Story.open_paragraph,
    W + "tbl": _Story.open_table,
    W + "tc": _Story.open_cell,
    W + "txbxContent": _Story.open_box,
    W + "sym": _Story.write_symbol,
    W + "footnoteReference": _Story.write_note,
    W + "endnoteReference": _Story.write_note,
    W + "commentReference": _Story.write_comment,
    W + "altChunk": _Story.write_chunk,
}
_CLOSINGS: dict[str, Callable[[_Story, Element], None]] = {
    W + "p": _Story.close_paragraph,
    W + "tbl": _Story.close_table,
    W + "tr": _Story.close_row,
    W + "tc": _Story.close_cell,
    W + "txbxContent": _Story.close_box,
}


def _is_deleted(element: Element) -> bool:
    """Say whether a paragraph is deleted whole, so that Word does not count it."""
    return element.find(f"{W}pPr/{W}rPr/{W}del") is not None


def _has_page_number(root: Element) -> bool:
    """Say whether a header or footer holds a field that numbers the pages."""
    codes = [str(e.text or "") for e in root.iter(W + "instrText")]
    codes += [e.get(W + "instr", "") for e in root.iter(W + "fldSimple")]
    return any("PAGE" in code.upper() for code in codes)


def _chunk_reader(part: str) -> Callable[[bytes, str], Parsed] | None:
    """What reads a part of another format, by its name."""
    suffix = part.rpartition(".")[2].lower()
    if suffix in ("html", "htm", "xhtml"):
        from ragkit.ingest.load.readers.html import read_html

        return read_html
    if suffix in ("mht", "mhtml"):
        return _read_archived_page
    if suffix == "rtf":
        from ragkit.ingest.load.readers.rtf import read_rtf

        return read_rtf
    if suffix in ("docx", "docm", "dotx"):
        return read_docx
    if suffix == "txt":
        from ragkit.ingest.load.readers.text import read_text

        return read_text
    return None


def _read_archived_page(data: bytes, name: str) -> Parsed:
    """Read a web page with all that belongs to it, as a mail of several parts (MHTML)."""
    from email import message_from_bytes, policy

    from ragkit.ingest.load.readers.html import read_html

    message = message_from_bytes(data, policy=policy.default)
    page = next((part for part in message.walk() if part.get_content_type() == "text/html"), None)
    content = page.get_payload(decode=True) if page is not None else data
    return read_html(content if isinstance(content, bytes) else data, name)
