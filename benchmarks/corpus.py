"""A corpus to measure with: Markdown of made-up prose, the same for the same seed.

Word frequencies follow Zipf's law as Mandelbrot corrected it (frequency ~ 1 / (rank + 2.7)), and
every file has a few words of its own, so that a keyword index sees common and rare words as it does
in real prose. One file in twenty is Chinese. 200 files are 3 MB, 2,000 files 32 MB.

    python benchmarks/corpus.py FOLDER --files 200
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20_260
VOCABULARY = 30_000
FILE_BYTES = 12_700  # on average; files have from a third to three times as much
CHINESE_EVERY = 20
OWN_WORDS = 40  # of a file, which make up OWN_SHARE of its words
OWN_SHARE = 0.12
_BLOCK = 512  # words drawn at a time

_COMMON = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were all her she there would their we him been has when who "
    "will no more if out so up said what its about than into them can only other time new some "
    "could these two may first then do any like my now over such our man me even most made after "
    "also did many off before must well back through years where much your way down should "
    "because long each just state those people too world part against between year under"
)
_ONSETS = [
    *"bcdfghjlmnprstvw",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "sh",
    "sp",
    "st",
    "th",
]
_VOWELS = [*"aeiouaeio", "ea", "ou", "ai"]
_CODAS = [*[""] * 6, *"nrstlm", "nd", "st", "ck"]
_ENDINGS = [*[""] * 12, "ing", "ed", "er", "ly", "ment", "ion", "al", "ity"]
_SYLLABLE = (_ONSETS, _VOWELS, _CODAS)
_HAN = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产"
    "种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业"
    "本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利"
    "比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文"
)  # fmt: skip
_HAN_PER_BYTE = 3


@dataclass(frozen=True)
class Words:
    """A vocabulary and how often each of its words is drawn."""

    words: list[str]
    cumulative: Any

    @classmethod
    def zipf(cls, words: list[str]) -> Words:
        """Words in order of their rank."""
        shares = 1 / (np.arange(len(words)) + 2.7)
        return cls(words, np.cumsum(shares) / shares.sum())

    def draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Words at random."""
        places = np.searchsorted(self.cumulative, rng.random(count))
        return [self.words[i] for i in places.tolist()]


def english_words() -> Words:
    """Real function words first, then made-up ones of one to three syllables."""
    rng = np.random.default_rng(SEED)
    found = dict.fromkeys(_COMMON.split())
    for word in zip(*(_picked(rng, kind) for kind in (*_SYLLABLE * 3, _ENDINGS)), strict=True):
        syllables = 1 + len(found) * 3 // VOCABULARY
        found["".join(word[: syllables * len(_SYLLABLE)]) + word[-1]] = None
        if len(found) == VOCABULARY:
            break
    return Words.zipf(list(found))


def _picked(rng: np.random.Generator, parts: list[str]) -> list[str]:
    """Far more parts than the vocabulary needs, since many short words come up twice."""
    return [parts[i] for i in rng.integers(len(parts), size=4 * VOCABULARY).tolist()]


def chinese_words() -> Words:
    """Words of one and two characters."""
    rng = np.random.default_rng(SEED + 1)
    characters = list(_HAN)
    places = rng.integers(len(characters), size=(6000, 2)).tolist()
    pairs = dict.fromkeys(characters[a] + characters[b] for a, b in places)
    return Words.zipf(characters[:60] + list(pairs) + characters[60:])


class Writer:
    """Writes the text of one file.

    Args:
        words: The language.
        number: Of the file; with the seed it decides everything.
        chinese: Chinese punctuation, and no spaces.
    """

    def __init__(self, words: Words, number: int, *, chinese: bool) -> None:
        self._rng = np.random.default_rng([SEED, number])
        self._words = words
        self._join = "" if chinese else " "
        self._comma, self._stop = ("，", "。") if chinese else (", ", ". ")
        self._bytes_per_char = _HAN_PER_BYTE if chinese else 1
        places = self._rng.integers(200, len(words.words), OWN_WORDS)
        self._own = Words.zipf([words.words[i] for i in places.tolist()])
        self._drawn: list[str] = []

    def text(self) -> str:
        """A whole file: title, sections with paragraphs and a list now and then."""
        wanted = FILE_BYTES * float(np.clip(self._rng.lognormal(-0.125, 0.5), 1 / 3, 3))
        parts = [f"# {self._title()}"]
        size = 0
        while size < wanted:
            part = self._section()
            size += len(part) * self._bytes_per_char
            parts.append(part)
        return "\n\n".join(parts) + "\n"

    def _section(self) -> str:
        blocks = [self._paragraph() for _ in range(int(self._rng.integers(3, 9)))]
        if self._rng.random() < 0.2:
            blocks.insert(1, "\n".join(f"- {self._sentence().strip()}" for _ in range(4)))
        return "\n\n".join([f"## {self._title()}", *blocks])

    def _paragraph(self) -> str:
        return "".join(self._sentence() for _ in range(int(self._rng.integers(3, 8)))).strip()

    def _sentence(self) -> str:
        words = self._next_words(int(self._rng.integers(7, 24)))
        words[0] = words[0].capitalize()
        middle = len(words) // 2
        halves = self._join.join(words[:middle]), self._join.join(words[middle:])
        return self._comma.join(halves) + self._stop

    def _title(self) -> str:
        words = self._own.draw(self._rng, int(self._rng.integers(2, 6)))
        return self._join.join(words).capitalize()

    def _next_words(self, count: int) -> list[str]:
        if len(self._drawn) < count:
            common = self._words.draw(self._rng, _BLOCK)
            own = self._own.draw(self._rng, _BLOCK)
            chosen = (self._rng.random(_BLOCK) < OWN_SHARE).tolist()
            self._drawn += [o if c else w for w, o, c in zip(common, own, chosen, strict=True)]
        words, self._drawn = self._drawn[:count], self._drawn[count:]
        return words


def write_corpus(folder: Path, files: int) -> Path:
    """Write so many files, fifty to a subfolder; returns the folder."""
    english, chinese = english_words(), chinese_words()
    for number in range(files):
        is_chinese = number % CHINESE_EVERY == CHINESE_EVERY - 1
        text = Writer(chinese if is_chinese else english, number, chinese=is_chinese).text()
        path = folder / f"part-{number // 50:03d}" / f"{number:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return folder


def questions(folder: Path, count: int) -> list[str]:
    """Questions that the corpus speaks about: words out of one sentence each, common and rare.

    Args:
        folder: A corpus as `write_corpus` makes it.
        count: How many.
    """
    rng = np.random.default_rng(SEED + 2)
    files = sorted(folder.rglob("*.md"))
    found = []
    for place in rng.integers(len(files), size=count).tolist():
        lines = files[place].read_text("utf-8").splitlines()
        longest = max(lines, key=len)
        sentences = [s for s in longest.replace("。", ". ").split(". ") if s]
        sentence = sentences[int(rng.integers(len(sentences)))]
        found.append(" ".join(sentence.split()[:9])[:80])
    return found


def main() -> None:
    """Write a corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200)
    given = parser.parse_args()
    folder = write_corpus(given.folder, given.files)
    size = sum(file.stat().st_size for file in folder.rglob("*.md"))
    print(f"{given.files} files, {size:,} bytes in {folder}")


if __name__ == "__main__":
    main()
