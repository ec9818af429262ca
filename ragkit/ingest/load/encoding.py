"""Bytes to text: which encoding a file is in, decided without ever failing.

Byte order marks and valid UTF-8 decide at once. Otherwise every candidate decodes a sample and
the one whose text is the most ordinary wins, measured as the bits that a simple model of written
text needs for it (a minimum description length). The model knows which characters are everyday
ones from the standards themselves: GB 2312 level 1 (3,755 hanzi, rows B0 to D7), Big5 level 1
(5,401 hanzi, A4 to C6) and the Hangul of KS X 1001 (2,350) were each chosen by frequency of use.
Of alphabets it knows the letters by how often they are used, and of languages in Latin letters
which marks they write: a text with ř and ů is Czech, one with ø and ù nobody's.
"""

from __future__ import annotations

import codecs
from collections import Counter
from functools import cache
from typing import NamedTuple

from ragkit.text.patterns import late_pattern

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
    "euc_jp": 10.0,
    "utf-16-le": 8.0,
    "utf-16-be": 8.0,
    "cp1250": 4.0,
    "iso8859-2": 5.0,
    "cp1251": 4.0,
    "koi8-r": 5.0,
    "koi8-u": 7.0,
    "cp866": 6.0,
    "cp1253": 6.0,
    "cp1254": 6.0,
    "cp1255": 6.0,
    "cp1256": 6.0,
    "cp1257": 7.0,
    "cp874": 6.0,
    "cp850": 7.0,
    "cp852": 8.0,
    "iso8859-15": 6.0,
    "mac-roman": 10.0,
}
_OF_MARKS = (
    "cp1252",
    "cp1250",
    "iso8859-2",
    "cp1254",
    "cp1257",
    "cp850",
    "cp852",
    "iso8859-15",
    "mac-roman",
)
"""Those of Latin letters with marks, which only the language tells apart."""

_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_NAMES = {"cp950": "big5", "cp932": "shift_jis", "cp949": "euc_kr"}
_DOUBTFUL_BITS = 6.0
"""A rival that costs at most this much more than the winner, and gives another text, is told."""
_SAMPLE_BYTES, _FIRST_SAMPLE_BYTES = 16_384, 1_024
_RULED_OUT = 1.3
"""A candidate that costs so many times the best one on a first look is not looked at again."""

_GIT_WINDOW = 8_000  # git calls a file binary if a NUL is among its first 8,000 bytes
_LEAD_IN = 40  # bytes of context kept before the first byte beyond ASCII
_NON_ASCII = late_pattern(rb"[\x80-\xff]")
_CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
# No text holds more than a few of these: controls, private use, what the codec does not know.
_STRANGE = late_pattern(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ufffd]")
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
_ODD_PAIR = late_pattern(
    "[\xa0-\xff\u0152-\u0178\u2013-\u2122]{2}"
    "|[\uac00-\ud7a3](?=[\u4e00-\u9fff])|[\u4e00-\u9fff](?=[\uac00-\ud7a3])"
    "|[\u0430-\u045f](?=[\u0400-\u042f])|[\u03ac-\u03ce](?=[\u0391-\u03a9])"
    "|[\u0370-\u0e7f](?=[A-Za-z])|[A-Za-z](?=[\u0370-\u0e7f])"
)
_FOREIGN_BITS, _SYMBOL_BITS = 5.0, 12.0
_MARKS = tuple(
    frozenset(marks)
    for marks in (
        "éèêëàâùûüôîïçœæÿ", "äöüßé", "áéíóúñüºª", "áàâãéêíóôúüçºª", "àèéìíîòóùúºª", "éëïóöüèá",
        "åäöé", "æøåéóòâê", "áéíóúýðþæö", "õäöüšž", "ąćęłńóśźż", "áčďéěíňóřšťúůýž",
        "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "çğıöşüâîû", "àèéíïòóúüç", "çë",
        "ąčęėįšųūž", "āčēģīķļņšūž",
    )
)  # fmt: skip
"""The letters with marks of French, German, Spanish, Portuguese, Italian, Dutch, Swedish, Danish,
Icelandic, Estonian, Polish, Czech, Slovak, Hungarian, Romanian, Croatian, Turkish, Catalan,
Albanian, Lithuanian, Latvian."""

_SYMBOL_IN_WORD = late_pattern(
    "(?<=[A-Za-z'\u2019])[\xa1-\xb6\xb8-\xbf\xd7\xf7\u0192\u02c6-\u02dd\u2018\u201a-\u2026\u2030\u2039\u203a\u20ac](?=[a-z])"
    "|(?<=[a-z])[\u201a\u201e\u0192\xa1\xbf]"
    "|(?<![A-Za-z0-9])[\xaf\xb3\xb9\xb2\xbc-\xbe\xb6\xb1\xb4\xb8\xaa](?=[A-Za-z])"
)
"""A symbol within a word, or glued before one: it was a letter."""

_KANA, _HANZI = late_pattern("[\u3041-\u30ff]"), late_pattern("[\u4e00-\u9fff]")
_UNJAPANESE_BITS = 10.0

_LEAST_EXTRA_BYTES = 4
"""Bytes beyond one a character that lines of UTF-8 hold in all: fewer fit it by chance."""

_NULS = late_pattern(rb"\0+")
_CHARS_A_NUL = 20  # for each run of NULs that a text may hold
_LONE = late_pattern("(?<![^\x00-\x7f])(?<![0-9])[\u3041-\ud7a3\uff61-\uff9f](?![^\x00-\x7f])")
# A 16-bit unit of real text costs below this on average; random bytes cost above 20.
_MOST_BITS_A_WIDE_UNIT = 16.0


class Decoded(NamedTuple):
    """A text, the name of its codec, and what is not certain of it: a sentence, or ""."""

    text: str
    encoding: str
    doubt: str = ""


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """Turn the bytes of a text file into text.

    A file whose lines are in UTF-8 and in one other encoding, as logs of several programs are, is
    read line by line.

    Args:
        data: The whole file.
        declared: An encoding that the file itself names (HTML); believed if it fits.

    Returns:
        The text, without byte order mark, and the name of the codec. Bytes that the codec
        does not know become U+FFFD. Never raises.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return Decoded(data.decode(name, "replace"), name)
    if believed := _declared(data, declared):
        return Decoded(data.decode(believed, "replace"), _NAMES.get(believed, believed))
    if b"\0" in data and _has_few_nuls(data):
        data = data.replace(b"\0", b"")
    if mixed := _decode_mixed(data):
        return mixed
    name, rival = _detect(data)
    doubt = ""
    if rival:
        doubt = f"its encoding is not certain: read as {_told(name)}, it may be {_told(rival)}"
    return Decoded(data.decode(name, "replace"), _NAMES.get(name, name), doubt)


def _told(name: str) -> str:
    return _NAMES.get(name, name.replace("cp125", "windows-125"))


def _decode_mixed(data: bytes) -> Decoded | None:
    """Decode a file of which some lines are UTF-8 and others whole in another encoding."""
    if b"\n" not in data or b"\0" in data or _fits(data, "utf-8"):
        return None
    lines = data.split(b"\n")
    others = [line for line in lines if not line.isascii() and not _fits(line, "utf-8")]
    known = [line for line in lines if not line.isascii() and _fits(line, "utf-8")]
    if sum(len(line) - len(line.decode()) for line in known) < _LEAST_EXTRA_BYTES:
        return None
    rest = b"\n".join(others)
    name, _ = _detect(rest)
    # Lines that are broken in every encoding are UTF-8 with damage.
    if name == "utf-8" or name in _WIDE or not _fits(rest, name):
        return None
    bits = _bits(_decode_part(_sample(rest), name))
    if bits > _MOST_BITS_A_WIDE_UNIT * len(rest):
        return None
    texts = [
        line.decode() if _fits(line, "utf-8") else line.decode(name, "replace") for line in lines
    ]
    few, most = sorted((("utf-8", len(known)), (_told(name), len(others))), key=lambda x: x[1])
    count = "1 line is" if few[1] == 1 else f"{few[1]} lines are"
    encoding = "utf-8" if most[0] == "utf-8" else _NAMES.get(name, name)
    return Decoded("\n".join(texts), encoding, f"{count} in {few[0]}, all others in {most[0]}")


def looks_binary(data: bytes, encoding: str) -> bool:
    """Tell whether the bytes are no text at all.

    The rules are git's (a NUL near the start, but not the few that a power cut leaves in a log),
    that of Perl's ``-T`` for UTF-8 (more than a third are control characters), and a stricter one
    where the encoding had to be guessed.

    Args:
        data: The whole file.
        encoding: What :func:`decode` named.
    """
    wide = encoding.startswith(("utf-16", "utf-32"))
    if not wide and b"\0" in data[:_GIT_WINDOW] and not _has_few_nuls(data[:_GIT_WINDOW]):
        return True
    if encoding == "utf-8":
        head = data[:_GIT_WINDOW].replace(b"\0", b"")
        return len(head.translate(None, _CONTROL_BYTES)) * 3 < 2 * len(head)
    sample = data[:_GIT_WINDOW].decode(encoding, "replace")
    most = _MOST_STRANGE_IN_FEW if len(sample) < _FEW_CHARS else _MOST_STRANGE
    return len(_STRANGE.findall(sample)) > most * len(sample)


def _has_few_nuls(head: bytes) -> bool:
    """Say whether NULs are a few runs in what is text otherwise."""
    rest = head.replace(b"\0", b"")
    runs = len(_NULS.findall(head))
    return runs * _CHARS_A_NUL <= len(rest) and len(rest.translate(None, _CONTROL_BYTES)) == len(
        rest
    )


def _detect(data: bytes) -> tuple[str, str]:
    """Name the codec, and one that does as well and reads another text, or ""."""
    if b"\0" in data:
        wide = _detect_wide(data)
        if wide:
            return wide, ""
    if _fits(data, "utf-8"):
        return "utf-8", ""
    sample = _sample(data)
    # Both halves of a wide unit differ from an ASCII text's only by chance: whole units only.
    names = [n for n in _CANDIDATES if n not in _WIDE or len(data) % 2 == 0]
    if len(sample) > _FIRST_SAMPLE_BYTES:
        names = _likely(data, sample, names)
    texts = {n: _sampled(data, sample, n, _SAMPLE_BYTES) for n in names}
    costs = {n: _cost(texts[n], n) for n in names}
    best, *others = sorted(names, key=lambda n: costs[n])
    if best not in _OF_MARKS:
        return best, ""
    most = costs[best] + _DOUBTFUL_BITS
    near = (n for n in others if n in _OF_MARKS and costs[n] <= most)
    return best, next((n for n in near if texts[n] != texts[best]), "")


def _likely(data: bytes, sample: bytes, names: list[str]) -> list[str]:
    """The candidates that a first short look does not rule out."""
    costs = {n: _cost(_sampled(data, sample, n, _FIRST_SAMPLE_BYTES), n) for n in names}
    most = min(costs.values()) * _RULED_OUT
    return [n for n in names if costs[n] <= most]


def _sampled(data: bytes, sample: bytes, name: str, most: int) -> str:
    part = (data if name in _WIDE else sample)[:most]
    is_whole = len(part) < most
    return codecs.getincrementaldecoder(name)("replace").decode(part, is_whole)


def _cost(text: str, name: str) -> float:
    return _CANDIDATES[name] + _bits(text) + _foreign_bits(text, name)


def _foreign_bits(text: str, name: str) -> float:
    """What letters with marks cost that the language which fits a text best does not write."""
    symbols = _SYMBOL_BITS * len(_SYMBOL_IN_WORD.findall(text))
    if name not in _OF_MARKS:
        return symbols + (_unjapanese_bits(text) if name not in _WIDE else 0.0)
    lowered = text.lower().replace("õe", "e")  # as Portuguese writes it, and nobody else
    letters = Counter(c for c in lowered if c > "\x7f" and c.isalpha())
    found = (sum(n for c, n in letters.items() if c not in marks) for marks in _MARKS)
    return _FOREIGN_BITS * min(found) + symbols


def _unjapanese_bits(text: str) -> float:
    """What ideographs cost that no Japanese standard has, in a text with as many kana as such."""
    kana = len(_KANA.findall(text))
    hanzi = _HANZI.findall(text)
    if kana * 2 < len(hanzi):
        return 0.0
    return _UNJAPANESE_BITS * sum(not c.encode("euc_jp", "ignore") for c in hanzi)


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


_BY_USE = (
    "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґў",
    "αοιετσνηυρπκμλςωίόάέγδήχθφύβώξζψϊϋΐΰ",
    "יוהלארמתבשעדנפםקחכטגצזסןךץף",
    "ايلمنرتوبةعدسفهكقحجشطصخضغذثزءظىأإآؤئ",
    "านรอกเงมยล่วดทส้ิตีะัปบคหุแจพชขใไู็ืึถโผภศธซ์ฟญฝณฉษ",
)
"""The letters of Russian with its neighbours, Greek, Hebrew, Arabic and Thai, by their use."""

_FIRST_BITS, _STEP_BITS, _CAPITAL_BITS = 4.5, 0.15, 3.0


@cache
def _common() -> dict[str, float]:
    """Everyday characters and their cost."""
    tail = bytes(range(0xA1, 0xFF))
    big5_tail = bytes(range(0x40, 0x7F)) + tail
    table = dict.fromkeys(_rows(0xA4, 0xC6, big5_tail, "big5"), _BIG5_LEVEL_1_BITS)
    table |= dict.fromkeys(_rows(0xB0, 0xC8, tail, "euc_kr"), _HANGUL_BITS)
    table |= dict.fromkeys(_rows(0xB0, 0xD7, tail, "gb2312"), _LEVEL_1_BITS)
    marked = set().union(*_MARKS) | set("œšžÿ")
    table |= {c: _LATIN_BITS for c in marked if c > "\xff"}
    table |= {c.upper(): _LATIN_BITS + 2 for c in marked if c > "\xff"}
    table |= dict.fromkeys("œŒšŠžŽŸ", _LATIN_BITS)
    for letters in _BY_USE:
        for place, letter in enumerate(letters):
            bits = _FIRST_BITS + _STEP_BITS * place
            if (capital := letter.upper()) != letter:
                table[capital] = bits + _CAPITAL_BITS
            table[letter] = bits
    return table | dict.fromkeys("\xa0«»°§·¿¡£©®€№", _PUNCTUATION_BITS)


def _rows(first: int, last: int, tail: bytes, codec: str) -> str:
    cells = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in tail)
    return "".join(cell.decode(codec, "ignore") for cell in cells)
