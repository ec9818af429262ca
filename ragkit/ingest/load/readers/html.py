"""HTML: what a reader of the page sees, as lines that keep headings, lists and tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.html_hidden import count_with_text, hidden_elements
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter
from ragkit.ingest.load.readers.text import decode_text

if TYPE_CHECKING:
    from lxml.etree import _Element

    Element: TypeAlias = _Element

_META_WINDOW = 1024  # bytes in which a charset declaration must lie (HTML Standard)
_CHARSET = re.compile(rb"""<meta[^>]{0,256}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_DROPPED = frozenset(
    ("script", "style", "noscript", "template", "head", "iframe", "object", "svg", "canvas")
)
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


def read_html(data: bytes, name: str) -> Parsed:
    """Read an HTML page.

    Scripts, styles, templates and what nobody sees (`hidden_elements`) are left out; if that held
    text, ``metadata["hidden"]`` counts the elements.
    Headings become ``# `` lines of their level, list items ``- `` lines, table rows one line
    with `` | `` between the cells; ``pre`` is kept verbatim between two fences. What is raised
    behind a digit is told apart from it: ``10^6``.

    Raises:
        UnsupportedFormatError: The bytes are no text.
        LoadError: The markup is nested beyond what the parser takes (2,048 levels).
    """
    declared = _CHARSET.search(data[:_META_WINDOW])
    text, encoding, metadata = decode_text(
        data, name, declared.group(1).decode("latin-1") if declared else None
    )
    root = _tree(text, name)
    if root is None:
        return Parsed("", "", encoding, metadata=metadata)
    writer = MarkdownWriter()
    hidden = hidden_elements(root)
    _write(root, writer, _layout_tables(root), hidden)
    if count := count_with_text(hidden):
        metadata["hidden"] = count
    return Parsed(writer.text(), _title(root, hidden), encoding, metadata=metadata)


def _tree(text: str, name: str) -> Element | None:
    from lxml import etree

    # huge_tree: without it libxml2 stops at 256 levels or at texts of 10 MB.
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    if not text.strip():
        return None
    root: Element | None = etree.fromstring(text.encode("utf-8"), parser)
    # What lies behind a limit would be missing without a word: markup errors alone are mended.
    limits = [e for e in parser.error_log.filter_from_fatals() if e.type_name in _LIMITS]
    if any(e.type_name == "ERR_NO_MEMORY" for e in limits):
        raise MemoryError
    if limits:
        msg = f"the HTML goes beyond a limit of its parser: {limits[0].message}"
        raise LoadError(msg, name)
    return root


def _title(root: Element, hidden: set[Element]) -> str:
    for tag in ("title", "h1"):
        for element in root.iter(tag):
            title = " ".join("".join(map(str, element.itertext())).split())
            if title and hidden.isdisjoint((element, *element.iterancestors())):
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


def _write(
    root: Element, writer: MarkdownWriter, layout: set[Element], hidden: set[Element]
) -> None:
    """Walk the tree without recursion: pages may be nested thousands deep."""
    from lxml import etree

    walk: Any = etree.iterwalk(root, events=("start", "end"))
    tables: list[bool] = []  # for each open table: is it one of data?
    for event, element in walk:
        dropped = element.tag in _DROPPED or element in hidden
        if event == "start":
            if dropped:
                walk.skip_subtree()
                continue
            if element.tag == "table":
                tables.append(element not in layout)
            _open(element, writer, in_data_table=bool(tables and tables[-1]))
            writer.add(_raised(element) + (element.text or ""))
            continue
        if not dropped:
            _close(element, writer, in_data_table=bool(tables and tables[-1]))
            if element.tag == "table":
                tables.pop()
        if element is not root:
            writer.add(element.tail or "")


def _open(element: Element, writer: MarkdownWriter, *, in_data_table: bool) -> None:
    tag = element.tag
    if tag in ("td", "th"):
        if in_data_table:
            writer.open_cell()
        else:
            writer.end_line()
    elif tag in _HEADINGS:
        writer.end_block()
        writer.mark("#" * _HEADINGS[tag] + " ")
    elif tag in _PARAGRAPHS:
        _open_paragraph(tag, writer)
    elif tag == "br":
        writer.end_line()
    elif tag in _BLOCKS or tag in _LINES:
        writer.end_line()
        if tag == "li":
            writer.mark("- ")


def _raised(element: Element) -> str:
    """What parts a raised text from the digit before it: 2 to the power of 8 is not 28."""
    before, parent = element.getprevious(), element.getparent()
    if element.tag != "sup" or parent is None:
        return ""
    if before is None:
        text = parent.text or ""
    else:
        text = before.tail or "".join(map(str, before.itertext()))
    return "^" if text[-1:].isdigit() else ""


def _open_paragraph(tag: str, writer: MarkdownWriter) -> None:
    nested_list = tag in ("ul", "ol") and writer.list_depth > 0
    if nested_list:
        writer.end_line()
    elif not (tag == "p" and writer.marked):  # <li><p>: the text belongs behind the dash
        writer.end_block()
    writer.list_depth += tag in ("ul", "ol")
    if tag == "pre":
        writer.open_verbatim()


def _close(element: Element, writer: MarkdownWriter, *, in_data_table: bool) -> None:
    tag = element.tag
    if tag in ("ul", "ol"):
        writer.list_depth -= 1
    if tag == "pre":
        writer.close_verbatim()
    if tag in ("td", "th") and in_data_table:
        writer.close_cell()
    elif tag == "tr" and in_data_table:
        writer.end_row()
    elif tag in _HEADINGS or (tag in _PARAGRAPHS and not _in_list(tag, writer)):
        writer.end_block()
    elif tag in _BLOCKS or tag in _LINES or tag in _PARAGRAPHS:
        writer.end_line()


def _in_list(tag: str, writer: MarkdownWriter) -> bool:
    return tag in ("ul", "ol", "p") and writer.list_depth > 0
