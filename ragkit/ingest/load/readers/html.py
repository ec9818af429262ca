"""HTML: what a reader of the page sees, as lines that keep headings, lists and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.formulas import linear_formula
from ragkit.ingest.load.readers.html_hidden import HiddenParts, find_hidden
from ragkit.ingest.load.readers.list_numbers import list_number
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter
from ragkit.ingest.load.readers.text import decode_text
from ragkit.ingest.load.readers.zip_parts import ran_out_of_memory
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.etree import _Element

    Element: TypeAlias = _Element

_META_WINDOW = 1024  # bytes in which a charset declaration must lie (HTML Standard)
_CHARSET = late_pattern(rb"""<meta[^>]{0,256}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_XML = late_pattern(rb"""\A\s*<\?xml[^>]{0,256}?encoding\s*=\s*["']([\w.:-]+)["']""")
_DROPPED = frozenset(
    ("script", "style", "noscript", "template", "head", "iframe", "object", "svg", "canvas",
     "rt", "rp", "rtc")  # the last: readings beside characters, whose words they would part
)  # fmt: skip
_STRUCK = frozenset(("del", "s", "strike"))
_LIMITS = ("ERR_NO_MEMORY", "ERR_RESOURCE_LIMIT", "ERR_NAME_TOO_LONG")
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_PARAGRAPHS = frozenset(
    ("p", "ul", "ol", "dl", "table", "pre", "blockquote", "figure", "form", "hr", "fieldset")
)
_BLOCKS = frozenset(
    ("body", "div", "section", "article", "header", "footer", "main", "nav", "aside", "address")
)
_LINES = frozenset(
    ("li", "dt", "dd", "caption", "figcaption", "details", "summary", "tr", "td", "th", "option")
)
_WHOLE = ("math", "select")  # what is in them is part of one piece of text
_SHIFTS = {"sup": 1, "sub": -1}
_UNSAID_INPUTS = frozenset(("hidden", "password", "submit", "reset", "button", "image", "file"))
_FILE_NAME = late_pattern(r"[^/]*\S\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?)", re.IGNORECASE)
_WORDS_OF_ALT = 2


def read_html(data: bytes, name: str) -> Parsed:
    """Read an HTML page.

    Scripts, styles, templates and what nobody sees (`find_hidden`) are left out; if that held
    text, ``metadata["hidden"]`` counts the elements. What is struck out is left out, too, and
    noted.
    Headings become ``# `` lines of their level, list items ``- `` lines or the number that a
    browser gives them, data tables those of Markdown; ``pre`` is kept verbatim between two fences.
    What is raised or lowered is told apart from what stands before it: ``10^6``. Formulas are
    written on the line. A picture's text alternative stands in brackets, if it is of some words;
    the fields of a form show their values.

    Raises:
        UnsupportedFormatError: The bytes are no text.
        LoadError: The markup is nested beyond what the parser takes (2,048 levels).
    """
    declared = _XML.match(data[:_META_WINDOW]) or _CHARSET.search(data[:_META_WINDOW])
    text, encoding, metadata = decode_text(
        data, name, declared.group(1).decode("latin-1") if declared else None
    )
    root = _tree(text, name)
    if root is None:
        return Parsed("", "", encoding, metadata=metadata)
    hidden = find_hidden(root)
    page = _Page(hidden, _layout_tables(root))
    page.write(root)
    if count := hidden.count_with_text():
        metadata["hidden"] = count
    if notes := [*metadata.pop("notes", ()), *page.notes()]:
        metadata["notes"] = notes
    return Parsed(page.writer.text(), _title(root, hidden), encoding, metadata=metadata)


def _tree(text: str, name: str) -> Element | None:
    from lxml import etree

    # huge_tree: without it libxml2 stops at 256 levels or at texts of 10 MB.
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    if not text.strip():
        return None
    try:
        root: Element | None = etree.fromstring(text.encode("utf-8"), parser)
    except etree.XMLSyntaxError as exc:
        if ran_out_of_memory(exc):
            raise MemoryError from exc
        raise
    # What lies behind a limit would be missing without a word: markup errors alone are mended.
    limits = [e for e in parser.error_log.filter_from_fatals() if e.type_name in _LIMITS]
    if any(e.type_name == "ERR_NO_MEMORY" for e in limits):
        raise MemoryError
    if limits:
        msg = f"the HTML goes beyond a limit of its parser: {limits[0].message}"
        raise LoadError(msg, name)
    return root


def _title(root: Element, hidden: HiddenParts) -> str:
    for tag in ("title", "h1"):
        for element in root.iter(tag):
            title = clean_title("".join(map(str, element.itertext())))
            gone = hidden.whole.isdisjoint((element, *element.iterancestors()))
            if title and gone and element not in hidden.own:
                return title
    return ""


def _layout_tables(root: Element) -> set[Element]:
    """Tables that hold headings or tables: they arrange a page, and their cells are blocks."""
    found: set[Element] = set()
    for element in root.iter("table", *_HEADINGS):
        for table in element.iterancestors("table"):
            if table in found:
                break
            found.add(table)
    return found


@dataclass
class _List:
    """An open list: how its items are marked, and the number of the next one."""

    kind: str
    following: int
    step: int

    def mark(self, item: Element) -> str:
        if self.kind == "ul":
            return "-"
        stated = _whole(item.get("value"), self.following)
        self.following = stated + self.step
        return list_number(stated, item.get("type") or self.kind) + "."


class _Page:
    """Writes a page's tree, without recursion: pages may be nested thousands deep.

    Attributes:
        writer: Has the text at the end.
    """

    def __init__(self, hidden: HiddenParts, layout: set[Element]) -> None:
        self.writer = MarkdownWriter()
        self._hidden = hidden
        self._layout = layout
        self._tables: list[bool] = []  # for each open table: is it one of data?
        self._lists: list[_List] = []
        self._shifts = [0]
        self._struck = 0

    def write(self, root: Element) -> None:
        """Write everything that is seen."""
        from lxml import etree

        walk: Any = etree.iterwalk(root, events=("start", "end"))
        left_out: Element | None = None
        for event, element in walk:
            if event == "end":
                if element is not left_out and element.tag in _MARKED:
                    self._close(element)
                if element.tail and element is not root:
                    self._add_tail(element)
            elif self._is_left_out(element):
                left_out = element
                walk.skip_subtree()
                self._struck += self._is_said_no_more(element)
            else:
                self._begin(element)
                if element.tag in _WHOLE:
                    walk.skip_subtree()

    def _begin(self, element: Element) -> None:
        if element.tag in _MARKED:
            self._open(element)
        if element.tag not in _WHOLE and element not in self._hidden.own:
            self._add(element.text)

    def _add_tail(self, element: Element) -> None:
        own = self._hidden.own
        if not own or element.getparent() not in own:
            self._add(element.tail)

    def notes(self) -> list[str]:
        """What the user is told of the page."""
        found: list[str] = []
        if self._struck:
            times = "1 place" if self._struck == 1 else f"{self._struck} places"
            found.append(f"struck-out text was left out in {times}")
        if doubtful := self._hidden.doubtful:
            times = "1 place" if doubtful == 1 else f"{doubtful} places"
            found.append(f"white text was kept in {times}: what lies behind it is not known")
        return found

    def _add(self, text: str | None) -> None:
        if text:
            self.writer.add(text, self._shifts[-1])

    @property
    def _in_data_table(self) -> bool:
        return bool(self._tables and self._tables[-1])

    def _is_left_out(self, element: Element) -> bool:
        return element.tag in _DROPPED or element in self._hidden.whole or _is_struck(element)

    def _is_said_no_more(self, element: Element) -> bool:
        is_struck = _is_struck(element) and element not in self._hidden.whole
        return is_struck and any(str(text).strip() for text in element.itertext())

    def _open(self, element: Element) -> None:
        tag = element.tag
        if tag in _SHIFTS:
            self._shifts.append(_SHIFTS[tag])
        elif tag == "table":
            self._open_table(element)
        elif tag in ("td", "th"):
            (self.writer.open_cell if self._in_data_table else self.writer.end_line)()
        elif tag in _HEADINGS:
            self.writer.end_block()
            self.writer.mark("#" * _HEADINGS[tag] + " ")
        elif tag in _PARAGRAPHS:
            self._open_paragraph(element)
        elif tag in _PIECES:
            self._add(_PIECES[tag](element))
        else:
            self._open_line(element)

    def _open_line(self, element: Element) -> None:
        tag = element.tag
        if tag == "br" or tag in _BLOCKS or tag in _LINES:
            self.writer.end_line()
        if tag == "li":
            self.writer.item(self._lists[-1].mark(element) if self._lists else "-")

    def _open_table(self, element: Element) -> None:
        self._tables.append(element not in self._layout)
        if self._tables[-1]:
            self.writer.open_table()
        else:
            self.writer.end_block()

    def _open_paragraph(self, element: Element) -> None:
        tag, writer = element.tag, self.writer
        is_list = tag in ("ul", "ol")
        if is_list and writer.list_depth > 0:
            writer.end_line()
        elif not (tag == "p" and writer.marked):  # <li><p>: the text belongs behind the dash
            writer.end_block()
        if is_list:
            writer.list_depth += 1
            self._lists.append(_opened(element))
        if tag == "pre":
            writer.open_verbatim()

    def _close(self, element: Element) -> None:
        tag, writer = element.tag, self.writer
        if tag in _SHIFTS:
            self._shifts.pop()
        elif tag in ("td", "th") and self._in_data_table:
            columns, rows = (_whole(element.get(n), 1) for n in ("colspan", "rowspan"))
            writer.close_cell(columns=columns, rows=rows, is_name=tag == "th")
        elif tag == "tr" and self._in_data_table:
            parent = element.getparent()
            writer.end_row(is_marked=parent is not None and parent.tag == "thead")
        elif tag == "table":
            if self._tables.pop():
                writer.close_table()
            writer.end_block()
        else:
            self._close_block(tag)

    def _close_block(self, tag: str) -> None:
        writer = self.writer
        if tag in ("ul", "ol"):
            writer.list_depth -= 1
            self._lists.pop()
        if tag == "pre":
            writer.close_verbatim()
        if tag in _HEADINGS or (tag in _PARAGRAPHS and not self._in_list(tag)):
            writer.end_block()
        elif tag in _BLOCKS or tag in _LINES or tag in _PARAGRAPHS:
            writer.end_line()

    def _in_list(self, tag: str) -> bool:
        return tag in ("ul", "ol", "p") and self.writer.list_depth > 0


def _opened(element: Element) -> _List:
    """A list as its attributes begin it."""
    if element.tag == "ul":
        return _List("ul", 0, 0)
    is_reversed = "reversed" in element.attrib
    first = sum(child.tag == "li" for child in element) if is_reversed else 1
    start = _whole(element.get("start"), first)
    return _List(element.get("type") or "1", start, -1 if is_reversed else 1)


def _whole(value: str | None, default: int) -> int:
    """A whole number of at most six digits as an attribute states it."""
    found = re.match(r"\s*([+-]?\d{1,6})(?!\d)", value or "")
    return int(found[1]) if found else default


def _is_struck(element: Element) -> bool:
    style = element.get("style")
    return element.tag in _STRUCK or (style is not None and bool(_LINE_THROUGH.search(style)))


_LINE_THROUGH = late_pattern(r"text-decoration[\w-]*\s*:[^;]*line-through", re.IGNORECASE)


def _alternative(element: Element) -> str:
    """A picture's text alternative; one word or a file's name says nothing of the picture."""
    text = " ".join(element.get("alt", "").split())
    if _FILE_NAME.fullmatch(text) or (text.isascii() and len(text.split()) < _WORDS_OF_ALT):
        return ""
    return f" [{text}] " if text else ""


def _field(element: Element) -> str:
    """What a field of a form shows."""
    kind = element.get("type", "text").lower()
    if kind in _UNSAID_INPUTS:
        return ""
    if kind in ("checkbox", "radio"):
        return " [x] " if "checked" in element.attrib else " [ ] "
    return f" {element.get('value', '')} "


def _choice(element: Element) -> str:
    """What of a list of options is chosen; all of them if nothing is."""
    options = list(element.iter("option"))
    chosen = [option for option in options if "selected" in option.attrib]
    texts = (" ".join("".join(map(str, option.itertext())).split()) for option in chosen or options)
    return f" {', '.join(filter(None, texts))} "


def _formula(element: Element) -> str:
    text = linear_formula(element)
    return f" {text} " if element.get("display") == "block" else text


_PIECES: dict[str, Callable[[Element], str]] = {
    "img": _alternative,
    "input": _field,
    "select": _choice,
    "math": _formula,
}
"""Elements that are one piece of text, made of their attributes or of all that is in them."""

_MARKED = (
    frozenset(("table", "td", "th", "br", *_SHIFTS, *_HEADINGS, *_PIECES))
    | _PARAGRAPHS | _BLOCKS | _LINES
)  # fmt: skip
"""Elements that do more than hold text."""
