"""Does a sentence name somebody or something that a passage does not?

In alphabets a name is a word with a capital, in a Chinese sentence any Latin word. Chinese names
bear no mark, so the rule there is about gaps: words that share no pair of characters with
the passage, nor a single one, may be short (a paraphrase), not long (a foreign name).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ragkit.query.proof.numbers import is_figure, without_figures
from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import is_cjk, script
from ragkit.text.words import content_terms

if TYPE_CHECKING:
    from collections.abc import Set

    from ragkit.query.proof.analysed import AnalysedText

MAX_GAP = 1
"""Most characters in a row, function words and common ones aside, of which the evidence has none.

Chosen with ``benchmarks/support.py`` on its first half, as was the number of common words: without
any, half the terms sufficing, statements of XQuAD, whose questions and passages were translated
apart, had a recall of 0.40 (2,000: 0.51; 4,000: 0.55), and each thousand lets one more foreign name
in a hundred pass.
"""

_SHORTEST_ROOT = 4
_ADVERB = late_pattern("(?:al|ent|ant|ous|on|ar|ed|ab|ib|iv|ful|less)ly$")

_WORD = late_pattern(r"[^\W\d_][\w'’-]*")
_FUNCTION = late_pattern(
    "[的了是在有叫和被由于为与以把从将对中后时所也都就而但或及其之这那该此它他她个上下里内还又再曾会能可要到向至因着过"
    "用做作第来去一每各并且者更最等位名吗呢吧啊哪谁何几]"
)


def names_missing(sentence: AnalysedText, evidence: AnalysedText) -> bool:
    """True if the sentence holds a name that the evidence lacks.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> rollo = AnalysedText("The Norse, under their leader Rollo, agreed.")
    >>> names_missing(AnalysedText("Rollo led the Norse."), rollo)
    False
    >>> names_missing(AnalysedText("诺曼底位于意大利。"), AnalysedText("诺曼底是法国的一个地区。"))
    True
    """
    if not all(_known(term, evidence.terms) for term in sentence.once(find_names)):
        return True
    return sentence.is_cjk and longest_gap(sentence, evidence) > MAX_GAP


def find_names(text: AnalysedText) -> list[str]:
    """List the content terms of the names that letters show: capitals, or any word among CJK."""
    latin = _WORD.findall(script("cjk").sub(" ", text.text))
    names = [word for word in latin if text.is_cjk or word[0].isupper()]
    if names and latin[0] == names[0] and not text.is_cjk and _is_plain(names[0]):
        names = names[1:]
    return content_terms(" ".join(name for name in names if not is_figure(name, text)))


def _is_plain(word: str) -> bool:
    """Whether a word at the begin of a sentence has its capital from there, and is no name."""
    small = word.casefold()
    return small in listed_words("plain_words.txt") or _ADVERB.search(small) is not None


def _known(name: str, held: Set[str]) -> bool:
    """True for a term of the evidence and for another form of it: Korea, Koreans."""
    return name in held or any(
        (h.startswith(name) or name.startswith(h)) and min(len(h), len(name)) >= _SHORTEST_ROOT
        for h in held
    )


def longest_gap(sentence: AnalysedText, evidence: AnalysedText) -> int:
    """Count the characters of the longest stretch of ideographs that the evidence lacks.

    A character is there if it stands next to the same neighbour in the evidence; one that
    stands elsewhere in it neither counts nor ends the stretch. Function words and common words,
    which are no names, end it.
    """
    said, held = without_figures(sentence), evidence.simplified
    known = {i + k for i in range(len(said) - 1) if said[i : i + 2] in held for k in (0, 1)}
    common = listed_words("common_words.txt")
    known |= {i + k for i in range(len(said) - 1) if said[i : i + 2] in common for k in (0, 1)}
    known |= {i for m in _FUNCTION.finditer(said) for i in range(*m.span())}
    longest = gap = 0
    for i, char in enumerate(said):
        if i in known or not is_cjk(char):
            gap = 0
        elif char not in held:
            gap += 1
            longest = max(longest, gap)
    return longest


@cache
def listed_words(name: str) -> frozenset[str]:
    """The words of a list beside this module, which names its source."""
    lines = files("ragkit.query.proof").joinpath(name).read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
