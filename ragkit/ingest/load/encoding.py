"""Bytes to text: which encoding a file is in, decided without ever failing.

Byte order marks and valid UTF-8 decide at once. Otherwise every candidate decodes a sample and
the one whose text is the most ordinary wins, measured as the bits that a simple model of written
text needs for it (a minimum description length). The model knows which characters are everyday
ones from the standards themselves: GB 2312 level 1 (3,755 hanzi, rows B0 to D7), Big5 level 1
(5,401 hanzi, A4 to C6) and the Hangul of KS X 1001 (2,350) were each chosen by frequency of use.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from functools import cache

_BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# With the bits that a candidate pays in advance: what users of this library meet less often needs
# better evidence. On equal cost the earlier one wins.
_CANDIDATES = {
    "utf-8": 0.0,
    "gb18030": 0.0,
    "cp950": 4.0,
    "cp1252": 0.0,
    "cp932": 10.0,
    "cp949": 8.0,
    "utf-16-le": 8.0,
    "utf-16-be": 8.0,
}
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_NAMES = {"cp950": "big5", "cp932": "shift_jis", "cp949": "euc_kr"}
_SAMPLE_BYTES = 16_384
_GIT_WINDOW = 8_000  # git calls a file binary if a NUL is among its first 8,000 bytes
_LEAD_IN = 40  # bytes of context kept before the first byte beyond ASCII
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
# No text holds more than a few of these: controls, private use, what the codec does not know.
_STRANGE = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ufffd]")
# Of random bytes they are one character in seven to nine, whatever the encoding that was guessed.
# In a few words a single one may be damage.
_MOST_STRANGE, _MOST_STRANGE_IN_FEW, _FEW_CHARS = 1 / 20, 1 / 3, 100

# Bits a character costs: log2 of how many are in its class, plus how rare the class is.
_ASCII_BITS, _LATIN_BITS, _PUNCTUATION_BITS, _KANA_BITS = 6.0, 8.0, 8.0, 8.0
_HANGUL_BITS, _LEVEL_1_BITS, _BIG5_LEVEL_1_BITS, _CJK_BITS = 10.5, 12.0, 13.0, 19.0
_OTHER_BITS, _BROKEN_BITS = 22.0, 40.0
# What real text seldom holds, and the bits it costs beyond its characters: accented letters side
# by side, Hangul next to hanzi, and one ideograph alone among Latin letters (half of it was one).
_ODD_PAIR_BITS, _LONE_BITS = 6.0, 10.0
_ODD_PAIR = re.compile(
    "[\xa0-\xff\u0152-\u0178\u2013-\u2122]{2}"
    "|[\uac00-\ud7a3](?=[\u4e00-\u9fff])|[\u4e00-\u9fff](?=[\uac00-\ud7a3])"
)
_LONE = re.compile("(?<![^\x00-\x7f])(?<![0-9])[\u3041-\ud7a3\uff61-\uff9f](?![^\x00-\x7f])")
# A 16-bit unit of real text costs below this on average; random bytes cost above 20.
_MOST_BITS_A_WIDE_UNIT = 16.0


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """Turn the bytes of a text file into text.

    Args:
        data: The whole file.
        declared: An encoding that the file itself names (HTML); believed if it fits.

    Returns:
        The text, without byte order mark, and the name of the codec. Bytes that the codec
        does not know become U+FFFD. Never raises.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data.decode(name, "replace"), name
    name = _declared(data, declared) or _detect(data)
    return data.decode(name, "replace"), _NAMES.get(name, name)


def looks_binary(data: bytes, encoding: str) -> bool:
    """Tell whether the bytes are no text at all.

    The rules are git's (a NUL near the start), that of Perl's ``-T`` for UTF-8 (more than a third
    are control characters), and a stricter one where the encoding had to be guessed.

    Args:
        data: The whole file.
        encoding: What :func:`decode` named.
    """
    wide = encoding.startswith(("utf-16", "utf-32"))
    if not wide and b"\0" in data[:_GIT_WINDOW]:
        return True
    if encoding == "utf-8":
        return len(data[:_GIT_WINDOW].translate(None, _CONTROL_BYTES)) * 3 < 2 * len(
            data[:_GIT_WINDOW]
        )
    sample = data[:_GIT_WINDOW].decode(encoding, "replace")
    most = _MOST_STRANGE_IN_FEW if len(sample) < _FEW_CHARS else _MOST_STRANGE
    return len(_STRANGE.findall(sample)) > most * len(sample)


def _detect(data: bytes) -> str:
    if b"\0" in data:
        wide = _detect_wide(data)
        if wide:
            return wide
    if _fits(data, "utf-8"):
        return "utf-8"
    sample = _sample(data)
    # Both halves of a wide unit differ from an ASCII text's only by chance: whole units only.
    names = [n for n in _CANDIDATES if n not in _WIDE or len(data) % 2 == 0]
    head = data[:_SAMPLE_BYTES]

    def cost(name: str) -> float:
        return _CANDIDATES[name] + _bits(_decode_part(head if name in _WIDE else sample, name))

    return min(names, key=cost)


def _detect_wide(data: bytes) -> str | None:
    """Name UTF-16 or UTF-32 without a byte order mark, or None where neither makes sense."""
    head = data[:_SAMPLE_BYTES]
    for name in ("utf-32-le", "utf-32-be"):
        if len(data) % 4 == 0 and _fits(head, name):
            return name
    costs = {n: _bits(_decode_part(head, n)) for n in ("utf-16-le", "utf-16-be")}
    best = min(costs, key=lambda n: costs[n])
    return best if costs[best] <= _MOST_BITS_A_WIDE_UNIT * max(len(head) // 2, 1) else None


def _declared(data: bytes, declared: str | None) -> str | None:
    try:
        name = codecs.lookup(declared or "").name
    except (LookupError, ValueError):
        return None
    # As browsers do (WHATWG Encoding Standard): the old names stand for their supersets.
    name = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "cp950", "iso8859-1": "cp1252"}.get(
        name, name
    )
    return name if _fits(data, name) else None


def _fits(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except (UnicodeError, LookupError):  # LookupError: a codec that is not one of text
        return False
    return True


def _sample(data: bytes) -> bytes:
    """Join lines that hold more than ASCII, up to the sample's size.

    No candidate uses a line feed within a character, and a line up to its first byte beyond ASCII
    holds whole characters only: so no cut but the last falls within a character.
    """
    parts: list[bytes] = []
    room, position = _SAMPLE_BYTES, 0
    while room > 0 and (found := _NON_ASCII.search(data, position)):
        begin = max(data.rfind(b"\n", position, found.start()) + 1, found.start() - _LEAD_IN)
        end = data.find(b"\n", found.end()) + 1 or len(data)
        parts.append(data[max(begin, position) : min(end, found.start() + room)])
        room -= len(parts[-1])
        position = end
    return b"".join(parts)


def _decode_part(sample: bytes, name: str) -> str:
    """Decode a sample; one that was cut may stop within a character."""
    whole = len(sample) < _SAMPLE_BYTES
    return codecs.getincrementaldecoder(name)("replace").decode(sample, whole)


def _bits(text: str) -> float:
    """Cost of a text under the model; lower is more ordinary."""
    costs = sum(n * _char_bits(c) for c, n in Counter(text).items())
    return (
        costs
        + _ODD_PAIR_BITS * len(_ODD_PAIR.findall(text))
        + _LONE_BITS * len(_LONE.findall(text))
    )


@cache
def _char_bits(char: str) -> float:
    common = _common().get(char)
    if common is not None:
        return common
    for first, last, bits in _RANGES:
        if first <= char <= last:
            return bits
    return _OTHER_BITS


_RANGES = (
    ("\x00", "\x08", _BROKEN_BITS),
    ("\x0e", "\x1f", _BROKEN_BITS),
    ("\x00", "\x7e", _ASCII_BITS),
    ("\x7f", "\x9f", _BROKEN_BITS),
    ("\xc0", "\xde", _LATIN_BITS + 2),
    ("\xdf", "\xff", _LATIN_BITS),
    ("\u2010", "\u2026", _PUNCTUATION_BITS),
    ("\u3000", "\u301f", _PUNCTUATION_BITS),
    ("\u3041", "\u30ff", _KANA_BITS),
    ("\u4e00", "\u9fff", _CJK_BITS),
    ("\ue000", "\uf8ff", _BROKEN_BITS),
    ("\uff01", "\uff5e", _PUNCTUATION_BITS),
    ("\uff61", "\uff9f", _OTHER_BITS),
    ("\ufffd", "\uffff", _BROKEN_BITS),
)


@cache
def _common() -> dict[str, float]:
    """Everyday characters and their cost."""
    tail = bytes(range(0xA1, 0xFF))
    big5_tail = bytes(range(0x40, 0x7F)) + tail
    table = dict.fromkeys(_rows(0xA4, 0xC6, big5_tail, "big5"), _BIG5_LEVEL_1_BITS)
    table |= dict.fromkeys(_rows(0xB0, 0xC8, tail, "euc_kr"), _HANGUL_BITS)
    table |= dict.fromkeys(_rows(0xB0, 0xD7, tail, "gb2312"), _LEVEL_1_BITS)
    table |= dict.fromkeys("œŒšŠžŽŸ", _LATIN_BITS)
    return table | dict.fromkeys("\xa0«»°§·¿¡£©®€", _PUNCTUATION_BITS)


def _rows(first: int, last: int, tail: bytes, codec: str) -> str:
    cells = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in tail)
    return "".join(cell.decode(codec, "ignore") for cell in cells)
