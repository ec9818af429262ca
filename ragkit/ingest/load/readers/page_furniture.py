"""What stands on the pages of a document and not in its text: page numbers, running heads."""

from __future__ import annotations

import re
from collections import Counter

from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import is_cjk

_PAGE = (
    r"(?:page|pages|p|pg|seite|s|página|pagina|pág|pag|strona|str|стр|страница|sida|side|sivu|第"
    r"|ページ|页|頁)"
)
_ROMAN = r"(?=[ivxlc])(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})(?![^\W\d_])"
_NUMBER = rf"(?:\d{{1,4}}|{_ROMAN})"
_PAGE_NUMBER = late_pattern(
    rf"[\W_]*(?:{_PAGE}[\W_]*)?{_NUMBER}[\W_]*(?:{_PAGE}[\W_]*)?"
    rf"(?:(?:of|von|de|sur|di|van|av|af|z|из|共|out of)?[\W_]*{_NUMBER}[\W_]*(?:{_PAGE}[\W_]*)?)?",
    re.IGNORECASE,
)


def is_page_number(line: str) -> bool:
    """Say whether a line only numbers its page.

    >>> [is_page_number(line) for line in ("Page 1 of 2", "- iv -", "第 3 页 共 9 页", "Fee: 12")]
    [True, True, True, False]
    """
    return _PAGE_NUMBER.fullmatch(line.strip()) is not None


_MOST_LINES = 3
_LONGEST = 120
_FEW_PAGES = 4
_SHARE = 0.2
_DIGITS = late_pattern(r"\d+|\b[ivxlc]+\b")
_ENDS = frozenset(".!?:;。！？；：…")
_CLOSERS = "”’」』）)】》\"'»]¹²³⁴⁵⁶⁷⁸⁹⁰"


def without_furniture(pages: list[str]) -> list[str]:
    """Leave the running heads and feet of pages out, known by their coming again.

    A head stays where it comes first, a foot where it comes last; page numbers go everywhere.
    """
    if len(pages) < 2:
        return list(pages)
    texts = [page.split("\n") for page in pages]
    for is_foot in (False, True):
        saved: dict[str, list[str]] = {}
        for _ in range(_MOST_LINES):
            if not _peel(texts, is_foot=is_foot, saved=saved):
                break
        _put_back(texts, saved, is_foot=is_foot)
    return ["\n".join(lines).strip("\n") for lines in texts]


def _peel(texts: list[list[str]], *, is_foot: bool, saved: dict[str, list[str]]) -> bool:
    """Take the outermost line off each page on which it is furniture; say whether any was."""
    outer = [_outer(lines, is_foot=is_foot) for lines in texts]
    keys = [
        _key(lines[place]) if place is not None else ""
        for lines, place in zip(texts, outer, strict=True)
    ]
    counts = Counter(key for key in keys if key)
    filled = sum(place is not None for place in outer)
    least = max(2 if filled <= _FEW_PAGES else 3, _SHARE * filled)
    found = False
    for page, (place, key) in enumerate(zip(outer, keys, strict=True)):
        if place is None or not key or counts[key] < least:
            continue
        line = texts[page].pop(place)
        found = True
        if not is_page_number(line):
            saved.setdefault(key, []).append(f"{page}\n{line}")
    return found


def _put_back(texts: list[list[str]], saved: dict[str, list[str]], *, is_foot: bool) -> None:
    """Put each head back where it came first, each foot where it came last."""
    for lines in reversed(saved.values()):
        number, _, line = lines[-1 if is_foot else 0].partition("\n")
        page = texts[int(number)]
        if is_foot:
            page += ["", line]
        else:
            page.insert(0, line)


def _outer(lines: list[str], *, is_foot: bool) -> int | None:
    """The place of the first or last line with anything in it."""
    places = range(len(lines) - 1, -1, -1) if is_foot else range(len(lines))
    return next((i for i in places if lines[i].strip()), None)


def _key(line: str) -> str:
    """What a line has in common with those of other pages; "" where it can be no furniture."""
    bare = " ".join(line.split()).casefold()
    if len(bare) > _LONGEST or bare.startswith("|"):
        return ""
    return _DIGITS.sub("#", bare)


def goes_on(before: str, after: str) -> bool:
    """Say whether a sentence goes on from the end of one page to the beginning of the next.

    >>> goes_on("a search fee of", "nineteen crowns."), goes_on("It ends.", "so it does")
    (True, False)
    """
    end, begin = before.rstrip().rstrip(_CLOSERS), after.lstrip()
    if not end or not begin or end[-1] in _ENDS:
        return False
    if end[-1] in ",，、-‐–(（":
        return True
    is_cut = begin[0].islower() and not end.rpartition("\n")[2].startswith("|")
    return is_cut or (is_cjk(end[-1]) and is_cjk(begin[0]))
