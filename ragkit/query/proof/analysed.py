"""A text as it is compared with others: its language, words, terms, figures, names, negations."""

from __future__ import annotations

from functools import cached_property

from ragkit.query.proof.entities import find_names
from ragkit.query.proof.negation import find_negations
from ragkit.query.proof.numbers import Figure, readable_figures, stated_figures
from ragkit.query.proof.quotation import fold
from ragkit.text.words import (
    Language,
    cjk_share,
    compose,
    content_terms,
    language,
    simplified,
    words,
)

_CJK = frozenset(("zh", "ja", "ko"))


class AnalysedText:
    """A text, and what is computed from it: each when it is first asked for, and once.

    Attributes:
        text: As it was given.
    """

    def __init__(self, text: str) -> None:
        self.text = text

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
    def casefolded(self) -> str:
        """Casefolded and in simplified characters."""
        return simplified(self.text.casefold())

    @cached_property
    def quotable(self) -> tuple[str, list[int]]:
        """What a quotation of it must keep, with the offset of each character."""
        return fold(self.text)

    @cached_property
    def names(self) -> list[str]:
        """The terms of its names; see `find_names`."""
        return find_names(self)

    @cached_property
    def uncapitalised(self) -> AnalysedText:
        """The same text with its first letter small."""
        small = self.text[:1].lower() + self.text[1:]
        return self if small == self.text else AnalysedText(small)

    @cached_property
    def negations(self) -> list[tuple[str, ...]]:
        """For each negation the content terms behind it; see `find_negations`."""
        return find_negations(self)

    @cached_property
    def figures(self) -> set[Figure]:
        """The figures that it makes as a statement; see `stated_figures`."""
        return stated_figures(self)

    @cached_property
    def readable_figures(self) -> set[Figure]:
        """All in it that can be read as a figure; see `readable_figures`."""
        return readable_figures(self)
