"""Builders of real files for tests: PDFs and Word documents, whole, odd and hostile."""

from __future__ import annotations

import re
import zipfile
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypdf import PageObject

_CMAP = """/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /Adobe-Identity-UCS def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
%s
endcmap CMapName currentdict /CMap defineresource pop end end"""


def pdf(pages: Sequence[str], *, title: str = "", password: str | None = None) -> bytes:
    """A PDF with one line of text a page; "" is a page without text, as a scan has.

    With a password it is encrypted (RC4); the empty password opens without being asked for.
    """
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(width=595, height=842)
        if text:
            _write_text(writer, page, text)
    if title:
        writer.add_metadata({"/Title": title})
    if password is not None:
        writer.encrypt(password, "owner's password", algorithm="RC4-128")
    return _saved(writer)


def pdf_with_broken_page(text: str) -> bytes:
    """A PDF of two pages; the second's content breaks off within an array."""
    writer = PdfWriter()
    _write_text(writer, writer.add_blank_page(595, 842), text)
    page = writer.add_blank_page(595, 842)
    _write_text(writer, page, "lost")
    stream = DecodedStreamObject()
    stream.set_data(b"BT /F1 Tf (x Tj <zz> [")
    page[NameObject("/Contents")] = writer._add_object(stream)
    return _saved(writer)


def docx(body: str, *, title: str = "") -> bytes:
    """A Word document with this XML as its body."""
    from docx import Document

    document = Document()
    document.core_properties.title = title
    plain = BytesIO()
    document.save(plain)
    target = BytesIO()
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "word/document.xml":
                data = _document_xml(body).encode()
            new.writestr(name, data)
    return target.getvalue()


_SPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)
_TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def word_package(body: str, parts: dict[str, tuple[str, str]] | None = None) -> bytes:
    """A Word file written part by part, with no more than the parts that are given.

    Args:
        body: The XML within ``w:body``.
        parts: By name, the kind of the relation to it and its content. A content that begins
            with ``<w:`` is the XML of one element, which gets the namespaces. One without
            content is only named by the relation; the relation's id is ``r`` and its number.
    """
    relations = ""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, (kind, content)) in enumerate((parts or {}).items()):
            relations += f'<Relationship Id="r{number}" Type="{_TYPES}/{kind}" Target="{name}"/>'
            if content.startswith("<w:"):
                tag, rest = re.match(r"<(w:\w+)(.*)", content, re.DOTALL).groups()  # type: ignore[union-attr]
                content = f"<{tag} {_SPACES}{rest}"
            if content:
                archive.writestr(f"word/{name}", content)
        archive.writestr("_rels/.rels", _relationships(
            f'<Relationship Id="r" Type="{_TYPES}/officeDocument" Target="word/document.xml"/>'
        ))  # fmt: skip
        archive.writestr("word/_rels/document.xml.rels", _relationships(relations))
        archive.writestr(
            "word/document.xml", f"<w:document {_SPACES}><w:body>{body}</w:body></w:document>"
        )
    return target.getvalue()


def _relationships(inner: str) -> str:
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{inner}</Relationships>'


def drawn_pdf(
    *pages: str,
    resources: str = "",
    objects: Sequence[str | tuple[str, bytes]] = (),
    catalog: str = "",
    page: str = "",
    info: bytes = b"",
) -> bytes:
    """A PDF written object by object, with Helvetica as ``/F1``.

    Args:
        pages: The content of each page.
        resources: More entries of the pages' resources.
        objects: More objects; the first is number 10. One with data is a stream.
        catalog: More entries of the catalogue.
        page: More entries of each page.
        info: Entries of the document's information.
    """
    font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
    numbers = [30 + 2 * i for i in range(len(pages))]
    kids = " ".join(f"{n} 0 R" for n in numbers)
    found: dict[int, bytes] = {
        1: f"<</Type/Catalog/Pages 2 0 R{catalog}>>".encode(),
        2: f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        3: font.encode(),
        4: b"<<" + info + b">>",
    }
    for i, made in enumerate(objects):
        entries, data = (made, None) if isinstance(made, str) else made
        found[10 + i] = entries.encode() if data is None else _stream(entries, data)
    for n, content in zip(numbers, pages, strict=True):
        found[n] = (
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {n + 1} 0 R"
            f"/Resources<</Font<</F1 3 0 R>>{resources}>>{page}>>"
        ).encode()
        found[n + 1] = _stream("", content.encode("latin-1"))
    return _assembled(found)


def line(x: float, y: float, text: str, size: float = 11) -> str:
    """Content that shows a text of Helvetica at a place."""
    return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET\n"


def _stream(entries: str, data: bytes) -> bytes:
    return f"<<{entries}/Length {len(data)}>>stream\n".encode() + data + b"\nendstream"


def _assembled(objects: dict[int, bytes]) -> bytes:
    target = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, content in sorted(objects.items()):
        places[number] = len(target)
        target += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(target)
    most = max(objects) + 1
    target += f"xref\n0 {most}\n".encode()
    for number in range(most):
        place = places.get(number)
        target += b"0000000000 65535 f \n" if place is None else f"{place:010} 00000 n \n".encode()
    target += f"trailer\n<</Size {most}/Root 1 0 R/Info 4 0 R>>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(target)


def docx_bomb(megabytes: int) -> bytes:
    """A small Word document that unpacks to one paragraph of that many megabytes."""
    return docx(paragraph("a" * (megabytes * 1_000_000)))


def paragraph(text: str, *, style: str = "", number: bool = False) -> str:
    """The XML of a paragraph."""
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if number:
        properties += '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    return f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}</w:p>"


def run(text: str, properties: str = "") -> str:
    """The XML of a run of text."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """The XML of a table."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def _document_xml(body: str) -> str:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="{space}">'
        f"<w:body>{body}<w:sectPr/></w:body></w:document>"
    )


def _saved(writer: PdfWriter) -> bytes:
    target = BytesIO()
    writer.write(target)
    return target.getvalue()


def _write_text(writer: PdfWriter, page: PageObject, text: str) -> None:
    """Put a line on a page. Its font maps two-byte codes to the same code points."""
    stream = DecodedStreamObject()
    code = text.encode("utf-16-be").hex()
    stream.set_data(f"BT /F1 12 Tf 72 720 Td <{code}> Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(_font(writer, text))})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})


def _font(writer: PdfWriter, text: str) -> DictionaryObject:
    """A font that tells the letters of a text; to read a table of all of them takes 0.2 s."""
    units = text.encode("utf-16-be").hex(" ", 2).split()
    codes = [f"<{unit}> <{unit}>" for unit in sorted(set(units))]
    parts = [codes[at : at + 100] for at in range(0, len(codes), 100)]  # a section's most
    sections = [f"{len(p)} beginbfchar {' '.join(p)} endbfchar" for p in parts]
    cmap = DecodedStreamObject()
    cmap.set_data((_CMAP % "\n".join(sections)).encode())
    descendant = _names(Type="Font", Subtype="CIDFontType2", BaseFont="Any")
    font = _names(Type="Font", Subtype="Type0", BaseFont="Any", Encoding="Identity-H")
    font[NameObject("/DescendantFonts")] = ArrayObject([writer._add_object(descendant)])
    font[NameObject("/ToUnicode")] = writer._add_object(cmap)
    return font


def _names(**values: str) -> DictionaryObject:
    return DictionaryObject(
        {NameObject(f"/{key}"): NameObject(f"/{value}") for key, value in values.items()}
    )


def compressed(data: bytes) -> bytes:
    """Bytes that are no text in any encoding."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + zlib.compress(data)
