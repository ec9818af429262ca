"""DOCX: the body's paragraphs and tables in order, then its footnotes.

python-docx opens the package and its styles. The body is walked here, because python-docx's own
paragraphs leave out tracked insertions, content controls and text boxes.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.errors import LoadError
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.etree import _Element

    Element: TypeAlias = _Element
    Style: TypeAlias = Callable[[str], str]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SKIPPED = frozenset(
    [_W + tag for tag in ("del", "moveFrom", "instrText", "sectPr", "pPr", "tblPr", "tcPr")]
    + ["{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"]
)
_SPACING = {_W + "tab": "\t", _W + "br": "\n", _W + "cr": "\n", _W + "noBreakHyphen": "-"}
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_OLE = b"\xd0\xcf\x11\xe0"  # the container of old .doc files and of encrypted .docx files
_NOTES = ("/footnotes", "/endnotes")


def read_docx(data: bytes, name: str) -> Parsed:
    """Read a Word document.

    Heading styles become ``# `` lines, list paragraphs ``- `` lines, table rows one line with
    `` | ``. Deleted and hidden text is left out, inserted text kept; ``metadata["hidden"]`` counts
    the runs of hidden text.

    Raises:
        LoadError: The file is encrypted or broken.
    """
    if data.startswith(_OLE):
        msg = "is encrypted, or an old .doc file under the name of a .docx"
        raise LoadError(msg, name)
    document = _open(data, name)
    writer, style = MarkdownWriter(), _style_names(document)
    parts = [document.element.body, *_notes(document)]
    for part in parts:
        writer.end_block()
        _write(part, writer, style)
    hidden = sum(map(_count_hidden, parts))
    title = (document.core_properties.title or "").strip()
    return Parsed(writer.text(), title, metadata={"hidden": hidden} if hidden else {})


def _open(data: bytes, name: str) -> Any:  # noqa: ANN401 -- python-docx ships no types
    from zipfile import BadZipFile
    from zlib import error as ZlibError  # noqa: N812 -- it is a class

    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import XMLSyntaxError

    try:
        return Document(BytesIO(data))
    except XMLSyntaxError as exc:
        if "memory" in str(exc).lower():
            raise MemoryError from exc
        raise _broken(exc, name) from exc
    except (BadZipFile, ZlibError, OpcError, KeyError, ValueError, OSError, EOFError) as exc:
        raise _broken(exc, name) from exc


def _broken(exc: Exception, name: str) -> LoadError:
    msg = f"not a readable DOCX: {exc}"
    return LoadError(msg, name)


def _style_names(document: Any) -> Style:  # noqa: ANN401 -- python-docx ships no types
    names = {style.style_id: style.name or "" for style in document.styles}
    return lambda style_id: names.get(style_id, "")


def _notes(document: Any) -> list[Element]:  # noqa: ANN401 -- python-docx ships no types
    from docx.oxml import parse_xml

    parts = [r.target_part for r in document.part.rels.values() if r.reltype.endswith(_NOTES)]
    return [parse_xml(part.blob) for part in parts]


def _write(root: Element, writer: MarkdownWriter, style: Style) -> None:
    """Walk paragraphs and tables without recursion: both may be nested deeply."""
    from lxml import etree

    walk: Any = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        tag = element.tag
        if event == "start":
            if tag in _SKIPPED or (tag == _W + "r" and _vanished(element)):
                walk.skip_subtree()
            else:
                _open_element(element, writer, style)
        elif tag == _W + "t":
            writer.add(element.text or "")
        elif tag in _SPACING:
            writer.add(_SPACING[tag])
        else:
            _close(tag, writer)


def _open_element(element: Element, writer: MarkdownWriter, style: Style) -> None:
    if element.tag == _W + "p":
        _open_paragraph(element, writer, style)
    elif element.tag == _W + "tc":
        writer.open_cell()
    elif element.tag == _W + "tbl":
        writer.end_block()


def _open_paragraph(element: Element, writer: MarkdownWriter, style: Style) -> None:
    writer.end_line()
    name = style(_value(element, "pPr/pStyle"))
    heading = _HEADING.match(name)
    if heading or name == "Title":
        writer.end_block()
        writer.mark("#" * min(int(heading.group(1)) if heading else 1, 6) + " ")
    elif name.startswith("List") or element.find(_path("pPr/numPr")) is not None:
        writer.list_depth = 1 + int(_value(element, "pPr/numPr/ilvl") or 0)
        writer.mark("- ")
    else:
        writer.end_block()


def _close(tag: str, writer: MarkdownWriter) -> None:
    if tag == _W + "p":
        writer.end_line()
        writer.list_depth = 0
    elif tag == _W + "tc":
        writer.close_cell()
    elif tag == _W + "tr":
        writer.end_row()
    elif tag == _W + "tbl":
        writer.end_block()


def _vanished(run: Element) -> bool:
    vanish = run.find(_path("rPr/vanish"))
    return vanish is not None and vanish.get(_W + "val", "1") not in ("0", "false", "off")


def _count_hidden(root: Element) -> int:
    return sum(
        _vanished(run) and any((text.text or "").strip() for text in run.iter(_W + "t"))
        for run in root.iter(_W + "r")
    )


def _value(element: Element, path: str) -> str:
    found = element.find(_path(path))
    return (found.get(_W + "val") or "") if found is not None else ""


def _path(path: str) -> str:
    return "/".join(_W + part for part in path.split("/"))
