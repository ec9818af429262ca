"""How many tokens a text costs, estimated without a tokenizer from the scripts of its characters.

Weights add up: a text weighs what its parts weigh, so that one weighing tells where to cut it.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final

TOKEN_UNIT: Final = 100
"""Weights are hundredths of a token."""


def _weights() -> bytes:
    """Weight of a character by the first byte of its UTF-8 form, which tells its script.

    ASCII and ideographs: least squares over the sets that `estimate_tokens` names, raised
    by 7 %. Other scripts: a sentence each, between XLM-R's count and those of BPE vocabularies.
    """
    table = bytearray([180]) * 256  # emoji and whatever lies beyond the basic plane
    table[:0x80] = bytes([95]) * 0x80  # punctuation
    for chars, weight in (
        (b"abcdefghijklmnopqrstuvwxyz", 25),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 56),
        (b"0123456789", 47),
        (b" ", 7),
        (b"\t\n\x0b\x0c\r", 34),
        (range(0xC2, 0xCA), 50),  # Latin with marks
        (range(0xCA, 0xE0), 40),  # Greek, Cyrillic, Hebrew, Arabic, combining marks
        (range(0xE0, 0xE1), 45),  # Indic scripts, Thai
        (range(0xE1, 0xE2), 60),  # Georgian to Vietnamese
        (range(0xE2, 0xE3), 115),  # general punctuation, symbols, box drawing
        (range(0xE3, 0xEA), 76),  # kana, ideographs and their punctuation
        (range(0xEA, 0xEE), 80),  # hangul
        (range(0xEE, 0xF0), 62),  # full-width forms
    ):
        for byte in chars:
            table[byte] = weight
    return bytes(table)


_WEIGHTS = _weights()
_LOWER, _SPACE = _WEIGHTS[ord("a")], _WEIGHTS[ord(" ")]
_CONTINUATION = bytes(range(0x80, 0xC0))
_COUNTED_APART = _CONTINUATION + b" abcdefghijklmnopqrstuvwxyz"


def char_weights(text: str) -> bytes:
    """Weigh each character in hundredths of a token; as long as the text."""
    return text.encode("utf-8", "replace").translate(_WEIGHTS, _CONTINUATION)


def token_weight(text: str) -> int:
    """Sum `char_weights`. Additive: the weight of a text is that of its parts, exactly."""
    # Lower-case letters and spaces are most of most texts: counting them apart doubles the speed.
    rest = text.encode("utf-8", "replace").translate(_WEIGHTS, _COUNTED_APART)
    spaces = text.count(" ")
    return sum(rest) + spaces * _SPACE + (len(text) - len(rest) - spaces) * _LOWER


_LATIN = _WEIGHTS[:0xCA] + bytes(256 - 0xCA)
_OTHER = bytes(0xCA) + _WEIGHTS[0xCA:0xE3] + bytes(0xF0 - 0xE3) + _WEIGHTS[0xF0:]


def script_weights(text: str) -> tuple[int, int, int]:
    """Part `token_weight` by script: Latin with ASCII, CJK, everything else."""
    data = text.encode("utf-8", "replace")
    latin = sum(data.translate(_LATIN, _CONTINUATION))
    other = 0 if data.isascii() else sum(data.translate(_OTHER, _CONTINUATION))
    return latin, token_weight(text) - latin - other, other


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text costs, rather too many than too few.

    It is 1.04 to 1.10 times the count of multilingual-e5's tokenizer (XLM-R); docs/chat.md has
    the figures, by ``benchmarks/token_estimate.py``, and those of other vocabularies.
    """
    return -(-token_weight(text) // TOKEN_UNIT)


def fit(text: str, start: int, limit: int) -> int:
    """Find the largest end for which ``text[start:end]`` weighs at most ``limit``.

    Takes time in proportion to what fits, not to the text. At least one character is taken.
    """
    end = start
    while end < len(text):
        window = text[end : end + limit // _LOWER + 1]
        totals = list(accumulate(char_weights(window)))
        taken = bisect_right(totals, limit)
        end += taken
        if taken < len(window):
            break
        limit -= totals[-1]
    return max(end, start + 1)
