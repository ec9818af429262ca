"""Traditional Chinese characters are searched as simplified ones, so that both find each other."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_JAPANESE_SHARE = 20  # one kana in so many characters; fewer are quotations in a Chinese text


def simplified(text: str) -> str:
    """Fold traditional characters to simplified ones, one for one, so that offsets stay.

    Japanese, which kana mark, is left as it is. For comparing only, not for reading: words that
    differ between regions stay, and a character with several simplified forms gets its commonest.

    >>> simplified("房東應當退還押金"), simplified("東京の天気")
    ('房东应当退还押金', '東京の天気')
    """
    if text.isascii() or len(_KANA.findall(text)) * _JAPANESE_SHARE > len(text):
        return text
    return text.translate(_table())


@cache
def _table() -> dict[int, int]:
    """The pairs of ``hanzi.txt``, which names their source; 1 ms to read."""
    lines = files("ragkit").joinpath("hanzi.txt").read_text("utf-8").splitlines()
    pairs = [pair for line in lines if not line.startswith("#") for pair in line.split()]
    return {ord(pair[0]): ord(pair[1]) for pair in pairs}
