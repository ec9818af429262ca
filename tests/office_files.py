"""Builders of small presentations, OpenDocument files and books, part by part."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ERRORS = {"#DIV/0!": 7, "#N/A": 42}
"""Values of a cell that are errors, with their numbers in binary workbooks."""

_TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PPT_SPACES = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
    f'xmlns:r="{_TYPES}"'
)
_ODF_SPACES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "presentation": "presentation", "svg": "svg-compatible",
        "fo": "xsl-fo-compatible", "manifest": "manifest",
    }.items()
)  # fmt: skip
_ODF_SPACES += (
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive of these parts."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return target.getvalue()


def rewritten(
    data: bytes, change: Callable[[str], str], more: Mapping[str, str | bytes] | None = None
) -> bytes:
    """An archive whose parts were changed, with more of them."""
    with zipfile.ZipFile(BytesIO(data)) as made:
        changed = {n: change(made.read(n).decode()) for n in made.namelist()}
    return archive({**changed, **(more or {})})


def bomb(name: str, megabytes: int, parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """A ZIP archive with a part of spaces, a thousandth of its size when packed."""
    return archive({**(parts or {}), name: b" " * (megabytes * 1_000_000)})


def with_password_bit(data: bytes) -> bytes:
    """A ZIP archive whose parts are all marked as encrypted."""
    marked = bytearray(data)
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = marked.find(sign)
        while place >= 0:
            flags = struct.unpack_from("<H", marked, place + offset)[0]
            struct.pack_into("<H", marked, place + offset, flags | 1)
            place = marked.find(sign, place + 4)
    return bytes(marked)


def relations(found: Mapping[str, tuple[str, str]]) -> str:
    """A part of relations, from each id to its kind and target."""
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    inner = "".join(
        f'<Relationship Id="{key}" Type="{_TYPES}/{kind}" Target="{target}"/>'
        for key, (kind, target) in found.items()
    )
    return f'<Relationships xmlns="{space}">{inner}</Relationships>'


def pptx(
    slides: Sequence[str],
    *,
    order: Sequence[int] | None = None,
    parts: Mapping[str, tuple[int, str, str]] | None = None,
) -> bytes:
    """A presentation.

    Args:
        slides: The XML of each slide's shapes; one that begins with ``hidden:`` is hidden.
        order: The numbers, from 1, of the slides as they are shown.
        parts: More parts by name, each with the slide that refers to it, the kind of that
            relation (its id too), and the content, which gets the namespaces.
    """
    made: dict[str, str | bytes] = {
        "_rels/.rels": relations({"r": ("officeDocument", "ppt/presentation.xml")}),
    }
    ids = order or range(1, len(slides) + 1)
    listed = "".join(f'<p:sldId id="{255 + i}" r:id="s{i}"/>' for i in ids)
    made["ppt/presentation.xml"] = (
        f"<p:presentation {_PPT_SPACES}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
    )
    made["ppt/_rels/presentation.xml.rels"] = relations(
        {f"s{i}": ("slide", f"slides/slide{i}.xml") for i in range(1, len(slides) + 1)}
    )
    for i, shapes in enumerate(slides, start=1):
        show = ' show="0"' if shapes.startswith("hidden:") else ""
        made[f"ppt/slides/slide{i}.xml"] = (
            f"<p:sld {_PPT_SPACES}{show}><p:cSld><p:spTree>{shapes.removeprefix('hidden:')}"
            "</p:spTree></p:cSld></p:sld>"
        )
        own = {k: v for k, v in (parts or {}).items() if v[0] == i}
        made[f"ppt/slides/_rels/slide{i}.xml.rels"] = relations(
            {kind: (kind, f"../{name}") for name, (_, kind, _) in own.items()}
        )
    for name, (_, _, content) in (parts or {}).items():
        tag, rest = content.split(">", 1)
        closed = tag.endswith("/")
        head = f"{tag.rstrip('/')} {_PPT_SPACES}{'/' if closed else ''}"
        made[f"ppt/{name}"] = f"{head}>{rest}"
    return archive(made)


def shape(*paragraphs: str, kind: str | None = None, more: str = "") -> str:
    """A shape of a slide; ``kind`` is that of the placeholder that it fills."""
    place = "" if kind is None else f'<p:ph type="{kind}"/>' if kind else "<p:ph/>"
    body = "".join(p if p.startswith("<a:p>") else f"<a:p>{run(p)}</a:p>" for p in paragraphs)
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x"{more}/><p:cNvSpPr/><p:nvPr>{place}</p:nvPr>'
        f"</p:nvSpPr><p:txBody><a:bodyPr/>{body}</p:txBody></p:sp>"
    )


def run(text: str, look: str = "") -> str:
    """A run of a slide's text."""
    return f"<a:r><a:rPr{look}/><a:t>{text}</a:t></a:r>"


def odf(
    body: str,
    *,
    kind: str = "text",
    styles: str = "",
    title: str = "",
    parts: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """An OpenDocument file with this XML in its body."""
    content = (
        f"<office:document-content {_ODF_SPACES}><office:automatic-styles>{styles}"
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}>"
        "</office:body></office:document-content>"
    )
    meta = (
        f"<office:document-meta {_ODF_SPACES}><office:meta><dc:title>{title}</dc:title>"
        "</office:meta></office:document-meta>"
    )
    media = f"application/vnd.oasis.opendocument.{kind}"
    made = {"mimetype": media, "content.xml": content, "meta.xml": meta}
    return archive({**made, **(parts or {})})


def odf_manifest(inner: str) -> str:
    """The list of an OpenDocument file's parts."""
    return f"<manifest:manifest {_ODF_SPACES}>{inner}</manifest:manifest>"


def epub(
    chapters: Mapping[str, str],
    *,
    manifest: str = "",
    guide: str = "",
    metadata: str = "",
    parts: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """A book whose chapters are these web pages, by name, in reading order.

    Args:
        chapters: The content of each page; "": it is named and not there.
        manifest: More entries of the list of files.
        guide: Entries of the guide.
        metadata: Entries on the book.
        parts: More files.
    """
    listed = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"'
        f"{' properties=' + chr(34) + 'nav' + chr(34) if name.startswith('nav') else ''}/>"
        for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata>{metadata}</metadata><manifest>{listed}{manifest}</manifest>"
        f"<spine>{spine}</spine><guide>{guide}</guide></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    )
    made: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OEBPS/book.opf": package,
    }
    made |= {f"OEBPS/{name}": page for name, page in chapters.items() if page}
    return archive({**made, **(parts or {})})


def xlsx(
    sheets: Mapping[str, Sequence[Sequence[str | float]]],
    *,
    formats: Sequence[str] = (),
    styles: Mapping[str, int] | None = None,
    merged: Sequence[str] = (),
    hidden: Sequence[str] = (),
    parts: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """A workbook, written part by part.

    Args:
        sheets: The rows of each sheet by its name; "" is a cell that is not there, and one of
            `ERRORS` an error.
        formats: Codes of number formats; the cells of style 1 have the first.
        styles: The style of a cell of the first sheet, by its name, e.g. ``B2``.
        merged: Ranges of the first sheet, e.g. ``A1:B1``.
        hidden: The names of hidden sheets.
        parts: More parts.
    """
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    listed = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"'
        f"{' state=' + chr(34) + 'hidden' + chr(34) if name in hidden else ''}/>"
        for i, name in enumerate(sheets, start=1)
    )
    codes = "".join(f'<numFmt numFmtId="{163 + i}" formatCode="{code}"/>'
                    for i, code in enumerate(formats, start=1))  # fmt: skip
    looks = "".join(f'<xf numFmtId="{163 + i}"/>' for i in range(1, len(formats) + 1))
    made: dict[str, str | bytes] = {
        "_rels/.rels": relations({"r": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{_TYPES}"><sheets>{listed}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            {f"r{i}": ("worksheet", f"worksheets/sheet{i}.xml") for i in range(1, len(sheets) + 1)}
        ),
        "xl/styles.xml": f"<styleSheet {space}><numFmts>{codes}</numFmts><cellXfs>"
        f'<xf numFmtId="0"/>{looks}</cellXfs></styleSheet>',
    }
    for i, rows in enumerate(sheets.values(), start=1):
        looked = styles or {} if i == 1 else {}
        data = ""
        for r, row in enumerate(rows, start=1):
            cells = (_cell(r, c, value, looked) for c, value in enumerate(row) if value != "")
            data += f'<row r="{r}">{"".join(cells)}</row>'
        joined = "".join(f'<mergeCell ref="{reference}"/>' for reference in merged if i == 1)
        made[f"xl/worksheets/sheet{i}.xml"] = (
            f"<worksheet {space}><sheetData>{data}</sheetData>"
            f"{f'<mergeCells>{joined}</mergeCells>' if joined else ''}</worksheet>"
        )
    return archive({**made, **(parts or {})})


def _cell(row: int, column: int, value: str | float, styles: Mapping[str, int]) -> str:
    place = f"{chr(65 + column)}{row}"
    style = f' s="{styles[place]}"' if place in styles else ""
    if value in ERRORS:
        return f'<c r="{place}"{style} t="e"><f>A1/0</f><v>{value}</v></c>'
    if isinstance(value, str):
        return f'<c r="{place}"{style} t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{place}"{style}><v>{value}</v></c>'


def xlsb(
    name: str,
    rows: Sequence[Sequence[str | float]],
    *,
    code: str = "",
    comments: Mapping[tuple[int, int], tuple[str, str]] | None = None,
    hidden: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> bytes:
    """A binary workbook of one sheet, record by record (MS-XLSB).

    Args:
        name: Of the sheet.
        rows: Its rows.
        code: The format of its numbers.
        comments: Author and text by the row and column of the cell, from 0.
        hidden: Rows and columns, from 0.
    """

    def record(kind: int, data: bytes = b"") -> bytes:
        head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
        size = len(data)
        return head + bytes([size & 127 | (128 if size > 127 else 0)]) + (
            bytes([size >> 7]) if size > 127 else b""
        ) + data  # fmt: skip

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode("utf-16-le")

    def cell(column: int, value: str | float) -> bytes:
        place = struct.pack("<II", column, 1)
        if value in ERRORS:
            return record(3, place + bytes([ERRORS[str(value)]]))
        if isinstance(value, str):
            return record(6, place + text(value))
        return record(5, place + struct.pack("<d", value))

    body = record(148, struct.pack("<4I", 0, len(rows) - 1, 0, len(rows[0]) - 1))
    columns = (record(60, struct.pack("<4IH", at, at, 0, 0, 1)) for at in hidden[1])
    body += b"".join(columns) + record(145)
    for number, row in enumerate(rows):
        is_hidden = 0x10 * (number in hidden[0])
        body += record(0, struct.pack("<I", number) + bytes(7) + bytes([is_hidden]) + bytes(13))
        body += b"".join(cell(column, value) for column, value in enumerate(row))
    sheet = record(156, struct.pack("<II", 0, 1) + text("r1") + text(name))
    format_id = struct.pack("<H", 164)
    looks = record(615, struct.pack("<I", 1)) + record(44, format_id + text(code)) + record(616)
    looks += record(617, struct.pack("<I", 2)) + record(47, bytes(16))
    looks += record(47, bytes(2) + format_id + bytes(12)) + record(618)
    said = b"".join(record(632, text(author)) for author, _ in (comments or {}).values())
    for i, ((at, column), (_, words)) in enumerate((comments or {}).items()):
        said += record(635, struct.pack("<5I", i, at, at, column, column) + bytes(16))
        said += record(637, bytes(1) + text(words)) + record(636)
    return archive({
        "xl/styles.bin": looks,
        "xl/comments1.bin": said,
        "xl/worksheets/_rels/sheet1.bin.rels": relations({"c": ("comments", "../comments1.bin")}),
        "_rels/.rels": relations({"r": ("officeDocument", "xl/workbook.bin")}),
        "xl/workbook.bin": record(131) + record(143) + sheet + record(144) + record(157),
        "xl/_rels/workbook.bin.rels": relations({"r1": ("worksheet", "worksheets/sheet1.bin")}),
        "xl/worksheets/sheet1.bin": record(129) + body + record(146) + record(130),
    })  # fmt: skip
