"""What reading a large file costs: processor time and peak memory of the reader alone.

`python benchmarks/readers.py [--write] [NAME...]` makes a large file of each kind in a temporary
folder, reads it in a process of its own without the sandbox, and takes off what starting Python and
importing the reader's own module cost in another process. Each file is read once.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import REPOSITORY, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, PAGES, MAILBOX_MB = 40_000, 1_000, 300
PAGE = Path(__file__).parent / "READERS.md"
WORDS = "The mooring fee of berth {} is due on the first day of the month and paid in euros."
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def row(number: int) -> list[str | float]:
    """A row of six cells."""
    return [
        f"Boat {number}",
        f"Berth {number % 97}",
        number,
        number * 1.25,
        0.19,
        WORDS.format(number),
    ]


def sheet(path: Path) -> None:
    """40,000 rows of six cells, as Excel writes them, a column of per cent among them."""
    lines = []
    for number in range(1, ROWS + 1):
        cells = "".join(
            f'<c r="{chr(65 + i)}{number}" t="inlineStr"><is><t>{v}</t></is></c>'
            if isinstance(v, str)
            else f'<c r="{chr(65 + i)}{number}" s="{int(i == 4)}"><v>{v}</v></c>'
            for i, v in enumerate(row(number) if number > 1 else list("ABCDEF"))
        )
        lines.append(f'<row r="{number}">{cells}</row>')
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="r" Type="{_REL}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        made.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets><sheet name="Fees" sheetId="1" '
            'r:id="r1"/></sheets></workbook>',
        )
        made.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="r1" Type="{_REL}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        made.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="9"/></cellXfs>'
            "</styleSheet>",
        )
        made.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>',
        )


def table(path: Path) -> None:
    """The same rows as CSV."""
    lines = (",".join(map(str, row(number))) for number in range(ROWS))
    path.write_text("A,B,C,D,E,F\n" + "\n".join(lines), "utf-8")


def pdf(path: Path) -> None:
    """1,000 pages of forty lines each."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})  # noqa: SLF001 -- as pypdf's own examples
    for number in range(PAGES):
        page = writer.add_blank_page(595, 842)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        lines = "".join(f"({WORDS.format(number * 40 + i)}) Tj T*\n" for i in range(40))
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 9 Tf 12 TL 40 800 Td\n{lines}ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())  # noqa: SLF001
    writer.write(path)


def mailbox(path: Path) -> None:
    """300 MB of messages of 4 KB each; every tenth has an attachment of 300 KB."""
    attachment = base64.encodebytes(bytes(range(256)) * 1_200).decode()
    written, number = 0, 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < MAILBOX_MB * 1_000_000:
            number += 1
            text = "\n".join(WORDS.format(number * 40 + i) for i in range(45))
            body = f"Content-Type: text/plain; charset=utf-8\n\n{text}\n"
            if number % 10 == 0:
                body = (
                    'Content-Type: multipart/mixed; boundary="b"\n\n--b\n' + body + "--b\n"
                    "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
                    f'Content-Disposition: attachment; filename="a.bin"\n\n{attachment}--b--\n'
                )
            written += file.write(
                f"From ann@port.example Tue Mar  5 14:07:00 2024\nFrom: Ann <ann@port.example>\n"
                f"To: Bob <bob@port.example>\nSubject: Berth {number}\n"
                f"Date: Tue, 5 Mar 2024 14:07:00 +0100\nMIME-Version: 1.0\n{body}\n"
            )


def paragraphs(count: int) -> Iterator[str]:
    """Sentences, each with a number of its own."""
    return (WORDS.format(number) for number in range(count))


def word(path: Path) -> None:
    """A Word file of 1,000 pages: 40,000 paragraphs."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{p}</w:t></w:r></w:p>" for p in paragraphs(40 * PAGES))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>',
        )


def opendocument(path: Path) -> None:
    """The same as OpenDocument."""
    names = "urn:oasis:names:tc:opendocument:xmlns"
    body = "".join(f"<text:p>{p}</text:p>" for p in paragraphs(40 * PAGES))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{names}:office:1.0" '
            f'xmlns:text="{names}:text:1.0"><office:body><office:text>{body}</office:text>'
            "</office:body></office:document-content>",
        )


def slides(path: Path) -> None:
    """1,000 slides of forty points each."""
    spaces = (
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
        f'xmlns:r="{_REL}"'
    )
    ids = "".join(f'<p:sldId id="{300 + i}" r:id="s{i}"/>' for i in range(PAGES))
    links = "".join(
        f'<Relationship Id="s{i}" Type="{_REL}/slide" Target="slides/slide{i}.xml"/>'
        for i in range(PAGES)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "ppt/presentation.xml",
            f"<p:presentation {spaces}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        )
        made.writestr(
            "ppt/_rels/presentation.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}">{links}</Relationships>',
        )
        for i in range(PAGES):
            points = "".join(
                f"<a:p><a:r><a:t>{WORDS.format(40 * i + n)}</a:t></a:r></a:p>" for n in range(40)
            )
            made.writestr(
                f"ppt/slides/slide{i}.xml",
                f"<p:sld {spaces}><p:cSld><p:spTree><p:sp><p:nvSpPr><p:cNvPr/><p:cNvSpPr/><p:nvPr>"
                f"<p:ph/></p:nvPr></p:nvSpPr><p:txBody>{points}</p:txBody></p:sp></p:spTree>"
                "</p:cSld></p:sld>",
            )


def book(path: Path) -> None:
    """A book of a hundred chapters of 400 paragraphs each."""
    items = "".join(
        f'<item id="c{i}" href="c{i}.xhtml" media-type="application/xhtml+xml"/>'
        for i in range(100)
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(100))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(
            "book.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest>'
            f"<spine>{spine}</spine></package>",
        )
        for i in range(100):
            body = "".join(f"<p>{WORDS.format(400 * i + n)}</p>" for n in range(400))
            made.writestr(f"c{i}.xhtml", f"<html><body><h1>Chapter {i}</h1>{body}</body></html>")


def rich_text(path: Path) -> None:
    """RTF of 40,000 paragraphs."""
    body = "".join(f"\\pard {p}\\par\n" for p in paragraphs(40 * PAGES))
    path.write_text("{\\rtf1\\ansi\\ansicpg1252 " + body + "}", "ascii")


FILES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "40,000 rows of six cells, XLSX": ("a.xlsx", "sheets:read_sheets", sheet),
    "40,000 rows of six cells, CSV": ("a.csv", "csv:read_csv", table),
    "1,000 pages of forty lines, PDF": ("a.pdf", "pdf:read_pdf", pdf),
    "300 MB mailbox, a tenth with attachments": ("a.mbox", "mail:read_mbox", mailbox),
    "40,000 paragraphs, DOCX": ("a.docx", "docx:read_docx", word),
    "40,000 paragraphs, ODT": ("a.odt", "odf:read_odt", opendocument),
    "1,000 slides of forty points, PPTX": ("a.pptx", "pptx:read_pptx", slides),
    "100 chapters of 400 paragraphs, EPUB": ("a.epub", "epub:read_epub", book),
    "40,000 paragraphs, RTF": ("a.rtf", "rtf:read_rtf", rich_text),
}
"""What each file is, its name, its reader, and what makes it."""


def read(reader: str, file: str) -> None:
    """Read one file, in a process of its own; prints how many characters and pages it has."""
    from ragkit.ingest.load.formats import read_with

    parsed = read_with(reader, Path(file).read_bytes(), file)
    print(len(parsed.text), len(parsed.pages))


def measured(what: str, work: Path) -> list[str]:
    """The row of one file."""
    name, reader, _ = FILES[what]
    path = work / name
    run([sys.executable, __file__, "--make", what, str(path)])  # what it holds is not ours
    module = "ragkit.ingest.load.readers." + reader
    env = {"PYTHONPATH": str(REPOSITORY)}
    done = run([sys.executable, __file__, "--read", module, str(path)], env)
    bare = run([sys.executable, __file__, "--import", module.partition(":")[0]], env)
    chars, pages = map(int, done.output.split())
    size = path.stat().st_size / 1e6
    path.unlink()
    return [
        what, f"{size:.1f}", f"{chars / 1e6:.1f}", str(pages or ""),
        f"{done.cpu_s - bare.cpu_s:.1f}", f"{done.peak_mb:.0f}",
    ]  # fmt: skip


def main() -> None:
    """Measure all files, or those whose description contains one of the names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--read", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--import", dest="module", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(*given.read)
        return
    if given.make:
        FILES[given.make[0]][2](Path(given.make[1]))
        return
    if given.module:
        importlib.import_module(given.module)
        return
    lines = [
        "| file | MB | million characters | pages | processor time, s | peak memory, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as work:
        for what in FILES:
            if not given.names or any(name.lower() in what.lower() for name in given.names):
                lines.append(f"| {' | '.join(measured(what, Path(work)))} |")
                print(lines[-1], flush=True)
    if given.write:
        day = datetime.now(UTC).date()
        about = (
            "# Readers of large files, measured\n\n"
            f"`python benchmarks/readers.py --write`, {day}, Python "
            f"{sys.version.split()[0]}, one process, each file read once, start of Python taken "
            "off. The script says how the files are made. Memory is of the whole process, with the "
            "bytes of the file.\n\n"
        )
        PAGE.write_text(about + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
