"""Scripts and graphemes: which characters are CJK, and where no visible character is cut."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final, Literal

# The insides of regular expression classes (Unicode blocks).
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_SYLLABLES = "\u3041-\u3096\u30a1-\u30fa"
_KANA = _SYLLABLES + "\u309d-\u309f\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9d"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"

_FIRST_CJK = "\u1100"  # no character before it is, and most texts have no other

Script = Literal["han", "syllables", "kana", "hangul", "cjk", "indexed"]
_SCRIPTS: Final[dict[Script, str]] = {
    "han": _HAN,
    "syllables": _SYLLABLES,
    "kana": _KANA,
    "hangul": _HANGUL,
    "cjk": _HAN + _KANA + "\u30fc" + _HANGUL,
    "indexed": "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff",
}


def script_class(name: Script) -> str:
    """Give the characters of a script, as they stand between the brackets of a pattern.

    ``syllables`` are the kana but for their repetition marks and small and half-width forms;
    ``cjk`` are ideographs, kana and hangul. ``indexed`` is what the keyword index takes for CJK,
    which its format 1 fixed: without single hangul letters and half-width kana, with some marks.
    """
    return _SCRIPTS[name]


@cache
def script(name: Script) -> re.Pattern[str]:
    """Give the pattern of one character of a script, which `script_class` lists.

    Compiled when first asked for: together these classes would cost 13 ms of every start.
    """
    return re.compile(f"[{_SCRIPTS[name]}]")


def is_cjk(char: str) -> bool:
    """Say whether a character is an ideograph, kana or hangul (punctuation is not)."""
    return char >= _FIRST_CJK and script("cjk").match(char) is not None


def join_lines(text: str) -> str:
    r"""Take out the line ends between ideographs or kana, which part no words.

    >>> join_lines("归还码\n头。\nthe end\nof it")
    '归还码头。\nthe end\nof it'
    """
    return text if text.isascii() or "\n" not in text else _line_end().sub("", text)


@cache
def _line_end() -> re.Pattern[str]:
    unspaced = f"{_HAN}{_KANA}\u30fc"
    return re.compile(rf"(?<=[{unspaced}])[ \t]*\n[ \t]*(?=[{unspaced}])")


_LONGEST_GRAPHEME = 32

_COMBINING = frozenset(("Mn", "Mc", "Me"))


def grapheme_start(text: str, index: int) -> int:
    """Find the last place at or before ``index`` where no visible character would be cut.

    Combining marks, emoji sequences, flags and hangul syllables stay whole. A cluster of more
    than 32 code points may be cut: then ``index`` itself comes back.
    """
    for start in range(index, max(index - _LONGEST_GRAPHEME, 0), -1):
        if start >= len(text) or not _joins(text, start):
            return start
    return index if index > _LONGEST_GRAPHEME else 0


def _joins(text: str, index: int) -> bool:
    before, after = text[index - 1], text[index]
    if after < "\u0300":
        return False
    if before == "\u200d" or after == "\u200d" or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if "\U000e0020" <= after <= "\U000e007f":  # tags: the flags of Scotland and Wales
        return True
    if _is_flag_half(after) and _is_flag_half(before):
        run = index
        while run and _is_flag_half(text[run - 1]) and index - run < _LONGEST_GRAPHEME:
            run -= 1
        return (index - run) % 2 == 1
    if "\u1160" <= after <= "\u11ff":  # hangul vowel or final after a hangul letter
        return script("hangul").match(before) is not None
    return unicodedata.category(after) in _COMBINING


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
