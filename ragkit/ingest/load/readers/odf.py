"""OpenDocument texts and presentations: what LibreOffice shows of them, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.formulas import linear_formula
from ragkit.ingest.load.readers.list_numbers import list_number
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter
from ragkit.ingest.load.readers.odp_seen import WHITE, SlidesSeen
from ragkit.ingest.load.readers.page_texts import PageTexts, numbered, places
from ragkit.ingest.load.readers.properties import xml_properties
from ragkit.ingest.load.readers.zip_parts import OLE, ZipParts, part_path
from ragkit.text.raising import raise_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lxml.etree import _Element

    Element: TypeAlias = _Element

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_OFFICE, _TEXT, _TABLE, _DRAW, _STYLE, _PRESENTATION, _SVG, _FO = (
    _NS % n
    for n in (
        "office", "text", "table", "drawing", "style", "presentation", "svg-compatible",
        "xsl-fo-compatible",
    )
)  # fmt: skip
_XLINK = "{http://www.w3.org/1999/xlink}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_MANIFEST = _NS % "manifest"
_TINY = 1.0  # points
_GROUNDS = (_TABLE + "table-cell", _TEXT + "section")
_SKIPPED = frozenset(
    [_TEXT + tag for tag in ("tracked-changes", "ruby-text", "hidden-text", "page-number")]
    + [_TEXT + tag for tag in ("sequence-decls", "variable-decls", "page-count", "note-citation")]
    + [_PRESENTATION + tag for tag in ("notes", "date-time", "footer", "header")]
    + [_OFFICE + "forms", _OFFICE + "event-listeners", _DRAW + "image", _DRAW + "param"]
)
_MOST_REPEATS = 256
_WORDS_OF_ALT = 2


def read_odt(data: bytes, name: str) -> Parsed:
    """Read a text; headings, lists and tables are those of Markdown.

    Notes and comments stand below their paragraph. Deleted text is left out; so is what is hidden,
    which ``metadata["hidden"]`` counts, and what is struck out, which is noted.

    Raises:
        LoadError: The file is encrypted, broken, or would unpack to too much.
    """
    file = _OdfFile(data, name, "ODT")
    body = file.body("text")
    story = _OdfStory(file)
    story.write(body)
    return Parsed(story.text(), file.title(), metadata=file.metadata())


def read_odp(data: bytes, name: str) -> Parsed:
    """Read a presentation; each slide is a page, with its notes at its end.

    Hidden slides are left out and noted. Shapes that are switched off or beside the slide are left
    out and counted, as is white text on a slide on which nothing has a colour. For the rest see
    `read_odt`.

    Raises:
        LoadError: As for `read_odt`.
    """
    file = _OdfFile(data, name, "ODP")
    pages = PageTexts()
    titles: list[str] = []
    for number, slide in enumerate(file.body("presentation").iterfind(_DRAW + "page"), start=1):
        if file.styles.is_hidden_page(slide):
            file.hidden_slides.append(number)
            continue
        story = _OdfStory(file)
        story.write_slide(slide)
        titles.append(story.title)
        pages.add(number, story.text())
    text, found = pages.joined()
    title = file.title() or next(filter(None, titles), "")
    return Parsed(text, title, None, found, file.metadata())


@dataclass(frozen=True, slots=True)
class _Look:
    """What of a style decides what is read; None: the style does not say."""

    shift: int | None = None
    is_hidden: bool | None = None
    is_struck: bool | None = None
    is_white: bool | None = None
    is_on_ground: bool | None = None  # something may lie behind that is not white

    def over(self, below: _Look) -> _Look:
        own = ((f.name, getattr(self, f.name)) for f in fields(self))
        return replace(below, **{name: value for name, value in own if value is not None})

    @property
    def is_unseen(self) -> bool:
        return bool(self.is_hidden or (self.is_white and not self.is_on_ground))


class _OdfStyles:
    """The styles of a document, by name."""

    def __init__(self, roots: Iterable[Element | None]) -> None:
        self._styles: dict[str, Element] = {}
        self._lists: dict[str, dict[int, Element]] = {}
        self._looks: dict[str, _Look] = {"": _Look()}
        self.is_paper_white = True
        for root in roots:
            for page in root.iter(_STYLE + "page-layout-properties") if root is not None else ():
                picture = page.find(f"{_STYLE}background-image[@{_XLINK}href]")
                self.is_paper_white &= not _has_ground(page) and picture is None
            for style in root.iter(_STYLE + "style") if root is not None else ():
                self._styles[style.get(_STYLE + "name", "")] = style
            for style in root.iter(_TEXT + "list-style") if root is not None else ():
                levels = {int(e.get(_TEXT + "level", "1")): e for e in style}
                self._lists[style.get(_STYLE + "name", "")] = levels

    def look(self, name: str) -> _Look:
        """How text of a style looks, with what the styles that it is based on say."""
        if name not in self._looks:
            self._looks[name] = _Look()  # for styles based on each other in a circle
            style = self._styles.get(name)
            if style is not None:
                own = _own_look(style.find(_STYLE + "text-properties"))
                if _has_ground(style.find(_STYLE + "paragraph-properties")):
                    own = replace(own, is_on_ground=True)
                parent = style.get(_STYLE + "parent-style-name", "")
                self._looks[name] = own.over(self.look(parent))
        return self._looks[name]

    def list_level(self, name: str, level: int) -> Element | None:
        """How a list of a style marks its items on a level from 1."""
        return self._lists.get(name, {}).get(level)

    def list_of(self, paragraph_style: str) -> str:
        """The list style that a style of headings or paragraphs brings along."""
        style = self._styles.get(paragraph_style)
        return style.get(_STYLE + "list-style-name", "") if style is not None else ""

    def is_hidden_page(self, page: Element) -> bool:
        """Whether a slide is left out when the slides are shown."""
        style = self._styles.get(page.get(_DRAW + "style-name", ""))
        found = style.find(_STYLE + "drawing-page-properties") if style is not None else None
        return found is not None and found.get(_PRESENTATION + "visibility") == "hidden"


def _own_look(properties: Element | None) -> _Look:
    if properties is None:
        return _Look()
    place = properties.get(_STYLE + "text-position", "").split(" ")[0]
    raised = {"super": 1, "sub": -1}.get(place)
    if raised is None and place.rstrip("%").lstrip("-").isdigit():
        amount = int(place.rstrip("%"))
        raised = (amount > 0) - (amount < 0)
    display = properties.get(_TEXT + "display")
    line = properties.get(_STYLE + "text-line-through-style")
    kind = properties.get(_STYLE + "text-line-through-type")
    struck = None if line is None and kind is None else "none" not in (line, kind)
    size = properties.get(_FO + "font-size", "")
    is_tiny = size.endswith("pt") and _number(size.removesuffix("pt")) <= _TINY
    is_hidden = True if is_tiny else None if display is None else display == "none"
    colour = properties.get(_FO + "color")
    is_white = None if colour is None else colour.lower() in WHITE
    drawn = properties.get(_FO + "text-shadow"), properties.get(_STYLE + "text-outline")
    is_drawn = any(value not in (None, "none", "false") for value in drawn)
    return _Look(raised, is_hidden, struck, is_white, is_drawn or _has_ground(properties))


def _has_ground(properties: Element | None) -> bool | None:
    """Whether a colour that is not white is put behind a text; None where nothing is said."""
    stated = properties.get(_FO + "background-color") if properties is not None else None
    return None if stated in (None, "transparent") else stated.lower() not in WHITE


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return _TINY + 1


class _OdfFile:
    """A file's parts, its styles, and what is noted of it."""

    def __init__(self, data: bytes, name: str, label: str) -> None:
        if data.startswith(OLE[:4]):
            msg = f"an old office file under the name of an .{label.lower()}"
            raise LoadError(msg, name)
        self.hidden_slides: list[int] = []
        self.hidden = self.struck = self.notes = 0
        self._parts = ZipParts(data, name, label)
        self._name, self._label = name, label
        manifest = self._parts.xml_if_any("META-INF/manifest.xml")
        locks = manifest.iter(_MANIFEST + "encryption-data") if manifest is not None else ()
        if any(True for _ in locks):
            msg = "is encrypted: it opens with a password only"
            raise LoadError(msg, name)
        self._content = self._parts.xml("content.xml")
        roots = self._parts.xml_if_any("styles.xml"), self._content
        self.styles = _OdfStyles(roots)
        self.slides = SlidesSeen(roots if label == "ODP" else ())

    def body(self, kind: str) -> Element:
        """What is written, ``text`` or ``presentation``.

        Raises:
            LoadError: It is a document of another kind.
        """
        found = self._content.find(f"{_OFFICE}body/{_OFFICE}{kind}")
        if found is None:
            raise self._parts.broken(ValueError(f"it holds no {kind}"))
        return found

    def formula(self, reference: str) -> str:
        """The formula in an object that is embedded, "" if it is something else."""
        part = part_path("content.xml", reference) + "/content.xml"
        root = self._parts.xml_if_any(part)
        if root is None or not str(root.tag).endswith("}math"):
            return ""
        return linear_formula(root)

    def title(self) -> str:
        """The title that the file's properties name, or ""."""
        meta = self._parts.xml_if_any("meta.xml")
        found = next(meta.iter(_DC + "title"), None) if meta is not None else None
        return clean_title((found.text or "") if found is not None else "")

    def metadata(self) -> dict[str, Any]:
        """What is told of the file."""
        found = xml_properties(self._parts.xml_if_any("meta.xml"))
        found |= {"hidden": self.hidden} if self.hidden else {}
        notes = []
        if self.hidden_slides:
            notes.append(f"{numbered('hidden slide', self.hidden_slides)} left out")
        if self.struck:
            notes.append(f"struck-out text was left out in {places(self.struck)}")
        return found | ({"notes": notes} if notes else {})


@dataclass
class _OdfList:
    """An open list: its style, and how many items it has so far."""

    style: str
    count: int = 0


class _OdfStory:
    """Writes a text or a slide, without recursion.

    Attributes:
        title: That of a slide.
    """

    def __init__(self, file: _OdfFile) -> None:
        self.title = ""
        self._file = file
        self._writer = MarkdownWriter()
        self._lists: list[_OdfList] = []
        self._last: dict[str, int] = {}  # the numbers at which lists of a style ended
        self._looks = [_Look()]
        self._below: list[str] = []
        self._is_title = False
        self._is_bare = False

    def text(self) -> str:
        """What was written."""
        return self._writer.text()

    def write_slide(self, slide: Element) -> None:
        """Write a slide, its title first, and its notes."""
        slides = self._file.slides
        self._is_bare = slides.is_bare(slide)
        frames = sorted(slide, key=lambda e: e.get(_PRESENTATION + "class") != "title")
        for frame in frames:
            if frame.tag == _PRESENTATION + "notes":
                continue
            if not slides.is_shown(frame, slide):
                self._file.hidden += any(str(text).strip() for text in frame.itertext())
                continue
            self._is_title = frame.get(_PRESENTATION + "class") == "title"
            self.write(frame)
            self._writer.end_block()
        self._is_title = False
        notes = slide.find(_PRESENTATION + "notes")
        boxes = notes.iter(_DRAW + "text-box") if notes is not None else ()
        said = [self._told(box) for box in boxes]
        for text in filter(None, said):
            self._add_line("Notes: " + text)

    def write(self, root: Element) -> None:
        """Write everything in an element that is seen."""
        from lxml import etree

        walk: Any = etree.iterwalk(root, events=("start", "end"))
        left_out: Element | None = None
        for event, element in walk:
            if event == "end":
                if element is not left_out:
                    self._close(element)
                if element.tail and element is not root and _is_inline(element):
                    self._add(element.tail)
            elif element.tag in _SKIPPED or not self._open(element):
                left_out = element
                walk.skip_subtree()
            elif element.text and element.tag in _INLINE:
                self._add(element.text)

    def _add(self, text: str) -> None:
        look = self._looks[-1]
        if look.is_unseen or look.is_struck:
            self._file.hidden += bool(look.is_unseen and text.strip())
            self._file.struck += bool(look.is_struck and not look.is_unseen and text.strip())
            return
        if self._is_title:
            self.title = f"{self.title} {' '.join(text.split())}".strip()
        self._writer.add(text, look.shift or 0)

    def _open(self, element: Element) -> bool:
        """Begin an element; False if all that is in it is written or left out."""
        act = _OPENINGS.get(element.tag)
        return act is None or act(self, element)

    def _close(self, element: Element) -> None:
        act = _CLOSINGS.get(element.tag)
        if act:
            act(self, element)

    # Paragraphs and lists -----------------------------------------------------------------------

    def open_heading(self, heading: Element) -> bool:
        """Begin a heading."""
        self._writer.end_block()
        level = _whole(heading.get(_TEXT + "outline-level"), 1)
        self._writer.mark("#" * max(1, min(level, 6)) + " ")
        return self._push(heading)

    def open_paragraph(self, paragraph: Element) -> bool:
        """Begin a paragraph; the first of an item has the item's mark."""
        writer = self._writer
        if self._is_title and not writer.in_cell:
            writer.end_block()
            writer.mark("# ")
        elif not self._lists:
            writer.end_block()
        elif not writer.marked:
            writer.end_line()
        return self._push(paragraph)

    def close_paragraph(self, _paragraph: Element) -> None:
        """End a paragraph or heading, and write the notes on it."""
        self._looks.pop()
        self._writer.end_line()
        self._write_below()

    def _push(self, element: Element) -> bool:
        look = self._file.styles.look(element.get(_TEXT + "style-name", ""))
        look = look.over(self._looks[-1])
        if look.is_white and not look.is_on_ground and self._may_be_on_ground(element):
            look = replace(look, is_on_ground=True)
        self._looks.append(look)
        return True

    def _may_be_on_ground(self, element: Element) -> bool:
        """Whether something may lie behind a text: a page, cell, box or section of any colour."""
        if self._is_bare:
            return False
        outer = (str(above.tag) for above in element.iterancestors())
        return not self._file.styles.is_paper_white or any(
            tag.startswith(_DRAW) or tag in _GROUNDS for tag in outer
        )

    def open_span(self, span: Element) -> bool:
        """Begin text of another look."""
        return self._push(span)

    def close_span(self, _span: Element) -> None:
        """End it."""
        self._looks.pop()

    def open_list(self, element: Element) -> bool:
        """Begin a list; one without a style of its own has that of the list around it."""
        around = self._lists[-1].style if self._lists else ""
        style = element.get(_TEXT + "style-name", "") or around
        goes_on = element.get(_TEXT + "continue-numbering") == "true" or (
            _TEXT + "continue-list" in element.attrib
        )
        begun = self._last.get(style, 0) if goes_on else 0
        before = element.getprevious()
        if not self._lists and (before is None or before.tag != _TEXT + "list"):
            self._writer.end_block()
        self._lists.append(_OdfList(style, begun))
        self._writer.list_depth = len(self._lists)
        return True

    def close_list(self, _element: Element) -> None:
        """End a list."""
        closed = self._lists.pop()
        self._last[closed.style] = closed.count
        self._writer.list_depth = len(self._lists)

    def open_item(self, item: Element) -> bool:
        """Begin an item of a list, with the number that it has."""
        if not self._lists:
            return True
        self._writer.end_line()
        within = self._lists[-1]
        level = self._file.styles.list_level(within.style, len(self._lists))
        begun = _whole(level.get(_TEXT + "start-value"), 1) if level is not None else 1
        within.count = _whole(item.get(_TEXT + "start-value"), max(within.count + 1, begun))
        first = item[0] if len(item) else None
        if first is not None and first.tag == _TEXT + "list":
            within.count -= 1  # it only holds a list that is deeper
        elif item.tag == _TEXT + "list-item":
            self._writer.item(_item_mark(level, within.count))
        return True

    # Tables -------------------------------------------------------------------------------------

    def open_table(self, _table: Element) -> bool:
        """Begin a table."""
        self._writer.open_table()
        return True

    def close_table(self, _table: Element) -> None:
        """End a table."""
        self._writer.close_table()
        self._write_below()

    def _write_below(self) -> None:
        if not self._writer.in_cell:
            below, self._below = self._below, []
            for line in below:
                self._add_line(line)

    def close_row(self, row: Element) -> None:
        """End a row."""
        parent = row.getparent()
        is_marked = parent is not None and parent.tag == _TABLE + "table-header-rows"
        self._writer.end_row(is_marked=is_marked)

    def open_cell(self, _cell: Element) -> bool:
        """Begin a cell."""
        self._writer.open_cell()
        return True

    def close_cell(self, cell: Element) -> None:
        """End a cell, which may stand for several alike."""
        columns = _whole(cell.get(_TABLE + "number-columns-spanned"), 1)
        rows = _whole(cell.get(_TABLE + "number-rows-spanned"), 1)
        repeats = _whole(cell.get(_TABLE + "number-columns-repeated"), 1)
        self._writer.close_cell(columns=max(columns, min(repeats, _MOST_REPEATS)), rows=rows)

    # Pieces -------------------------------------------------------------------------------------

    def write_spaces(self, element: Element) -> bool:
        """Write a tab, spaces or a line's end."""
        self._writer.add("\n" if element.tag == _TEXT + "line-break" else " ")
        return False

    def write_note(self, note: Element) -> bool:
        """Write the mark of a note; its text stands below the paragraph."""
        body = note.find(_TEXT + "note-body")
        text = self._told(body) if body is not None else ""
        if text:
            self._file.notes += 1
            number = str(self._file.notes)
            self._writer.add(number, 1)
            self._below.append(f"{raise_text('', number)} {text}")
        return False

    def write_comment(self, comment: Element) -> bool:
        """Keep a comment for below the paragraph."""
        author = (comment.findtext(_DC + "creator") or "").strip()
        said = [self._told(part) for part in comment if part.tag in (_TEXT + "p", _TEXT + "list")]
        if text := " ".join(filter(None, said)):
            self._below.append(f"[Comment by {author}: {text}]" if author else f"[{text}]")
        return False

    def write_object(self, element: Element) -> bool:
        """Write an embedded formula."""
        if text := self._file.formula(element.get(_XLINK + "href", "")):
            self._writer.add(f" {text} ")
        return False

    def write_alternative(self, element: Element) -> bool:
        """Write a picture's description, if it is of some words."""
        text = " ".join("".join(map(str, element.itertext())).split())
        if len(text.split()) >= _WORDS_OF_ALT or not text.isascii():
            self._writer.add(f" [{text}] ")
        return False

    def open_section(self, section: Element) -> bool:
        """Begin a section, unless it is hidden."""
        if section.get(_TEXT + "display") in (None, "true"):
            return True
        self._file.hidden += any(str(text).strip() for text in section.itertext())
        return False

    def _told(self, element: Element) -> str:
        """The text of a note or comment, on one line."""
        story = _OdfStory(self._file)
        story.write(element)
        return " ".join(story.text().split())

    def _add_line(self, line: str) -> None:
        self._writer.end_block()
        self._writer.add(line)
        self._writer.end_block()


_OPENINGS: dict[str, Callable[[_OdfStory, Element], bool]] = {
    _TEXT + "h": _OdfStory.open_heading,
    _TEXT + "p": _OdfStory.open_paragraph,
    _TEXT + "span": _OdfStory.open_span,
    _TEXT + "list": _OdfStory.open_list,
    _TEXT + "list-item": _OdfStory.open_item,
    _TEXT + "section": _OdfStory.open_section,
    _TEXT + "note": _OdfStory.write_note,
    _OFFICE + "annotation": _OdfStory.write_comment,
    _DRAW + "object": _OdfStory.write_object,
    _DRAW + "object-ole": _OdfStory.write_object,
    _SVG + "desc": _OdfStory.write_alternative,
    _TABLE + "table": _OdfStory.open_table,
    _TABLE + "table-cell": _OdfStory.open_cell,
    _TEXT + "s": _OdfStory.write_spaces,
    _TEXT + "tab": _OdfStory.write_spaces,
    _TEXT + "line-break": _OdfStory.write_spaces,
}
_CLOSINGS: dict[str, Callable[[_OdfStory, Element], None]] = {
    _TEXT + "h": _OdfStory.close_paragraph,
    _TEXT + "p": _OdfStory.close_paragraph,
    _TEXT + "span": _OdfStory.close_span,
    _TEXT + "list": _OdfStory.close_list,
    _TABLE + "table": _OdfStory.close_table,
    _TABLE + "table-row": _OdfStory.close_row,
    _TABLE + "table-cell": _OdfStory.close_cell,
}
_INLINE = frozenset(
    [_TEXT + tag for tag in ("p", "h", "span", "a", "ruby-base", "meta", "meta-field", "date")]
    + [_TEXT + tag for tag in ("time", "title", "author-name", "sequence", "bookmark-ref")]
    + [_TEXT + tag for tag in ("reference-ref", "note-ref", "chapter", "subject", "file-name")]
    + [_TEXT + tag for tag in ("user-defined", "variable-get", "variable-set", "text-input")]
    + [_TEXT + tag for tag in ("sequence-ref", "placeholder", "conditional-text", "expression")]
)
"""Elements whose own text is part of a paragraph."""


def _is_inline(element: Element) -> bool:
    parent = element.getparent()
    return parent is not None and parent.tag in _INLINE


def _item_mark(level: Element | None, count: int) -> str:
    if level is None or level.tag != _TEXT + "list-level-style-number":
        return "-"
    kind = level.get(_STYLE + "num-format", "1")
    if not kind:
        return "-"
    before, after = (level.get(f"{_STYLE}num-{end}", "") for end in ("prefix", "suffix"))
    return f"{before}{list_number(count, kind)}{after}".strip() or "-"


def _whole(value: str | None, default: int) -> int:
    return int(value) if value and value.isdigit() and len(value) < 9 else default
