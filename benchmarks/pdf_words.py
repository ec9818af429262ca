"""How many of a PDF's words ragkit reads, against two readers of others.

`python benchmarks/pdf_words.py [--write] FOLDER...` reads every PDF below the folders that has at
most 60 pages, by `read_pdf` with and without pypdfium2, by pypdfium2 alone and by `pdftotext`
(poppler). The words that a good reader finds are those on which the latter two agree, counted as
often as both have them: runs of two or more letters or digits, in NFKC and small letters; each
Chinese or Japanese character counts by itself. PDFs with fewer than 20 such words are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2

from ragkit.errors import LoadError
from ragkit.ingest.load.readers.pdf import read_pdf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_PAGES, LEAST_WORDS, GOOD = 40, 20, 0.8
PAGE = Path(__file__).parent / "PDF.md"
ABOUT = """\
- Packages: `apt-get download` of those named, their PDFs unpacked. Programs: `writer`,
  `impress` and `calc` are LibreOffice 7.4 (from these docs by pandoc), `groff` is groff 1.22
  through ps2pdf, `ghostscript` is Ghostscript's and cairo's rewriting of others.
- Two faults of the reader were found on the first five files of each and mended: words that are
  parted by gaps alone were glued where a font has no space of its own (the reference cards of
  debian-refcard lost half of their words), and fonts of Adobe's Japanese collection were read
  as garbage. Before, 7 of 84 of those files were under 80 %, with or without pypdfium2. The
  table is of up to nine files of each, so part of it was not looked at before.
- What is under 95 % yet: running heads, which are left out on purpose; formulas and dingbats, whose
  letters are read as other signs; words that groff and ps2pdf part by the spacing of letters.
"""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|(?:(?![\u3040-\u30ff\u3400-\u9fff])[^\W_]){2,}")
_HYPHENS = str.maketrans({"\x02": "-", "\ufffe": "-", "\xad": "-"})


def words(text: str) -> Counter[str]:
    """The words of a text."""
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text.translate(_HYPHENS)).lower()))


@dataclass
class Measured:
    """A PDF: the share of the words that a good reader finds, with pypdfium2 and without."""

    name: str
    words: int
    with_pdfium: float
    without: float
    seconds: float
    error: str = ""


def by_pdfium(data: bytes) -> str:
    """The text of a PDF, by pypdfium2 alone."""
    with pypdfium2.PdfDocument(data) as document:
        return "\n".join(page.get_textpage().get_text_range() for page in document)


def by_poppler(path: Path) -> str:
    """The text of a PDF, by pdftotext."""
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def ours(data: bytes, *, with_pdfium: bool) -> tuple[Counter[str], str]:
    """The words that `read_pdf` finds, and why it fails."""
    kept = sys.modules["pypdfium2"]
    if not with_pdfium:
        sys.modules["pypdfium2"] = None  # type: ignore[assignment]  # imports of it fail
    try:
        return words(read_pdf(data, "a.pdf").text), ""
    except LoadError as exc:
        return Counter(), str(exc)
    finally:
        sys.modules["pypdfium2"] = kept


def measure(path: Path, name: str) -> Measured | None:
    """Read one PDF in all ways; None where it is not one to measure."""
    data = path.read_bytes()
    try:
        with pypdfium2.PdfDocument(data) as document:
            if len(document) > MOST_PAGES:
                return None
        good = words(by_pdfium(data)) & words(by_poppler(path))
    except (pypdfium2.PdfiumError, subprocess.CalledProcessError):
        return None
    total = good.total()
    if total < LEAST_WORDS:
        return None
    shares = []
    seconds = 0.0
    error = ""
    for with_pdfium in (True, False):
        started = time.process_time()
        found, error = ours(data, with_pdfium=with_pdfium)
        seconds = time.process_time() - started
        shares.append((found & good).total() / total)
    return Measured(name, total, shares[0], shares[1], seconds, error)


def found(folders: Sequence[Path], each: int, skip: int) -> Iterator[tuple[Path, str]]:
    """The PDFs below the folders, each content once.

    Args:
        folders: Where to look.
        each: How many PDFs of one child of a folder at most, in the order of the names' hashes.
        skip: How many of one child of a folder to leave out before.
    """
    seen: set[str] = set()
    for folder in folders:
        taken: Counter[str] = Counter()
        paths = sorted(
            folder.rglob("*.pdf"), key=lambda p: hashlib.sha256(p.name.encode()).digest()
        )
        for path in paths:
            name = path.relative_to(folder).as_posix()
            top = name.partition("/")[0]
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            if digest and digest not in seen and taken[top] < skip + each:
                seen.add(digest)
                taken[top] += 1
                if taken[top] > skip:
                    yield path, name


def page(rows: list[Measured], command: str) -> str:
    """The page of results."""
    count = len(rows)
    lines = [
        "# Words of PDFs, measured",
        "",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}. The script says what counts as a word that a "
        "good reader finds. The first part of a name is the Debian package (bookworm) or the "
        "program that wrote the file.",
        "",
        ABOUT,
        f"| of {count} PDFs | with pypdfium2 | without |",
        "| --- | ---: | ---: |",
    ]
    sides = [[row.with_pdfium for row in rows], [row.without for row in rows]]
    for least in (GOOD, 0.9, 0.95):
        below = [sum(share < least for share in side) for side in sides]
        shown = " | ".join(f"{n} ({n / count:.1%})" for n in below)
        lines.append(f"| under {least:.0%} of the words | {shown} |")
    totals = sum(row.words for row in rows)
    found_words = [
        sum(share * row.words for share, row in zip(side, rows, strict=True)) for side in sides
    ]
    lines.append("| of all words | " + " | ".join(f"{n / totals:.2%}" for n in found_words) + " |")
    lines += ["", "## Under 90 % either way", "", "| file | words | with | without |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for row in sorted(rows, key=lambda row: row.with_pdfium):
        if min(row.with_pdfium, row.without) < 0.9:
            shares = f"{row.with_pdfium:.1%} | {row.without:.1%}"
            lines.append(f"| {row.name} | {row.words} | {shares} |")
    lines += ["", "## All files", ""]
    groups: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        groups[row.name.partition("/")[0]].append(row.name.rpartition("/")[2])
    lines += [f"- {top}: {', '.join(sorted(names))}" for top, names in sorted(groups.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--each", type=int, default=20, help="Most PDFs of one child of a folder.")
    parser.add_argument("--skip", type=int, default=0, help="How many of it to leave out before.")
    parser.add_argument("--write", action="store_true", help=f"Write {PAGE.name}.")
    options = parser.parse_args()
    rows = []
    for path, name in found(options.folders, options.each, options.skip):
        row = measure(path, name)
        if row:
            rows.append(row)
            shares = f"{row.with_pdfium:7.1%} {row.without:7.1%} {row.seconds:6.1f} s"
            print(f"{shares} {row.words:6} {name} {row.error}", flush=True)
    given = f"--skip {options.skip} --each {options.each}"
    text = page(rows, f"python benchmarks/pdf_words.py {given} FOLDER...")
    print(text.partition("## All files")[0])
    if options.write:
        PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
