"""Words for the engine's keyword index, and a question as its query.

The engine splits at spaces and stems; all else is ragkit's: the same terms as on this machine
(`ragkit.text.analysis`), folded as SQLite's tokenizer does it. The engine's BM25 has another IDF
than SQLite's, so each term is given the weight that makes up for it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ragkit.store.bm25 import BM25_K1, choose_terms, term_weight
from ragkit.text.analysis import index_text, query_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ragkit.text.analysis import QueryTerm

_ASCII_WORD = re.compile(r"[0-9a-z]+")
_WORD = re.compile("(?:[^\\W_]|[\ue000-\uf8ff])+")
_MOST_EXPANDED = 64


def words_of(heading: Iterable[str], text: str) -> str:
    """The words of a chunk with its headings, between spaces, in order."""
    return " ".join([*_words(index_text(" ".join(heading))), *_words(index_text(text))])


def _words(prepared: str) -> list[str]:
    if prepared.isascii():
        return _ASCII_WORD.findall(prepared.lower())
    lowered = prepared.replace("İ", "i").lower()  # which would become an i and a dot
    return [_plain(word) for word in _WORD.findall(lowered)]


@lru_cache(maxsize=20_000)
def _plain(word: str) -> str:
    """A word without the accents of Latin letters."""
    return word if word.isascii() else "".join(map(_plain_letter, word))


@lru_cache(maxsize=4_000)
def _plain_letter(letter: str) -> str:
    first = unicodedata.normalize("NFD", letter)[0]
    return first if first.isascii() else letter


class WordQuery:
    """The terms of a question, as the engine is asked for them.

    Args:
        text: In a person's words.
    """

    def __init__(self, text: str) -> None:
        self._terms: list[tuple[list[list[str]], bool]] = []
        for term in query_terms(text):
            forms = _forms(term)
            if forms:
                self._terms.append((forms, term.is_prefix))

    def __bool__(self) -> bool:
        return bool(self._terms)

    def count_request(self) -> dict[str, Any]:
        """A search that counts in how many chunks each term and each of its words occurs."""
        filters = {f"t{i}": self._any(i) for i in range(len(self._terms))}
        for word in self._single_words():
            filters[f"w{word}"] = _form([word])
        return {
            "size": 0, "track_total_hits": True,
            "aggs": {"terms": {"filters": {"filters": filters}}},
        }  # fmt: skip

    def any_term(self) -> dict[str, Any]:
        """A query for the chunks that have any of the terms."""
        return {"bool": {"should": [self._any(i) for i in range(len(self._terms))]}}

    def scored(self, reply: Mapping[str, Any]) -> tuple[dict[str, Any] | None, float]:
        """The query that scores chunks, and the score that the question could reach.

        Args:
            reply: To the request that counts.

        Returns:
            None for the query where no chunk has any of the words.
        """
        chunks = reply["hits"]["total"]["value"]
        buckets = reply["aggregations"]["terms"]["buckets"]
        counts = {name: bucket["doc_count"] for name, bucket in buckets.items()}
        found = {i: counts[f"t{i}"] for i in range(len(self._terms))}
        chosen, reach = choose_terms(found, chunks)
        should = [self._weighted(i, counts, chunks) for i in chosen]
        return ({"bool": {"should": should}} if should else None), reach

    def _single_words(self) -> list[str]:
        words = {word for forms, _ in self._terms for form in forms for word in form}
        return sorted(words)

    def _any(self, i: int) -> dict[str, Any]:
        forms, is_prefix = self._terms[i]
        return {"bool": {"should": [_form(form, is_prefix=is_prefix) for form in forms]}}

    def _weighted(self, i: int, counts: Mapping[str, int], chunks: int) -> dict[str, Any]:
        """A term with the weight that SQLite's BM25 would give it."""
        forms, is_prefix = self._terms[i]
        weight = term_weight(counts[f"t{i}"], chunks)
        queries = []
        for form in forms:
            theirs = sum(_their_idf(counts[f"w{word}"], chunks) for word in form)
            if is_prefix:
                theirs = _their_idf(counts[f"t{i}"], chunks)
            queries.append(_form(form, is_prefix=is_prefix, boost=weight / (theirs or 1.0)))
        return queries[0] if len(queries) == 1 else {"bool": {"should": queries}}


def _forms(term: QueryTerm) -> list[list[str]]:
    forms = (_words(form) for form in term.forms)
    return [form for form in forms if form]


def _form(form: list[str], *, is_prefix: bool = False, boost: float = 1.0) -> dict[str, Any]:
    if is_prefix:
        rewrite = f"top_terms_blended_freqs_{_MOST_EXPANDED}"
        return {"prefix": {"words": {"value": form[0], "rewrite": rewrite, "boost": boost}}}
    kind = "match" if len(form) == 1 else "match_phrase"
    return {kind: {"words": {"query": " ".join(form), "boost": boost}}}


def _their_idf(frequency: int, chunks: int) -> float:
    """The most that a word adds to a score of Lucene."""
    return (BM25_K1 + 1) * math.log(1 + (chunks - frequency + 0.5) / (frequency + 0.5))
