"""Does a sentence list a thing that a passage does not name?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.text.numerals import find_numerals
from ragkit.text.patterns import late_pattern
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from ragkit.query.proof.analysed import AnalysedText

_WORDS = r"[^\W\d_][\w'’-]*(?: [\w'’-]+){0,2}"
_LIST = late_pattern(rf"({_WORDS})((?:, {_WORDS})+),? (?:and|or) ([^\W\d_][\w'’-]*)")
"""Three things or more, of up to three words each; of the last one the first word."""


def items_missing(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence lists something of which the evidence has no word.

    Only what stands between two others is looked at: where a list begins and ends is not sure.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> menu = AnalysedText("We sell apples, pears and plums.")
    >>> items_missing(AnalysedText("They sell apples, figs, and plums."), menu)
    True
    >>> items_missing(AnalysedText("They sell plums, a pear, and apples."), menu)
    False
    """
    return any(
        terms and evidence.terms.isdisjoint(terms)
        for match in _LIST.finditer(sentence.text)
        for item in match[2].split(", ")
        if (terms := frozenset(content_terms(item))) and not find_numerals(item.casefold())
    )
