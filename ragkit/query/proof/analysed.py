"""A text as it is compared with others: its language, words, terms, and what they say."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.text.words import (
    Language,
    cjk_share,
    compose,
    content_terms,
    language,
    simplified,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_CJK = frozenset(("zh", "ja", "ko"))
_SHORT_NOT = (("’", "'"), ("can't", "can not"), ("won't", "will not"), ("n't", " not"))


class AnalysedText:
    """A text, and what is computed from it: each when it is first asked for, and once.

    Attributes:
        text: As it was given.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._read: dict[Callable[[AnalysedText], Any], Any] = {}

    @cached_property
    def language(self) -> Language:
        """The language by its script; ``en`` stands for any alphabet."""
        return language(self.text)

    @cached_property
    def cjk_share(self) -> float:
        """How much of it is CJK, in [0, 1]."""
        return cjk_share(self.text)

    @property
    def is_cjk(self) -> bool:
        """Whether its language is Chinese, Japanese or Korean."""
        return self.language in _CJK

    @cached_property
    def words(self) -> list[str]:
        """Its words in order, folded; see `ragkit.text.words.words`."""
        return words(self.text)

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its content terms; see `ragkit.text.words.content_terms`."""
        return frozenset(content_terms(self.text))

    @cached_property
    def composed(self) -> str:
        """In compatibility forms (NFKC) and casefolded."""
        return compose(self.text)

    @cached_property
    def simplified(self) -> str:
        """As `composed`, in simplified characters."""
        return simplified(self.composed)

    @cached_property
    def spelled_out(self) -> str:
        """As `simplified`, "not" in the place of n't."""
        said = self.simplified
        for short, full in _SHORT_NOT:
            said = said.replace(short, full)
        return said

    @cached_property
    def casefolded(self) -> str:
        """Casefolded and in simplified characters."""
        return simplified(self.text.casefold())

    @cached_property
    def uncapitalised(self) -> AnalysedText:
        """The same text with its first letter small."""
        small = self.text[:1].lower() + self.text[1:]
        return self if small == self.text else AnalysedText(small)

    def once(self, read: Callable[[AnalysedText], T]) -> T:
        """What a function reads from this text; it is called the first time only."""
        if read not in self._read:
            self._read[read] = read(self)
        found: T = self._read[read]
        return found
