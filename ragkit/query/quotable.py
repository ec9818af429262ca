"""What of a passage can be quoted: sentences, rows, items of a list, fields, answers.

A passage is read as a row of parts. Some say nothing by themselves: a heading, a question, the
names of a table's columns, what ends in a colon; these are shown with what stands below them. Some
say nothing at all: badges, copyright lines, navigation, front matter, page numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from ragkit.query.beside import goes_along
from ragkit.query.proof.marks import MARK
from ragkit.text.injection import spans_without
from ragkit.text.patterns import late_pattern
from ragkit.text.statements import statements
from ragkit.text.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.records import Passage

Kind = Literal[
    "sentence", "item", "row", "code", "question", "lead", "columns", "heading", "nothing"
]

_SAID: tuple[Kind, ...] = ("sentence", "item", "row", "code")
"""Kinds of parts that can be quoted."""

MIN_WORDS = 3
"""Shorter parts (words, or pairs of CJK characters) say nothing by themselves."""

LONGEST_NEIGHBOUR = 300
"""Characters up to which the sentence before or behind is shown."""

LONGEST_LIST = 900
"""Characters up to which a list is shown as a whole, or what stands above an item or answer."""

_REFERENCES = late_pattern(rf"(?:{MARK}\s*)+")
_LAST_REFERENCE = late_pattern(rf"\s*{MARK}\Z")
_RULE = late_pattern(r"\n(?=[ \t|:]*-)[ \t|:-]*+(?:\n|\Z)")
"""The line below the names of a Markdown table's columns."""

_UNDERLINE = late_pattern(r"\n[ \t]*(?:={3,}|-{3,})[ \t]*(?:\n|\Z)")
_HEADING = late_pattern(r"#{1,6}(?:[ \t]|\Z)")
_NAMED_ROW = late_pattern(r"[^:;\n]{1,60}: [^;\n]*; [^:;\n]{1,60}: ")
"""A row as the readers of tables write it: names with values."""

_ITEM = late_pattern(
    r"(?:[-*+•·▪◦–][ \t]+|\(?\d{1,3}[.)、．][ \t]*(?!\d)|[①-⑳]"
    r"|[（(](?:\d{1,3}|[a-z]|[ivx]{1,4}|[一二三四五六七八九十]{1,3})[)）]|[一二三四五六七八九十]{1,3}、)"
)
_FRONT_MATTER = late_pattern(
    r"\A(?:---\n.*?\n(?:---|\.\.\.)|\+\+\+\n.*?\n\+\+\+)[ \t]*(?:\n|\Z)", re.S
)
_FENCE = late_pattern(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)
_IMAGE = late_pattern(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])")
_LINK = late_pattern(r"\[[^\[\]]*\](?:\([^)]*\)|\[[^\]]*\])")
_TAGS = late_pattern(r"<!--.*?(?:-->|\Z)|</?[a-zA-Z][^<>]*>", re.DOTALL)
_NOTHING = late_pattern(
    # Copyright.
    r"\W*(?:©|\(c\)\s*\d{4}|copyright\s*(?:©|\(c\)|\d{4})|版[权權]所有|著作[权權]所有).{0,200}"
    r"|.{0,100}\b(?:all rights reserved|alle rechte vorbehalten)\W*"
    # Navigation, tables of contents.
    r"|\W*(?:skip to (?:main )?content|(?:back|return) to (?:the )?top|table of contents|next page"
    r"|previous page|edit (?:this|on) (?:page|github).{0,20}|回到顶部|返回顶部|跳到(?:主要)?内容"
    r"|[上下]一[页頁篇章].{0,30}|目录|目錄)\W*"
    r"|[^.!?。！？\n]{1,30}(?:\s[›»→]\s[^.!?。！？\n]{1,40})+"
    r"|[^.!?。！？\n\d|]{1,20}(?:\s[|·•/>]\s[^.!?。！？\n\d|]{1,20}){2,}"
    r"|.{1,150}?(?:\.[ ]?){4,}\s*\d*|.{1,150}?…{2,}\s*\d*"
    # Page numbers, admonitions.
    r"|\W*(?:page|seite|第)?\s*\d{1,4}\s*[页頁]?(?:\s*(?:of|/|von|共)\s*\d{1,4}\s*[页頁]?)?\W*"
    r"|(?:///|!!!|:::)[ \t]*\S*.{0,60}",
    re.IGNORECASE,
)
_LABEL_ENDS = (":", "：")
_ASKS = ("?", "？")


@dataclass(frozen=True, slots=True)
class Part:
    """A statement of a passage: what kind it is, and its half-open offsets in the passage."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quotable:
    """Something that can be quoted, with what is needed to read it.

    Attributes:
        number: Of its passage.
        start, end: Half-open offsets in the passage's text of what answers.
        shown: The offsets of what is shown around it.
        lead: What is read before it: the question, the lead-in or the row of names above it, by
            its offsets; None if there is none.
        columns: Names of its table's columns, for a row; "" if nothing names them.
        said: Its words with those of its columns or lead-in, as it is compared with a question.
        lent: Words that stand for it: of the question or heading that it answers.
        around: The words of what is shown with it.
        above: The title and the headings of its passage.
        is_whole: It ends as a sentence does, or answers the question above it.
    """

    number: int
    start: int
    end: int
    shown: tuple[int, int]
    said: str
    lead: tuple[int, int] | None = None
    columns: str = ""
    lent: str = ""
    around: str = ""
    above: str = ""
    is_whole: bool = True


_ENDS = (*".!;。！；…", '."', ".”", ".)", "。”", "。」", "。）", "！”", "；）")
"""How what is said in whole sentences ends."""


def quotables(passage: Passage) -> Iterator[Quotable]:
    """List what can be quoted of a passage, in order; nothing that tells a model what to reply."""
    above = "\n".join((passage.title, *passage.heading))
    for begin, stop in spans_without(passage.text):
        parts = list(_parts(passage, begin, stop))
        for at, part in enumerate(parts):
            if part.kind in _SAID:
                found = _quotable(passage, parts, at)
            elif part.kind == "lead":
                found = _list_of(passage, parts, at)
            else:
                continue
            if found is not None:
                yield replace(found, above=above)


def _parts(passage: Passage, begin: int, stop: int) -> Iterator[Part]:
    """Read a stretch of a passage as parts; what has no words is none."""
    text = passage.text
    headings = {_bare(h) for h in (*passage.heading, passage.title)}
    front = _FRONT_MATTER.match(text) if not passage.start else None
    fences = [m.start() for m in _FENCE.finditer(text)]
    stretch = text[begin:stop]
    before: Part | None = None
    for span in statements(stretch, is_cut=passage.start + begin > 0):
        start, end = _between_marks(stretch, *span)
        if not words(stretch[start:end]):
            continue
        start, end = begin + start, begin + end
        said = text[start:end]
        is_code = sum(fence <= start for fence in fences) % 2 == 1
        kind = "nothing" if front and start < front.end() else _kind(text, start, end)
        line = text.rfind("\n", 0, start) + 1
        if _bare(said) in headings or _HEADING.match(text, line):
            kind = "heading"
        if is_code or _FENCE.match(said):
            kind = "code" if len(said.splitlines()) > 1 or not _FENCE.match(said) else "nothing"
        if kind == "row":
            kind = _row_kind(text, start, end, before)
        before = Part(kind, start, end)
        yield before


def _kind(text: str, start: int, end: int) -> Kind:
    """The kind of a part by its words alone; a row of names counts as a row."""
    said = text[start:end]
    if _HEADING.match(said) or ("\n" not in said and _UNDERLINE.match(text, end)):
        return "row" if said.startswith("|") else "heading"
    if _is_row(text, start, end):
        return "row"
    seen = _TAGS.sub("", _IMAGE.sub("", said))
    if not words(_LINK.sub("", seen)) or _NOTHING.fullmatch(" ".join(seen.split())):
        return "nothing"
    bare = said.rstrip("*_ ")
    if bare.endswith(_ASKS):
        return "question"
    if bare.endswith(_LABEL_ENDS):
        return "lead"
    return "item" if _ITEM.match(said) else "sentence"


def _is_row(text: str, start: int, end: int) -> bool:
    """Whether a part is a row of a table; a lone line with bars may be the way through a site."""
    said = text[start:end]
    if "\n" in said:
        return False
    if _NAMED_ROW.match(said) or (said.startswith("|") and " | " in said):
        return True
    above = text[:start].rstrip(" ").removesuffix("\n").rpartition("\n")[2]
    below = text[end:].lstrip(" ").removeprefix("\n").partition("\n")[0]
    beside = " | " in above or " | " in below or any(c.isdigit() for c in said)
    return " | " in said and "`" not in said and beside


def _row_kind(text: str, start: int, end: int, before: Part | None) -> Kind:
    """Whether a row of a table names its columns: what is ruled off does, or the first row.

    A row of labels alone, whose fields were left empty, says nothing.
    """
    if _RULE.match(text, end):
        return "columns"
    cells = [bare for cell in text[start:end].split("|") if (bare := cell.strip(" \t*_"))]
    if all(cell.endswith(_LABEL_ENDS) for cell in cells):
        return "nothing"
    is_first = before is None or before.kind not in ("row", "columns")
    follows = text[end : end + 2].startswith("\n") and " | " in text[end + 1 :].partition("\n")[0]
    said = text[start:end]
    is_table = not said.startswith("|") and " | " in said and follows
    return "columns" if is_first and is_table else "row"


def _quotable(passage: Passage, parts: Sequence[Part], at: int) -> Quotable | None:
    """A part with what is needed to read it; None if it says too little."""
    text, part = passage.text, parts[at]
    said = text[part.start : part.end]
    lead = _lead(text, parts, at)
    lent = _asked_above(text, parts, at)
    columns = _columns(passage, parts, at) if part.kind == "row" else ""
    own = said if lead is None or lead.kind == "question" else _of(text, lead) + "\n" + said
    whole = f"{columns}\n{own}".lstrip("\n")
    # Below a heading or line that asks, "Three months." is an answer; in its line it is more of it.
    if len(words(f"{lent} {whole}")) < MIN_WORDS:
        return None
    first, last = _around(text, parts, at, lead)
    if lead is None:  # what stands around it is shown for reading; the citation names one page
        first, last = _on_its_page(passage, parts[first : last + 1], part, first)
    shown = (parts[first].start, parts[last].end)
    span = None if lead is None else (lead.start, lead.end)
    return Quotable(
        number=passage.number,
        start=part.start,
        end=part.end,
        shown=shown,
        said=whole,
        lead=span,
        columns=columns,
        lent=lent,
        around=text[shown[0] : shown[1]],
        is_whole=said.endswith(_ENDS) or bool(lent),
    )


def _list_of(passage: Passage, parts: Sequence[Part], at: int) -> Quotable | None:
    """What ends in a colon with the list or the value below it; None if nothing stands there."""
    text, lead = passage.text, parts[at]
    below = _below(parts, at)
    fitting = list(takewhile(lambda p: p.end - lead.start <= LONGEST_LIST, below))
    if not fitting:
        return None
    end = fitting[-1].end
    return Quotable(
        number=passage.number,
        start=lead.start,
        end=lead.end if len(fitting) > 1 else end,
        shown=(lead.start, end),
        said=text[lead.start : fitting[0].end],
        lent=_asked_above(text, parts, at),
        around=text[lead.start : end],
    )


def _below(parts: Sequence[Part], at: int) -> list[Part]:
    """The items below a lead-in, or the one part that is its value."""
    rest = parts[at + 1 :]
    items = list(takewhile(lambda p: p.kind == "item", rest))
    return items or [p for p in rest[:1] if p.kind in _SAID]


def _lead(text: str, parts: Sequence[Part], at: int) -> Part | None:
    """What must be read before a part: a lead-in, a question or a row of names above it.

    The later sentences of an answer share more words with a question than the first, which they
    only add to; so they are read below the question as well, if that is a line.
    """
    kind, above = parts[at].kind, at - 1
    while above >= 0 and parts[above].kind == kind and kind in ("item", "row"):
        above -= 1
    while above >= 0 and kind == parts[above].kind == "sentence" and _in_one(text, parts, above):
        above -= 1
    leading = ("columns",) if kind == "row" else ("lead", "question")
    if above < 0 or parts[above].kind not in leading:
        return None
    lead = parts[above]
    is_later = kind == "sentence" and above < at - 1
    is_far = parts[at].end - lead.start > LONGEST_NEIGHBOUR
    is_line = text[: lead.start].rstrip(" ").endswith("\n") or not lead.start
    return None if is_later and (is_far or not is_line) else lead


def _in_one(text: str, parts: Sequence[Part], at: int) -> bool:
    """Whether a part and the next one stand in one paragraph."""
    return "\n\n" not in text[parts[at].end : parts[at + 1].start]


def _asked_above(text: str, parts: Sequence[Part], at: int) -> str:
    """The questions right above a part, in a line or a heading, that it answers."""
    lent = ""
    for above in reversed(parts[:at]):
        said = _of(text, above)
        is_asking = said.rstrip("*_# ").endswith(_ASKS)
        if not (above.kind == "question" or (above.kind == "heading" and is_asking)):
            break
        lent = f"{said}\n{lent}"
    return lent


def _columns(passage: Passage, parts: Sequence[Part], at: int) -> str:
    """The names of a row's columns: those above it, or of the table in which the passage begins."""
    lead = _lead(passage.text, parts, at)
    if lead is not None:
        return _of(passage.text, lead)
    first = next((p for p in parts if p.kind not in ("nothing",)), None)
    last = passage.heading[-1] if passage.heading else ""
    is_begun = first is not None and all(p.kind == "row" for p in parts[parts.index(first) : at])
    return last if is_begun and " | " in last else ""


def _around(text: str, parts: Sequence[Part], at: int, lead: Part | None) -> tuple[int, int]:
    """The first and the last part that are shown with one."""
    part = parts[at]
    if part.kind in ("row", "code"):
        return at, at
    first = last = at
    if lead is not None and part.end - lead.start <= LONGEST_LIST:
        first = parts.index(lead)
        listed = _below(parts, first) if lead.kind == "lead" else []
        fitting = [p for p in listed if p.end - lead.start <= LONGEST_LIST]
        if fitting and fitting[-1].start >= part.start:
            return first, parts.index(fitting[-1])
    elif at and _goes_with(text, parts, at, at - 1):
        first = at - 1
    if at + 1 < len(parts) and _goes_with(text, parts, at, at + 1):
        last = at + 1
    return first, last


def _on_its_page(
    passage: Passage, around: Sequence[Part], part: Part, first: int
) -> tuple[int, int]:
    """The first and the last of the parts around one, of which `first` is the first's place."""
    pages = [passage.page_at(passage.start + other.start) for other in around]
    own = [at for at, page in enumerate(pages) if page == pages[around.index(part)]]
    return first + own[0], first + own[-1]


def _goes_with(text: str, parts: Sequence[Part], at: int, beside: int) -> bool:
    """Whether the part before or behind is shown with one: a sentence, and not a long one.

    It stands in the same paragraph, or either paragraph has no more than that sentence, and goes on
    in the same matter (`ragkit.query.beside`).
    """
    part, other = parts[at], parts[beside]
    said = _of(text, other)
    is_said = other.kind == "item" or (other.kind == "sentence" and said.endswith(_ENDS))
    if not is_said or len(said) > LONGEST_NEIGHBOUR:
        return False
    if not goes_along(_of(text, part), said):
        return False
    gap = text[min(other.end, part.end) : max(other.start, part.start)]
    if gap.strip() and not _REFERENCES.fullmatch(gap.strip()):
        return False
    return "\n\n" not in gap or (part.kind == other.kind and _is_alone(text, part))


def _is_alone(text: str, part: Part) -> bool:
    """Whether a paragraph has nothing but one part, which answers no question above it."""
    above, below = text[: part.start].rstrip(" "), text[part.end :].lstrip(" ")
    is_asked = above.rstrip().rstrip("*_").endswith(_ASKS)
    begins = not above or above.endswith("\n\n")
    return begins and (not below or below.startswith("\n\n")) and not is_asked


def _of(text: str, part: Part) -> str:
    return text[part.start : part.end]


def _between_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the references at its ends; an answer could not show them as they stand."""
    match = _REFERENCES.match(text, start, end)
    start = match.end() if match else start
    while (last := _LAST_REFERENCE.search(text, start, end)) is not None:
        end = last.start()
    return start, end


def _bare(heading: str) -> str:
    return " ".join(heading.split()).strip("=-~*# ").casefold()
