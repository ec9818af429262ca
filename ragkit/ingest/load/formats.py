"""Which files are read, and how: one table, a row for each format.

A format of ragkit's own is a row of `FORMATS` and a reader, one file under ``readers/``. Programs
and installed packages add theirs; see docs/readers.md.
"""

from __future__ import annotations

import json
import logging
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ragkit.errors import InputError, LoadError, shown_value
from ragkit.ingest.load.ocr import has_ocr
from ragkit.records import Page, reading_notes
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ragkit.ingest.load.members import Member

Reader: TypeAlias = Callable[[bytes, str], "Parsed"]
Structure = Literal["plain", "markdown", "rst", "code", "rows", "sheets"]
"""How headings, lists and tables are written in a text, which the splitter goes by."""

GROUP = "ragkit.readers"
"""The entry points under which installed packages offer a `Format` each."""

_IMPORT_PATH = late_pattern(r"\w+(\.\w+)*:\w+")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reader makes of a file: its text, and what else the file tells.

    ``title`` is empty and ``encoding`` None if the file names none; ``pages`` hold offsets in
    ``text``, in order. ``metadata`` are JSON values, kept with the document; of these, ``notes``
    are sentences on what is wrong with the file (see `ragkit.records.reading_notes`).
    ``members`` are the files in the file, such as a mail's attachments, which are documents of
    their own.
    """

    text: str
    title: str = ""
    encoding: str | None = None
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files, and what reads it.

    Args:
        kind: Its name, e.g. ``pdf``, as ``--kind`` takes it.
        suffixes: Of its files, with the dot, e.g. ``(".htm", ".html")``; case does not count.
        reader: Takes a file's bytes and what errors call the file, and returns a `Parsed`. As
            the path of an import, ``"package.module:function"``, it is imported when the first
            file needs it. A function itself can only be called in this process: it is never
            ``sandboxed``, so nothing ends it if it hangs, and no second process reads files.
        structure: How the text that it returns writes headings, lists and tables.
        sandboxed: Whether it runs in a process of its own, under the limits of time and memory
            of `ragkit.config.LoadSettings`.
        keeps_lines: Whether the text has the lines of the file, so that a line can be named.
        names: Whole names of files without a suffix, e.g. ``("makefile",)``.
        about: What of its files is read, in a sentence or two, for people who choose what to index.

    Raises:
        InputError: A suffix has no dot, a reader is no path of an import, or there is no such
            structure.
    """

    kind: str
    suffixes: tuple[str, ...]
    reader: str | Reader
    structure: Structure = "plain"
    sandboxed: bool = True
    keeps_lines: bool = False
    names: tuple[str, ...] = ()
    about: str = ""

    def __post_init__(self) -> None:
        wrong = [s for s in self.suffixes if not re.fullmatch(r"\.[^./]+", s)]
        if wrong or isinstance(self.suffixes, str):
            msg = f"the suffixes {self.suffixes!r} are not of the form ('.a', '.b')"
            raise InputError(msg)
        named = isinstance(self.reader, str) and _IMPORT_PATH.fullmatch(self.reader)
        if not named and not callable(self.reader):
            msg = (
                f"the reader {shown_value(self.reader)} is not of the form "
                "'package.module:function', nor a function"
            )
            raise InputError(msg)
        if self.structure not in get_args(Structure):
            msg = f"the structure {self.structure!r} is not one of {get_args(Structure)}"
            raise InputError(msg)

    @property
    def keys(self) -> list[str]:
        """How `Formats` knows its files: ``*.md``, ``makefile``."""
        return [f"*{suffix.lower()}" for suffix in self.suffixes] + [n.lower() for n in self.names]


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _suffixes(words: str) -> tuple[str, ...]:
    return tuple(f".{word}" for word in words.split())


_READERS = "ragkit.ingest.load.readers"
_TEXT = f"{_READERS}.text:read_text"

FORMATS = (
    # These are read here: nothing that a file holds makes their readers hang or crash.
    Format(
        "text",
        _suffixes("txt text log tex adoc asciidoc org"),
        _TEXT,
        sandboxed=False,
        keeps_lines=True,
        names=_names(
            "readme license licence copying notice authors changes changelog contributing install "
            "news todo version"
        ),
        about="The text as it stands. The encoding is told from the bytes: UTF-8, UTF-16, GB18030, "
        "Big5, Shift JIS, EUC-KR, the Windows code pages and others.",
    ),
    Format(
        "markdown",
        _suffixes("md markdown mdown mkd mdx qmd rmd"),
        f"{_READERS}.markdown_source:read_markdown",
        "markdown",
        sandboxed=False,
        keeps_lines=True,
        about="The text as it stands, without comments, which no reader of the page sees. "
        "Passages are cut at headings.",
    ),
    Format(
        "rst",
        _suffixes("rst rest"),
        _TEXT,
        "rst",
        sandboxed=False,
        keeps_lines=True,
        about="The text as it stands. Passages are cut at headings.",
    ),
    Format(
        "code",
        _suffixes(
            "py pyi pyx js mjs cjs jsx ts mts cts tsx vue svelte java kt kts scala groovy gradle "
            "c h cc cpp cxx hh hpp hxx m mm cs fs vb go rs rb php pl pm lua r jl swift dart ex exs "
            "erl hrl hs ml mli clj cljs lisp el scm sh bash zsh fish ps1 bat cmd awk sql graphql "
            "proto thrift toml yaml yml ini cfg conf properties css scss sass less tf hcl nix "
            "cmake mk asm s v vhd vhdl sv bib sty diff patch"
        ),
        _TEXT,
        "code",
        sandboxed=False,
        keeps_lines=True,
        names=_names(
            "makefile dockerfile containerfile jenkinsfile gemfile rakefile procfile vagrantfile "
            "brewfile justfile"
        ),
        about="The source as it stands. Passages are cut at blank lines, best between functions.",
    ),
    Format(
        "csv",
        _suffixes("csv tsv tab"),
        f"{_READERS}.csv:read_csv",
        "rows",
        sandboxed=False,
        about="Each row as a line of `column: value`. Delimiter and header are told from the file.",
    ),
    Format(
        "json",
        _suffixes("json geojson"),
        f"{_READERS}.json:read_json",
        "rows",
        sandboxed=False,
        about="Each value as a line of `path: value`, each record as a paragraph.",
    ),
    Format(
        "jsonl",
        _suffixes("jsonl ndjson"),
        f"{_READERS}.json:read_jsonl",
        "rows",
        sandboxed=False,
        about="As `json`, for a file with a record on each line. A broken line is noted, and the "
        "others are read.",
    ),
    # The parsers of these can hang, crash or eat memory.
    Format(
        "pdf",
        _suffixes("pdf"),
        f"{_READERS}.pdf:read_pdf",
        about="The text of each page, with columns, tables and the values of forms; answers name "
        "the page. Scans have no text: their pages are named, and read with the extra `ocr`.",
    ),
    Format(
        "docx",
        _suffixes("docx docm dotx dotm"),
        f"{_READERS}.docx:read_docx",
        "markdown",
        about="What Word shows: headings, lists, tables, notes, comments, headers and footers. "
        "Hidden and struck-out text is left out.",
    ),
    Format(
        "doc",
        _suffixes("doc dot"),
        f"{_READERS}.old_office:read_doc",
        "markdown",
        about="As `docx`, through an installed LibreOffice; skipped with a hint without one.",
    ),
    Format(
        "pptx",
        _suffixes("pptx pptm ppsx ppsm potx potm"),
        f"{_READERS}.pptx:read_pptx",
        "markdown",
        about="The slides in their order, each a page: titles, points, tables, charts, notes and "
        "comments. Hidden slides are left out and told.",
    ),
    Format(
        "ppt",
        _suffixes("ppt pps pot"),
        f"{_READERS}.old_office:read_ppt",
        "markdown",
        about="As `pptx`, through an installed LibreOffice; skipped with a hint without one.",
    ),
    Format(
        "xlsx",
        _suffixes("xlsx xlsm xltx xltm xlsb"),
        f"{_READERS}.sheets:read_sheets",
        "sheets",
        about="Each row as `column: value`, each sheet a page below its name. Dates are ISO 8601, "
        "numbers and errors as their cells show them. Comments stand in their row, text boxes and "
        "names of charts below. Hidden sheets, rows and columns are left out and told.",
    ),
    Format(
        "xls",
        _suffixes("xls xlt"),
        f"{_READERS}.sheets:read_sheets",
        "sheets",
        about="As `xlsx`; of files older than Excel 97, plain numbers and no comments.",
    ),
    Format(
        "ods",
        _suffixes("ods ots"),
        f"{_READERS}.sheets:read_sheets",
        "sheets",
        about="As `xlsx`.",
    ),
    Format(
        "odt",
        _suffixes("odt ott"),
        f"{_READERS}.odf:read_odt",
        "markdown",
        about="What LibreOffice shows: headings, lists, tables, formulas, notes and comments.",
    ),
    Format(
        "odp",
        _suffixes("odp otp"),
        f"{_READERS}.odf:read_odp",
        "markdown",
        about="The slides, each a page, with their notes. Hidden slides are left out and told.",
    ),
    Format(
        "rtf",
        _suffixes("rtf"),
        f"{_READERS}.rtf:read_rtf",
        "markdown",
        about="Headings, tables, lists and footnotes, without hidden text. Needs the extra "
        "`office`.",
    ),
    Format(
        "epub",
        _suffixes("epub"),
        f"{_READERS}.epub:read_epub",
        "markdown",
        about="The chapters in reading order, each a page, without cover and table of contents.",
    ),
    Format(
        "eml",
        _suffixes("eml"),
        f"{_READERS}.mail:read_eml",
        "markdown",
        about="Sender, receivers, date, subject and text of a mail. Its attachments are documents "
        "of their own.",
    ),
    Format(
        "msg",
        _suffixes("msg"),
        f"{_READERS}.msg:read_msg",
        "markdown",
        about="As `eml`, from Outlook. Needs the extra `office`.",
    ),
    Format(
        "mbox",
        _suffixes("mbox"),
        f"{_READERS}.mail:read_mbox",
        "markdown",
        names=("mbox",),
        about="Many mails, each a page.",
    ),
    Format(
        "picture",
        _suffixes("png jpg jpeg tif tiff bmp webp"),
        f"{_READERS}.picture:read_picture",
        about="With the extra `ocr`: the text that is recognised in it, in Chinese and English; "
        "skipped without. Letters may be wrong.",
    ),
    Format(
        "zip",
        _suffixes("zip"),
        f"{_READERS}.archives:read_zip",
        about="With `load.archives=true`: the list of its files, which are documents of their own.",
    ),
    Format(
        "tar",
        _suffixes("tar tgz tbz2 txz"),
        f"{_READERS}.archives:read_tar",
        about="As `zip`, packed or not.",
    ),
    Format(
        "html",
        _suffixes("html htm xhtml"),
        f"{_READERS}.html:read_html",
        "markdown",
        about="What a browser shows: headings, lists, tables. Scripts and hidden parts are left "
        "out.",
    ),
)

SANDBOXED = tuple(row.kind for row in FORMATS if row.sandboxed)
"""Kinds of ragkit's own whose files are read in the sandbox."""


class Formats:
    """The formats of one run: those given, ragkit's own, and those of installed packages.

    A given format takes the place of ragkit's format of the same kind, and a suffix from any
    other. An installed package only adds what ragkit has no reader for, so that installing one
    changes nothing about files that can be read already. Packages are looked for once, when a
    file or a kind is met that no other format is for.

    Args:
        given: A program's own formats.
    """

    def __init__(self, given: Sequence[Format] = ()) -> None:
        self.given = tuple(given)
        kinds = {row.kind for row in self.given}
        own = [row for row in FORMATS if row.kind != "picture" or has_ocr()]
        rows = [row for row in own if row.kind not in kinds] + list(self.given)
        self._by_kind = {row.kind: row for row in rows}
        self._by_key = {key: row for row in rows for key in row.keys}
        self._is_whole = False

    def __reduce__(self) -> tuple[type[Formats], tuple[tuple[Format, ...]]]:
        """Pickle what was given; a process looks for installed packages itself."""
        return Formats, (self.given,)

    @property
    def are_importable(self) -> bool:
        """Whether another process can have them too."""
        return not any(callable(row.reader) for row in self.given)

    @property
    def installed(self) -> dict[str, list[str]]:
        """The kinds that installed packages read, each with its files, e.g. ``*.nts``."""
        own = {row.kind for row in (*FORMATS, *self.given)}
        self._add_installed()
        return {
            kind: [key for key in row.keys if self._by_key[key] is row]
            for kind, row in self._by_kind.items()
            if kind not in own
        }

    def find(self, name: str) -> Format | None:
        """The format of a file by its name, None if there is no reader for it.

        Examples:
            >>> rows = map(Formats().find, ("notes/Plan.MD", "Makefile", "photo.png"))
            >>> [row and row.kind for row in rows]
            ['markdown', 'code', None]

        A packed file is of the format of what is packed: ``log.txt.gz`` is text.
        """
        base = posixpath.basename(name).lower()
        found = self._find(base)
        inner = base.removesuffix(".gz")
        return self._find(inner) if found is None and "." in inner.strip(".") else found

    def _find(self, base: str) -> Format | None:
        stem, dot, suffix = base.rpartition(".")
        key = f"*.{suffix}" if dot and stem else base
        if key not in self._by_key:
            self._add_installed()
        return self._by_key.get(key)

    def of_kind(self, kind: str) -> Format | None:
        """The format of a kind, None if there is none."""
        if kind not in self._by_kind:
            self._add_installed()
        return self._by_kind.get(kind)

    def _add_installed(self) -> None:
        if self._is_whole:
            return
        self._is_whole = True
        for row in _installed():
            if row.kind in self._by_kind:
                _log.warning("An installed reader is not used: the kind %s is taken.", row.kind)
                continue
            self._by_kind[row.kind] = row
            for key in row.keys:
                self._by_key.setdefault(key, row)


def _installed() -> Iterable[Format]:
    """The formats that installed packages offer, by name; one that fails is logged."""
    from importlib.metadata import entry_points  # 20 ms, and more for each installed package

    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            row = entry.load()
        except Exception as exc:  # noqa: BLE001 -- a stranger's module, which must not end the run
            _log.warning("The reader %s (%s) cannot be loaded: %r", entry.name, entry.value, exc)
            continue
        if isinstance(row, Format):
            yield row
        else:
            _log.warning("The reader %s (%s) is no Format: %r", entry.name, entry.value, row)


def no_reader(name: str) -> str:
    """Say why a file of unknown kind is left out."""
    suffix = posixpath.splitext(posixpath.basename(name))[1]
    return f"no reader for {suffix}" if suffix else "no reader for files without a suffix"


def read_with(reader: str | Reader, data: bytes, name: str) -> Parsed:
    """Read a file in this process; the text and title that come back are normalised.

    Raises:
        LoadError: The reader raised it, or anything else, or what it returned is not sound.
        MemoryError: It needs more memory than there is.
    """
    try:
        return _sound((_imported(reader) if isinstance(reader, str) else reader)(data, name))
    except (LoadError, MemoryError):
        raise
    except RecursionError as exc:
        msg = "its parts are nested too deeply"
        raise LoadError(msg, name) from exc
    except ImportError as exc:
        if "map segment" in str(exc):  # how the loader says that memory is at its limit
            raise MemoryError from exc
        msg = f"its parser cannot be imported: {exc}"
        raise LoadError(msg, name) from exc
    except Exception as exc:  # parsers fail on broken files in any manner
        msg = f"cannot be parsed: {type(exc).__name__}: {exc}"
        raise LoadError(msg, name) from exc
    except BaseException as exc:
        if type(exc).__module__ != _RUST:
            raise
        msg = f"its parser gave up on it: {exc}"
        raise LoadError(msg, name) from exc


_RUST = "pyo3_runtime"  # no module: where the error says it is from that a panic of Rust becomes


@cache
def _imported(path: str) -> Reader:
    module, _, name = path.partition(":")
    try:
        reader: Reader = getattr(import_module(module), name)
    except AttributeError as exc:
        raise ImportError(str(exc)) from exc
    return reader


def _sound(parsed: Parsed) -> Parsed:
    """Normalise what a reader returned, and check what the stages behind it rely on."""
    if not isinstance(parsed, Parsed):
        msg = f"a reader returns a Parsed, not {parsed!r:.80}"
        raise TypeError(msg)
    for name, value in (("text", parsed.text), ("title", parsed.title)):
        if not isinstance(value, str):
            msg = f"the {name} of a Parsed is a str, not {shown_value(value)}"
            raise TypeError(msg)
    if parsed.metadata:
        parsed = replace(parsed, metadata=_sound_metadata(parsed.metadata))
    text, title, pages = normalise(parsed.text), normalise(parsed.title), parsed.pages
    if pages and text != parsed.text:
        pages = tuple(
            Page(page.number, *(len(normalise(parsed.text[:i])) for i in (page.start, page.end)))
            for page in pages
        )
    places = [place for page in pages for place in (page.start, page.end)]
    if places != sorted(places) or (places and not 0 <= places[0] <= places[-1] <= len(text)):
        msg = "pages lie in the text, in order"
        raise ValueError(msg)
    if (text, title) == (parsed.text, parsed.title):
        return parsed
    return replace(parsed, text=text, title=title, pages=pages)


def _sound_metadata(metadata: object) -> dict[str, Any]:
    """Metadata as JSON keeps them, their texts normalised.

    Raises:
        TypeError: They are not values by name, a value is no JSON, or one of those that are told
            to the user is of another type.
    """
    if not isinstance(metadata, dict):
        msg = f"metadata are values by name, as {{'author': 'Chen'}}, not {shown_value(metadata)}"
        raise TypeError(msg)
    for key, value in metadata.items():
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError) as exc:
            msg = f"the value of {key!r} in metadata is no JSON: {shown_value(value)}"
            raise TypeError(msg) from exc
    notes = metadata.get("notes", ())
    if not isinstance(notes, (list, tuple)) or not all(isinstance(note, str) for note in notes):
        msg = "the notes of metadata are a list of sentences"
        raise TypeError(msg)
    reading_notes(metadata)
    made: dict[str, Any] = json.loads(normalise(json.dumps(metadata, ensure_ascii=False)))
    return made


def normalise(text: str) -> str:
    r"""Make a text safe to store and to count in.

    Line ends become ``\n``, NULs and a leading byte order mark go, surrogate pairs become the
    character they stand for and lone surrogates U+FFFD. Normalising twice changes nothing.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    try:
        text.encode("utf-8")  # the fastest way to learn that there is no surrogate
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.lstrip("\ufeff")
