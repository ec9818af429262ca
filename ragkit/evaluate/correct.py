"""Is an answer right? Exact match and F1 against reference answers, in English and Chinese.

The formulas are those of MLQA (Lewis et al. 2020), which are SQuAD's (Rajpurkar et al. 2016) for
any language: both texts are lower-cased and lose punctuation and English articles, and F1 compares
bags of tokens. A token is a word, or one CJK character. Of several references the best counts.
Beyond them, full-width letters and digits are those of ASCII.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(f"[{_CJK}]|[^\\s{_CJK}]+")
_ARTICLES = frozenset({"a", "an", "the"})


def answer_tokens(text: str, *, gap: str = "") -> list[str]:
    """The tokens of an answer that count; each punctuation mark becomes a gap.

    >>> answer_tokens("The 3.5 Months, 三个月。")
    ['35', 'months', '三', '个', '月']
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    bare = "".join(gap if _is_punctuation(c) else c for c in plain)
    return [t for t in _TOKEN.findall(bare) if t not in _ARTICLES]


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 where the answer's tokens are those of a reference, else 0."""
    said = answer_tokens(answer)
    return float(any(said == answer_tokens(reference) for reference in references))


def f1(answer: str, references: Sequence[str]) -> float:
    """Harmonic mean of the shares of tokens in common, in [0, 1]; the best of the references."""
    said = answer_tokens(answer)
    return max((_f1(said, answer_tokens(reference)) for reference in references), default=0.0)


def contains(text: str, references: Sequence[str]) -> bool:
    """Whether a text holds a reference's tokens in one run; punctuation parts tokens here."""
    said = _spaced(text)
    return any(_spaced(reference) in said for reference in references)


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _spaced(text: str) -> str:
    return f" {' '.join(answer_tokens(text, gap=' '))} "


def _f1(said: list[str], reference: list[str]) -> float:
    common = sum((Counter(said) & Counter(reference)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(reference)
    return 2 * precision * recall / (precision + recall)
