"""Is an answer right? Exact match and F1 against reference answers, in English and Chinese.

The formulas are those of SQuAD (Rajpurkar et al. 2016): both texts are lower-cased and lose
punctuation and English articles, and F1 compares bags of tokens. A token is a word, or one CJK
character, as the evaluation of CMRC 2018 counts them. Of several references the best counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(f"[{_CJK}]|[^\\s{_CJK}]+")
_ARTICLES = frozenset({"a", "an", "the"})


def answer_tokens(text: str) -> list[str]:
    """The tokens of an answer that count.

    >>> answer_tokens("The 3 Months, 三个月。")
    ['3', 'months', '三', '个', '月']
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    bare = "".join(" " if unicodedata.category(c)[0] in "PS" else c for c in plain)
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
    """Whether a text holds a reference's tokens in one run."""
    said = _spaced(answer_tokens(text))
    return any(_spaced(answer_tokens(reference)) in said for reference in references)


def _spaced(tokens: Sequence[str]) -> str:
    return f" {' '.join(tokens)} "


def _f1(said: list[str], reference: list[str]) -> float:
    common = sum((Counter(said) & Counter(reference)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(reference)
    return 2 * precision * recall / (precision + recall)
