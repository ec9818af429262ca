"""PowerPoint: the slides in the order in which they are shown, each a page of Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.charts import chart_series, chart_title, plain_text
from ragkit.ingest.load.readers.formulas import MATH, linear_formula
from ragkit.ingest.load.readers.list_numbers import list_number
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter
from ragkit.ingest.load.readers.open_xml import OpenXmlPackage, Relation
from ragkit.ingest.load.readers.page_texts import PageTexts, numbered, places
from ragkit.ingest.load.readers.pptx_hidden import SeenText, SlideGrounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lxml.etree import _Element

    Element: TypeAlias = _Element
    Relations: TypeAlias = dict[str, Relation]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_SKIPPED = frozenset(
    [_A + tag for tag in ("pPr", "rPr", "endParaRPr", "tblPr", "tcPr", "bodyPr")]
    + ["{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"]
)
_FORMULAS = (MATH + "oMath", MATH + "oMathPara")
_TITLES = ("title", "ctrTitle")
_LISTED = ("body", "obj", "")  # placeholders whose paragraphs are points unless they say otherwise
_FURNITURE = ("ftr", "hdr", "dt")
_NUMBERINGS = (
    ("alphaLc", "a"), ("alphaUc", "A"), ("romanLc", "i"), ("romanUc", "I"),
    ("circleNum", "decimalEnclosedCircle"), ("ea1", "chineseCounting"),
)  # fmt: skip
_WORDS_OF_ALT = 2


def read_pptx(data: bytes, name: str) -> Parsed:
    """Read a presentation; each slide is a page.

    Titles become headings, points ``- `` lines, tables those of Markdown, charts tables of their
    values. A slide's notes and comments stand at its end, footers once. Hidden slides and
    struck-out text are left out and noted; text that nobody sees is left out and counted in
    ``metadata["hidden"]``: hidden shapes, those beside the slide, and what `SeenText` tells.

    Raises:
        LoadError: The file is encrypted, broken, or would unpack to too much.
    """
    package = OpenXmlPackage(data, name, label="PPTX", main="ppt/presentation.xml")
    deck = _Deck(package, SlideGrounds(package))
    pages = PageTexts()
    titles: list[str] = []
    for number, part in enumerate(_slides(package), start=1):
        root = package.xml(part)
        if root is None:
            pages.fail(number, "it is missing or broken")
        elif root.get("show") in ("0", "false"):
            deck.hidden_slides.append(number)
        else:
            relations = package.relations(part)
            slide = _Slide(deck, relations, SeenText(deck.grounds, relations, root))
            slide.write(root)
            titles.append(slide.title)
            pages.add(number, slide.text())
    text, found = pages.joined()
    title = package.title() or next(filter(None, titles), "")
    return Parsed(
        text, title, None, found, package.properties() | deck.metadata() | pages.failures()
    )


def _slides(package: OpenXmlPackage) -> list[str]:
    """The parts of the slides, in order; "" for one that the file names without having it."""
    root = package.xml(package.main)
    relations = package.relations(package.main)
    ids = root.iterfind(f"{_P}sldIdLst/{_P}sldId") if root is not None else ()
    found = [relations.get(slide.get(_R + "id", "")) for slide in ids]
    return [relation.target if relation else "" for relation in found]


@dataclass
class _Deck:
    """What all slides have in common, and what is noted of them."""

    package: OpenXmlPackage
    grounds: SlideGrounds
    footers: set[str] = field(default_factory=set)
    hidden_slides: list[int] = field(default_factory=list)
    hidden: int = 0
    struck: int = 0
    authors: dict[str, str] | None = None

    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {"hidden": self.hidden} if self.hidden else {}
        notes = []
        if self.hidden_slides:
            notes.append(f"{numbered('hidden slide', self.hidden_slides)} left out")
        if self.struck:
            notes.append(f"struck-out text was left out in {places(self.struck)}")
        notes += [f"its part {part} is missing or broken" for part in self.package.missing if part]
        return found | ({"notes": notes} if notes else {})

    def author(self, number: str) -> str:
        """The name of a comment's author, or ""."""
        if self.authors is None:
            relations = self.package.relations(self.package.main)
            root = self.package.part_of("commentAuthors", relations)
            self.authors = (
                {a.get("id", ""): a.get("name", "") for a in root} if root is not None else {}
            )
        return self.authors.get(number, "")


class _Slide:
    """Writes one slide, without recursion.

    Attributes:
        title: Its own.
    """

    def __init__(self, deck: _Deck, relations: Relations, sight: SeenText) -> None:
        self.title = ""
        self._deck = deck
        self._sight = sight
        self._relations = relations
        self._writer = MarkdownWriter()
        self._kind: str | None = None  # of the placeholder at hand; None: a shape of its own
        self._numbers: dict[int, int] = {}
        self._shift = 0

    def text(self) -> str:
        """What was written."""
        return self._writer.text()

    def write(self, root: Element) -> None:
        """Write what is seen of a slide, then its notes and comments."""
        tree = root.find(f"{_P}cSld/{_P}spTree")
        for shape in _title_first(tree if tree is not None else ()):
            self._write_tree(shape)
        for relation in self._relations.values():
            if relation.kind == "notesSlide":
                self._write_notes(relation.target)
            elif relation.kind == "comments":
                self._write_comments(relation.target)

    def _write_tree(self, root: Element) -> None:
        from lxml import etree

        walk: Any = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = element.tag
            if event == "end":
                self._close(element)
            elif tag in _SKIPPED or not self._is_seen(element):
                walk.skip_subtree()
            elif tag in _FORMULAS:
                self._writer.add(f" {linear_formula(element)} ")
                walk.skip_subtree()
            elif act := _OPENINGS.get(tag):
                act(self, element)

    def _is_seen(self, element: Element) -> bool:
        if element.tag in _SHAPES:
            return self._is_shape_seen(element)
        if element.tag != _A + "r":
            return True
        look = element.find(_A + "rPr")
        baseline = look.get("baseline", "0") if look is not None else "0"
        self._shift = 0 if baseline in ("0", "0%") else -1 if baseline.startswith("-") else 1
        is_struck = look is not None and look.get("strike", "noStrike") != "noStrike"
        self._deck.struck += is_struck
        is_unseen = not is_struck and self._sight.is_unseen(element)
        self._deck.hidden += is_unseen and bool(plain_text(element))
        return not is_struck and not is_unseen

    def _is_shape_seen(self, shape: Element) -> bool:
        """Whether a shape is seen here; the text of a footer, the same on each slide, is once."""
        if _is_hidden(shape) or self._sight.is_off(shape):
            self._deck.hidden += any((t.text or "").strip() for t in shape.iter(_A + "t"))
            return False
        self._kind = _placeholder(shape)
        self._numbers.clear()
        if self._kind == "sldNum":
            return False
        if self._kind in _FURNITURE:
            text = plain_text(shape)
            is_new = text not in self._deck.footers
            self._deck.footers.add(text)
            return is_new
        return True

    def _close(self, element: Element) -> None:
        tag, writer = element.tag, self._writer
        if tag == _A + "t":
            writer.add(element.text or "", self._shift)
        elif tag == _A + "br":
            writer.end_line()
        elif tag == _A + "r":
            self._shift = 0
        elif tag == _A + "p":
            writer.end_line()
            writer.list_depth = 0
        elif tag in _SHAPES:
            writer.end_block()
        else:
            self._close_table_part(element)

    def _close_table_part(self, element: Element) -> None:
        if element.tag == _A + "tc":
            self._close_cell(element)
        elif element.tag == _A + "tr":
            self._writer.end_row(is_marked=_is_first_row(element))
        elif element.tag == _A + "tbl":
            self._writer.close_table()

    def _close_cell(self, cell: Element) -> None:
        is_covered = any(cell.get(n) in ("1", "true") for n in ("hMerge", "vMerge"))
        if is_covered:
            self._writer.drop_cell()
            return
        columns, rows = (int(cell.get(n, "1")) for n in ("gridSpan", "rowSpan"))
        self._writer.close_cell(columns=columns, rows=rows)

    def open_paragraph(self, paragraph: Element) -> None:
        """Begin a paragraph: a title, a point, or text."""
        writer = self._writer
        writer.end_line()
        if self._kind in _TITLES:
            text = plain_text(paragraph)
            if not self.title and text:
                writer.end_block()
                writer.mark("# ")
            self.title = f"{self.title} {text}".strip()
        elif mark := self._mark(paragraph):
            writer.item(mark)

    def _mark(self, paragraph: Element) -> str:
        """The mark of a point, "" for a paragraph that is none."""
        look = paragraph.find(_A + "pPr")
        depth = int(look.get("lvl", "0")) if look is not None else 0
        found = {child.tag for child in look} if look is not None else set()
        if _A + "buNone" in found or not plain_text(paragraph):
            return ""
        self._writer.list_depth = 1 + depth
        number = look.find(_A + "buAutoNum") if look is not None else None
        if number is not None:
            count = self._numbers.get(depth, int(number.get("startAt", "1")) - 1) + 1
            self._numbers[depth] = count
            return _numbering(count, number.get("type", ""))
        self._numbers.pop(depth, None)
        has_bullet = bool(found & {_A + "buChar", _A + "buBlip"})
        return "-" if has_bullet or self._kind in _LISTED else ""

    def open_table(self, _table: Element) -> None:
        """Begin a table."""
        self._writer.open_table()

    def open_cell(self, _cell: Element) -> None:
        """Begin a cell of a table."""
        self._writer.open_cell()

    def write_alternative(self, properties: Element) -> None:
        """Write a picture's text alternative, if it is of some words."""
        text = " ".join(properties.get("descr", "").split())
        if len(text.split()) >= _WORDS_OF_ALT or not text.isascii():
            self._add_line(f"[{text}]")

    def write_chart(self, element: Element) -> None:
        """Write a chart as the table of its values."""
        relation = self._relations.get(element.get(_R + "id", ""))
        root = self._deck.package.xml(relation.target) if relation else None
        if root is None:
            return
        if title := chart_title(root):
            self._add_line(title)
        series = chart_series(root)
        if not series:
            return
        categories = max((s.categories for s in series), key=len)
        self._writer.open_table()
        self._write_row(["", *(s.name for s in series)], is_marked=True)
        for i in range(max(len(s.values) for s in series)):
            cells = [s.values[i] if i < len(s.values) else "" for s in series]
            self._write_row([categories[i] if i < len(categories) else "", *cells])
        self._writer.close_table()

    def _write_row(self, cells: Iterable[str], *, is_marked: bool = False) -> None:
        for cell in cells:
            self._writer.open_cell()
            self._writer.add(cell)
            self._writer.close_cell()
        self._writer.end_row(is_marked=is_marked)

    def write_diagram(self, element: Element) -> None:
        """Write the texts of a diagram (SmartArt) as points."""
        relation = self._relations.get(element.get(_R + "dm", ""))
        root = self._deck.package.xml(relation.target) if relation else None
        for point in root.iter(_D + "pt") if root is not None else ():
            text = plain_text(point) if point.get("type", "node") == "node" else ""
            if text:
                self._writer.end_line()
                self._writer.item("-")
                self._writer.add(text)
        self._writer.end_block()

    def _write_notes(self, part: str) -> None:
        root = self._deck.package.xml(part)
        shapes = root.iter(_P + "sp") if root is not None else ()
        for shape in shapes:
            paragraphs = [plain_text(p) for p in shape.iter(_A + "p")]
            if _placeholder(shape) == "body" and any(paragraphs):
                self._add_line("Notes: " + "\n".join(filter(None, paragraphs)))

    def _write_comments(self, part: str) -> None:
        root = self._deck.package.xml(part)
        for comment in root if root is not None else ():
            own = [t.text or "" for t in comment.iterfind(f"{_P}text")]
            text = " ".join("".join(own).split()) or plain_text(comment)
            author = self._deck.author(comment.get("authorId", ""))
            if text:
                self._add_line(f"[Comment by {author}: {text}]" if author else f"[{text}]")

    def _add_line(self, text: str) -> None:
        self._writer.end_block()
        for line in text.split("\n"):
            self._writer.add(line)
            self._writer.end_line()
        self._writer.end_block()


_SHAPES = (_P + "sp", _P + "pic", _P + "graphicFrame", _P + "cxnSp", _P + "grpSp")
_OPENINGS: dict[str, Callable[[_Slide, Element], None]] = {
    _A + "p": _Slide.open_paragraph,
    _A + "tbl": _Slide.open_table,
    _A + "tc": _Slide.open_cell,
    _P + "cNvPr": _Slide.write_alternative,
    _C + "chart": _Slide.write_chart,
    _D + "relIds": _Slide.write_diagram,
}


def _title_first(shapes: Iterable[Element]) -> list[Element]:
    """Shapes in their order, but the title first, which may be drawn last."""
    return sorted(shapes, key=lambda shape: _placeholder(shape) not in _TITLES)


def _properties(shape: Element) -> Element | None:
    """The names, number and visibility of a shape."""
    return next((p for child in list(shape)[:1] for p in child.iterfind(_P + "cNvPr")), None)


def _is_hidden(shape: Element) -> bool:
    found = _properties(shape)
    return found is not None and found.get("hidden") in ("1", "true")


def _placeholder(shape: Element) -> str | None:
    """The kind of the placeholder that a shape fills, "" if it does not say; None: it is none."""
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return None if found is None else found.get("type", "")


def _is_first_row(row: Element) -> bool:
    """Whether a row is the first of a table whose look says that this one names the columns."""
    table = row.getparent()
    look = table.find(_A + "tblPr") if table is not None else None
    is_set = look is not None and look.get("firstRow") in ("1", "true")
    return is_set and table is not None and table.find(_A + "tr") is row


def _numbering(count: int, kind: str) -> str:
    way = next((way for begin, way in _NUMBERINGS if kind.startswith(begin)), "1")
    number = list_number(count, way)
    if kind.endswith("ParenBoth"):
        return f"({number})"
    return number + (")" if kind.endswith("ParenR") else ".")
