"""Characters of the fonts Symbol and Wingdings, which Word stores by their place in the font."""

from __future__ import annotations

from ragkit.text.patterns import late_pattern

_SYMBOL = {
    0x22: "∀∃", 0x27: "∋", 0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", 0x5C: "∴", 0x5E: "⊥",
    0x61: "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", 0xA1: "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…",
    0xC0: "ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈", 0xE5: "∑", 0xF1: "〉∫⌠",
}  # fmt: skip
"""Adobe's Symbol encoding, runs by their first code; what is left out there is as in ASCII."""

_WINGDINGS = {
    0x6C: "●", 0x6E: "■", 0x6F: "□", 0x70: "□", 0x71: "❑", 0x72: "❒", 0x73: "⬧", 0x74: "◆",
    0x75: "◆", 0x76: "❖", 0x9E: "·", 0x9F: "•", 0xA7: "▪", 0xA8: "◻", 0xD8: "➢", 0xDF: "←",
    0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇐", 0xF0: "⇒", 0xFB: "✗", 0xFC: "✓",
    0xFD: "☒", 0xFE: "☑", 0x4A: "☺", 0x4C: "☹", 0x28: "☎", 0x2A: "✉", 0xB7: "🕐",
}  # fmt: skip
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐"}


def symbol(font: str, code: str) -> str:
    """The character at a place of a font; "" if it is not known what stands there.

    Args:
        font: The font's name.
        code: The place, in hex digits; Word adds F000 to it.

    >>> symbol("Symbol", "F0A3"), symbol("Wingdings", "F0FC"), symbol("Arial", "00B0")
    ('≤', '✓', '°')
    """
    try:
        place = int(code, 16)
    except ValueError:
        return ""
    if place >= 0xF000:
        place -= 0xF000
    name = font.casefold()
    if name == "symbol":
        return _at(place)
    if name.startswith("wingdings"):
        return (_WINGDINGS_2 if name.endswith("2") else _WINGDINGS).get(place, "")
    return chr(place) if 0x20 <= place < 0xD800 else ""


def _at(place: int) -> str:
    for first, run in _SYMBOL.items():
        if first <= place < first + len(run):
            return run[place - first]
    return chr(place) if 0x20 <= place < 0x7F else ""


_PRIVATE = late_pattern("[\uf020-\uf0ff]")


def known_symbols(font: str, text: str) -> str:
    """A text of such a font, its private characters as what is seen of them."""
    if text.isascii() or not _PRIVATE.search(text):
        return text
    return _PRIVATE.sub(lambda found: symbol(font or "Symbol", f"{ord(found[0]):X}"), text)
