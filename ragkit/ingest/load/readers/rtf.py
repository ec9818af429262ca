"""RTF: paragraphs, headings, tables and notes as a word processor shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load.aids import needs_extra
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.docx_styles import HEADING_NAME
from ragkit.ingest.load.readers.markdown_writer import MarkdownWriter
from ragkit.ingest.load.readers.page_texts import places
from ragkit.ingest.load.readers.properties import file_metadata
from ragkit.text.raising import raise_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGIN = b"{\\rtf"
_TOKEN = re.compile(r"\\([a-zA-Z]+)(-?\d+)?[ ]?|\\'[0-9a-fA-F]{2}|\\.|[{}]|[^\\{}]+", re.DOTALL)
_SAID = re.compile(
    r"\{\\(title|author|subject|keywords)\s((?:[^{}\\]|\\'[0-9a-f]{2}|\\[a-z]+-?\d*[ ?]?|\\.)*+)\}",
    re.DOTALL,
)
_CREATED = re.compile(r"\{\\creatim\\yr(\d{4})\\mo(1[0-2]|0?[1-9])\\dy(\d+)")
_INFO, _MOST_INFO_CHARS = "{\\info", 20_000
_STYLE = re.compile(r"\{\\s(\d+)((?:\\[a-z]+-?\d*[ ]?|[ ]|\{[^{}]*\})*)([^{}\\;]*);")
_OUTLINE = re.compile(r"\\outlinelevel(\d)")
_CODE_PAGE = re.compile(r"\\ansicpg(\d+)")
_INLINE = ("listtext", "pntext")  # destinations that the converter drops, and people see
_RAISED, _LOWERED, _LEVEL, _CELL, _NOTE, _NOTE_END, _HEADING = map(chr, range(0xE000, 0xE007))
"""Marks that pass the converter: where raised and lowered text begins and where it ends, the end
of a cell, the begin and end of a note, and a heading, which its level follows."""

_SHIFT_MARKS = {1: _RAISED, -1: _LOWERED, 0: _LEVEL}
_MARKED = re.compile(f"([{_RAISED}{_LOWERED}{_LEVEL}])")
_HEADED = re.compile(f"{_HEADING}(\\d)")
_NOTES = re.compile(f"{_NOTE}([^{_NOTE}{_NOTE_END}]*){_NOTE_END}")
_BULLET = re.compile(r"[·•▪◦\uf0b7]\t")
_MOST_LEVELS = 6
_DEEPEST = 1_000


def read_rtf(data: bytes, name: str) -> Parsed:
    """Read a text in RTF.

    Headings become ``# `` lines, tables those of Markdown, footnotes stand below their paragraph.
    Hidden text is left out and counted in ``metadata["hidden"]``, struck-out text is noted.

    Raises:
        UnsupportedFormatError: It is no RTF, or the extra ``office`` is not installed.
        LoadError: Its groups are nested beyond 1,000.
    """
    if not data.lstrip().startswith(_BEGIN):
        msg = "is no RTF: it does not begin as one"
        raise UnsupportedFormatError(msg, name)
    try:
        from striprtf import striprtf
    except ImportError as exc:
        what = "reading RTF"
        raise needs_extra(what, name) from exc
    rtf_to_text: Any = striprtf.rtf_to_text
    source = data.decode("latin-1")
    marked = _Marker(name, dict(_heading_styles(source)))
    text = rtf_to_text("".join(marked.marked(source)), errors="replace")
    said = _properties(source, rtf_to_text)
    title = clean_title(said.pop("title", ""))
    return Parsed(_written(text), title, None, (), file_metadata(said) | marked.metadata())


def _properties(source: str, rtf_to_text: Any) -> dict[str, str]:  # noqa: ANN401 -- untyped
    """The title, author, subject, keywords and day of creation, as far as the file names them."""
    begin = source.find(_INFO)
    if begin < 0:
        return {}
    place, page = (begin, begin + _MOST_INFO_CHARS), _code_page(source)
    said = {
        name: " ".join(rtf_to_text(f"{{\\rtf1\\ansi{page} {text}}}", errors="replace").split())
        for name, text in _SAID.findall(source, *place)
    }
    if found := _CREATED.search(source, *place):
        year, month, day = map(int, found.groups())
        said["created"] = f"{year}-{month:02}-{day:02}"
    return said


def _heading_styles(source: str) -> Iterator[tuple[str, int]]:
    """The numbers of the styles of headings, with their level from 0."""
    for number, look, name in _STYLE.findall(source):
        if found := _OUTLINE.search(look):
            yield number, int(found[1])
        elif named := HEADING_NAME.match(name.strip()):
            yield number, int(named[1]) - 1


def _code_page(source: str) -> str:
    found = _CODE_PAGE.search(source)
    return found[0] if found else ""


@dataclass(frozen=True, slots=True)
class _RtfLook:
    """How text looks within a group."""

    shift: int = 0
    is_hidden: bool = False
    is_struck: bool = False
    is_note: bool = False
    is_aside: bool = False


class _Marker:
    """Marks in the source what the converter would lose; takes out what nobody sees."""

    def __init__(self, name: str, levels: dict[str, int]) -> None:
        self._name, self._levels = name, levels
        self._hidden = self._struck = 0
        self._was_seen = True

    def marked(self, source: str) -> Iterator[str]:
        """The source, token by token, with marks."""
        stack, look = [_RtfLook()], _RtfLook()
        for token in _TOKEN.finditer(source):
            piece = token[0]
            before = look
            if piece == "{":
                stack.append(look)
                look = replace(look, is_note=False)
                if len(stack) > _DEEPEST:
                    msg = f"its groups are nested deeper than {_DEEPEST:,}"
                    raise LoadError(msg, self._name)
            elif piece == "}":
                look = stack.pop() if len(stack) > 1 else stack[0]
                yield _mark(_NOTE_END) if before.is_note else ""
            elif token[1]:
                look = _changed(look, token[1], token[2])
                piece = self._kept(token[1], token[2] or "", piece)
            elif not self._is_seen(look, piece):
                continue
            if before.shift != look.shift:
                yield _mark(_SHIFT_MARKS[look.shift])
            yield piece

    def _kept(self, word: str, number: str, piece: str) -> str:
        """What of a control word the converter is given."""
        if word == "footnote":
            return _mark(_NOTE)
        if word in _INLINE:
            return ""
        if word in ("cell", "nestcell"):
            return _mark(_CELL) + "\\cell "
        level = self._levels.get(number, _MOST_LEVELS) if word == "s" else _MOST_LEVELS
        level = int(number) if word == "outlinelevel" and number.isdigit() else level
        return _mark(_HEADING) + str(level + 1) + piece if level < _MOST_LEVELS else piece

    def metadata(self) -> dict[str, Any]:
        """What is told of what was taken out."""
        found: dict[str, Any] = {"hidden": self._hidden} if self._hidden else {}
        notes = [f"struck-out text was left out in {places(self._struck)}"] if self._struck else []
        return found | ({"notes": notes} if notes else {})

    def _is_seen(self, look: _RtfLook, piece: str) -> bool:
        is_seen = look.is_aside or not (look.is_hidden or look.is_struck)
        if not is_seen and self._was_seen and piece.strip():
            self._hidden += look.is_hidden
            self._struck += not look.is_hidden
        self._was_seen = is_seen
        return is_seen


def _changed(look: _RtfLook, word: str, number: str | None) -> _RtfLook:
    is_on = number != "0"
    if word in ("super", "sub", "nosupersub"):
        return replace(look, shift={"super": 1, "sub": -1}.get(word, 0) if is_on else 0)
    if word == "v":
        return replace(look, is_hidden=is_on)
    if word in ("strike", "striked"):
        return replace(look, is_struck=is_on)
    if word == "plain":
        return replace(look, shift=0, is_hidden=False, is_struck=False)
    if word == "footnote":
        return replace(look, is_note=True, shift=0)
    return replace(look, is_aside=True) if word in ("stylesheet", "fonttbl", "info") else look


def _mark(char: str) -> str:
    return f"\\u{ord(char) - 0x10000}?"


def _written(text: str) -> str:
    writer = MarkdownWriter()
    notes = 0
    for raw in text.replace("\r", "").split("\n"):
        below: list[str] = []
        line = raw
        while found := _NOTES.search(line):
            notes += 1
            below.append(f"{raise_text('', str(notes))} {' '.join(found[1].split())}")
            number = f"{_RAISED}{notes}{_LEVEL}"
            line = line[: found.start()] + number + line[found.end() :]
        _write_line(writer, line)
        for note in below:
            _write_line(writer, note)
    return writer.text()


def _write_line(writer: MarkdownWriter, line: str) -> None:
    """Write a paragraph, or a row of a table."""
    level = next(iter(_HEADED.findall(line)), "")
    line = _HEADED.sub("", line)
    if _CELL in line:
        if not writer.in_table:
            writer.open_table()
        for cell in line.split(_CELL)[:-1]:
            writer.open_cell()
            _write_shifted(writer, cell.removeprefix("|"))
            writer.close_cell()
        writer.end_row()
        return
    if writer.in_table:
        writer.close_table()
    writer.end_block()
    if level and line.strip():
        writer.mark("#" * int(level) + " ")
    elif bullet := _BULLET.match(line.lstrip()):
        line = line.lstrip()[bullet.end() :]
        writer.mark("- ")
    _write_shifted(writer, line)
    writer.end_block()


def _write_shifted(writer: MarkdownWriter, text: str) -> None:
    shift = 0
    for part in _MARKED.split(text):
        if part in _SHIFT_MARKS.values():
            shift = {_RAISED: 1, _LOWERED: -1, _LEVEL: 0}[part]
        else:
            writer.add(part, shift)
