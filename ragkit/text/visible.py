r"""Characters that nobody sees, taken out of what is shown to a model or a person.

Stored texts keep them, so that offsets stay exact; whoever shows a text calls `visible`.
"""

from __future__ import annotations

import re

from ragkit.text.patterns import late_pattern

_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab, line feed; ESC moves a cursor
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # soft, zero-width, directional
    "\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters that fill without a shape
    "\u180b-\u180f\ufe00-\ufe0f\ufff0-\ufffb"  # variation selectors, annotations
    "\U000e0000-\U000e0fff"  # tags and further selectors: a whole text fits in them unseen
)
_ANY = late_pattern(f"[{_INVISIBLE}]")
_PARTING = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"
"""Of these, the ends of lines, pages and fields: shown as a space, since a break would let a
heading or a file's name write lines of its own."""

_PARTING_ASCII = _PARTING[:6].encode()
_SPACED = bytes.maketrans(_PARTING_ASCII, b" " * len(_PARTING_ASCII))
_UNSEEN = bytes(
    code for code in range(0x80) if _ANY.match(chr(code)) and code not in _PARTING_ASCII
)


def visible(text: str) -> str:
    r"""Leave out every character that nobody sees; tab, line feed and spaces stay.

    A separator of lines, pages or fields becomes a space, so that it still parts words. It looks
    at single characters, so the pieces of a text come out as the whole does. The joiners of emoji
    and of Persian or Indic words go too: what is shown loses a ligature, not a letter.

    >>> visible("a\u200bb\x1b[31m\U000e0041\u202ec")
    'ab[31mc'
    >>> visible("one\u2028two")
    'one two'
    """
    if not text.isascii():
        return _ANY.sub(_seen, text)
    raw = text.encode()
    seen = raw.translate(_SPACED, _UNSEEN)  # a fifth of the pattern's time
    return text if seen == raw else seen.decode()


def _seen(match: re.Match[str]) -> str:
    return " " if match[0] in _PARTING else ""


def escaped(text: str) -> str:
    r"""Write every character that nobody sees as JSON's ``\uXXXX``, for text within a JSON string.

    >>> escaped("a\u200bb\U000e0041")
    'a\\u200bb\\udb40\\udc41'
    """
    return _ANY.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex()
    return "".join(rf"\u{units[i : i + 4]}" for i in range(0, len(units), 4))
