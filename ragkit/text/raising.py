"""Text that stands raised or lowered, written on the line: powers, marks, ordinals, indices."""

from __future__ import annotations

from ragkit.text.patterns import late_pattern

_DIGITS = str.maketrans("0123456789+-−=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾")
RAISED_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_BACK = str.maketrans(RAISED_DIGITS, "0123456789")
_MARK = late_pattern(r"[0-9+\-−,;*†‡§–]+")
_SIMPLE = late_pattern(r"[+\-−]?[\w.,]+|\(.*\)|\[.*\]")
_WORD = late_pattern(r"[^\W\d_]+\Z")
_TRADE = {"tm": "™", "sm": "℠", "r": "®"}
_ORDINALS = frozenset(
    [
        "st",
        "nd",
        "rd",
        "th",
        "er",
        "re",
        "e",
        "ère",
        "ere",
        "ème",
        "eme",
        "ième",
        "nde",
        "d",
        "o",
        "a",
        "os",
        "as",
        "º",
        "ª",
        "de",
        "ste",
        "й",
        "я",
        "е",
        "го",
    ]
)
"""What makes a figure an ordinal in English, French, Dutch, Italian, Spanish, Russian."""

_TITLES = frozenset(["me", "mes", "lle", "lles", "gr", "r", "rs", "e", "es", "o", "os", "a", "as"])
"""What is raised behind a capital in Mme, Dr, Nº."""

_LONGEST = 24
"""Characters up to which a raised text is a power or a mark; longer ones are just small print."""


def raise_text(before: str, text: str) -> str:
    """Write a raised text behind what stands before it, so that neither changes what it says.

    >>> [raise_text(b, t) for b, t in (("10", "6"), ("1", "st"), ("warranty", "3"), ("m", "2"))]
    ['^6', 'st', '³', '²']
    """
    bare = text.strip()
    last = before[-1:]
    if not bare or len(bare) > _LONGEST or last.isspace() or not last:
        return text.translate(_DIGITS) if bare.isdigit() else text
    if last.isalpha():
        raised = _behind_letter(before, bare)
    elif last.isdigit() or last in ")]}":
        is_mark = bare.casefold() in _ORDINALS or bare[0] in "[*†‡§°'"
        raised = bare if is_mark else "^" + grouped(bare)
    else:
        raised = bare.translate(_DIGITS) if _MARK.fullmatch(bare) else bare
    return text.replace(bare, raised, 1)


def _behind_letter(before: str, bare: str) -> str:
    if _MARK.fullmatch(bare):
        return bare.translate(_DIGITS)
    if bare.casefold() in _TRADE and bare.isupper():
        return _TRADE[bare.casefold()]
    word = _WORD.search(before)
    capital = word is not None and len(word[0]) == 1 and word[0].isupper()
    if (capital and bare in _TITLES) or not (bare[0].isalnum() or bare[0] in "+-−"):
        return bare
    return "^" + grouped(bare)


def lower_text(before: str, text: str) -> str:
    """Write a lowered text: an index is parted from the digit before it.

    >>> lower_text("H", "2"), lower_text("101", "2"), lower_text("x", "i+1")
    ('2', '_2', '_(i+1)')
    """
    bare = text.strip()
    if not bare or len(bare) > _LONGEST or not before[-1:].isalnum():
        return text
    if before[-1].isdigit() or not bare.isalnum() or (bare.isalpha() and before[-1].isalpha()):
        return text.replace(bare, "_" + grouped(bare), 1)
    return text


def grouped(part: str) -> str:
    """Put brackets around a part of a formula that is more than one number or name."""
    return part if _SIMPLE.fullmatch(part) else f"({part})"


_AFTER_FIGURE = late_pattern(rf"(?<=[0-9])[{RAISED_DIGITS}]+")
_AFTER_WORD = late_pattern(rf"(?<=[^\W\d_]{{3}})[{RAISED_DIGITS}]+")
_ANY = late_pattern(f"[{RAISED_DIGITS}]")


def unraise(text: str) -> str:
    """Part raised digits from what they stand behind, before a compatibility form joins them.

    >>> unraise("10⁶ warranty² 5 m²")
    '10^6 warranty 2 5 m²'
    """
    if text.isascii() or not _ANY.search(text):
        return text
    text = _AFTER_FIGURE.sub(lambda found: "^" + found[0].translate(_BACK), text)
    return _AFTER_WORD.sub(lambda found: " " + found[0].translate(_BACK), text)
