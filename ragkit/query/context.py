"""Hits become the context of an answer: neighbours added, repeats dropped, passages numbered."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragkit.query.prompt import widest_block
from ragkit.query.token_calibration import known_tokens
from ragkit.query.window import NO_TURNS, ChatTurns, fit_turns, passage_budget
from ragkit.records import Context, Dropped, Passage, copy_fields
from ragkit.text.injection import find_injections, is_only_injection
from ragkit.text.patterns import late_pattern
from ragkit.text.sentences import sentences
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Literal

    from ragkit.protocols import ChatModel, VectorStore
    from ragkit.query.scope import QueryEngine
    from ragkit.records import Hit

_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SPACE = late_pattern(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+")


def fill_window(
    engine: QueryEngine,
    question: str,
    hits: Sequence[Hit],
    *,
    model: ChatModel | None,
    turns: ChatTurns = NO_TURNS,
    most_tokens: int | None = None,
) -> tuple[Context, ChatTurns]:
    """Fill a model's window with what was found.

    Args:
        engine: Where it was found, and the settings of the window.
        question: As the user asked it.
        hits: Best first.
        model: Reads the passages; None if sentences are quoted from them.
        turns: The conversation.
        most_tokens: No more for the passages, whatever the window leaves; None: as it leaves.

    Returns:
        The passages, and the conversation with the turns that fit beside them. Errors are those
        of `passage_budget`.
    """
    settings = engine.config.answer
    hits = with_neighbours(hits, engine.store, engine.config.search.neighbours)
    if model is None:
        budget = passage_budget(question, settings, context_tokens=settings.num_ctx)
        return build_context(hits, budget_tokens=budget), turns
    window = model.context_tokens
    turns = replace(turns, tokens=known_tokens(engine.store, model))
    turns = fit_turns(question, turns, settings, context_tokens=window)
    budget = passage_budget(question, settings, context_tokens=window, turns=turns)
    budget = budget if most_tokens is None else min(budget, most_tokens)
    context = build_context(hits, budget_tokens=budget, estimate=turns.tokens.estimate)
    return context, turns


def with_neighbours(hits: Sequence[Hit], store: VectorStore, count: int) -> list[Hit]:
    """Add to hits the chunks before and after each in its document.

    They rank behind all hits, so that they take only what the hits leave of a context's budget:
    first those of the best hit, the nearest first. `build_context` joins them to what they overlap.

    Args:
        hits: Best first; they come first in the result, unchanged.
        store: Where they were found. A document that has changed since adds nothing.
        count: Most chunks on either side of a hit.
    """
    known = {hit.chunk_id: hit for hit in hits}
    for hit in hits if count else ():
        for near in store.neighbours(hit, count):
            known.setdefault(near.chunk_id, replace(near, rank=len(known) + 1))
    return list(known.values())


def build_context(
    hits: Sequence[Hit],
    *,
    budget_tokens: int,
    estimate: Callable[[str], int] = estimate_tokens,
) -> Context:
    """Choose and number the passages that a model is given.

    Hits are taken in the order of their ranks. One that repeats what is taken already is
    dropped; one that touches or overlaps a passage of the same section is joined to
    it; one that would exceed the budget is dropped and smaller ones after it are still tried.
    Each passage's text is exactly ``document.text[start:end]``. Passages keep the order of
    their best hits.

    Args:
        hits: What a search found, in any order.
        budget_tokens: Most tokens of all passages together, their delimiters and source lines
            in the prompt included.
        estimate: Tokens of a text, an upper bound or near it.

    Returns:
        The context; ``dropped`` names each hit, or part of one, that did not enter, and each
        sentence that a prompt leaves out, since it tells the model what to reply. A passage of
        nothing else does not enter. A first hit above the whole budget is cut at the end of a
        sentence, or failing that of a character, and the rest of it is listed as dropped. The
        context is empty only if there are no hits or not even one character fits.
    """
    draft = _Draft(budget_tokens, estimate)
    for hit in sorted(hits, key=lambda h: h.rank):
        draft.offer(hit)
    telling = (p for p in draft.passages if not is_only_injection(p.text))
    passages = tuple(replace(p, number=n) for n, p in enumerate(telling, start=1))
    tokens = sum(p.tokens for p in passages)
    left_out = [dropped for passage in draft.passages for dropped in _injections(passage)]
    return Context(passages, tokens, budget_tokens, (*draft.dropped, *left_out))


@dataclass
class _Draft:
    """A context in the making. Passages carry number 0 until it is complete."""

    budget_tokens: int
    estimate: Callable[[str], int]
    passages: list[Passage] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def offer(self, hit: Hit) -> None:
        """Take a hit, join it to what it touches, or drop it with its reason."""
        if not hit.text.strip() or any(_repeats(hit, p) for p in self.passages):
            self._drop(hit, hit.start, "repeat")
            return
        joined, touched = self._join(self._counted(as_passage(hit)))
        others = sum(p.tokens for p in self.passages if p not in touched)
        if others + joined.tokens <= self.budget_tokens:
            self._put(joined, touched)
        elif self.passages:
            self._drop(hit, hit.start, "budget")
        else:
            self._take_cut(hit, joined)

    def _join(self, passage: Passage) -> tuple[Passage, list[Passage]]:
        """Join a passage with all that it touches; those are returned beside it."""
        touched: list[Passage] = []
        for other in sorted(self.passages, key=lambda p: p.start):
            text = _merged_text(passage, other)
            if text is None:
                continue
            touched.append(other)
            passage = _merge(passage, other, text)
        # A passage keeps the place of its best hit, so that hit's chunk is named first.
        ids = [i for p in self.passages if p in touched for i in p.chunk_ids]
        ids += [i for i in passage.chunk_ids if i not in ids]
        return self._counted(replace(passage, chunk_ids=tuple(ids))), touched

    def _put(self, passage: Passage, touched: list[Passage]) -> None:
        place = self.passages.index(_first(self.passages, touched)) if touched else None
        kept = [p for p in self.passages if p not in touched]
        kept.insert(len(kept) if place is None else place, passage)
        self.passages = kept

    def _take_cut(self, hit: Hit, passage: Passage) -> None:
        """Take as much of the only passage as the budget allows."""

        def cut(end: int) -> Passage:
            return self._counted(replace(passage, text=passage.text[:end], end=passage.start + end))

        ends = [end for _, end in sentences(passage.text)] or [len(passage.text)]
        for lengths in (ends, range(1, ends[0])):
            fitting = bisect_right(lengths, self.budget_tokens, key=lambda e: cut(e).tokens)
            if fitting and (kept := cut(lengths[fitting - 1])).text.strip():
                self.passages.append(kept)
                self._drop(hit, kept.end, "budget")
                return
        self._drop(hit, hit.start, "budget")

    def _counted(self, passage: Passage) -> Passage:
        return replace(passage, tokens=self.estimate(widest_block(passage)))

    def _drop(self, hit: Hit, start: int, reason: Literal["repeat", "budget"]) -> None:
        self.dropped.append(Dropped(hit.chunk_id, hit.path, start, hit.end, reason))


def _injections(passage: Passage) -> Iterator[Dropped]:
    for start, end in find_injections(passage.text):
        place = (passage.start + start, passage.start + end)
        yield Dropped(passage.chunk_ids[0], passage.path, *place, "order")


def _first(passages: list[Passage], among: list[Passage]) -> Passage:
    return next(p for p in passages if p in among)


def as_passage(hit: Hit, number: int = 0) -> Passage:
    """A hit as the passage of a prompt, its tokens not counted."""
    return copy_fields(hit, Passage, number=number, chunk_ids=(hit.chunk_id,), tokens=0)


def _repeats(hit: Hit, passage: Passage) -> bool:
    """True if the passage says all that the hit says, here or in another document.

    Case, white space, invisible characters and full-width forms do not make a difference;
    everything else does: ``1.5`` is not ``15``, and ``art`` is not said by ``party``.
    """
    if _covers(passage, hit):
        return True
    said, whole = _normal(hit.text), _normal(passage.text)
    return said in whole and bool(re.search(rf"(?<![\w.,]){re.escape(said)}(?![.,]?\w)", whole))


def _covers(passage: Passage, hit: Hit) -> bool:
    """True if the hit lies within the passage of the same version of the same document."""
    start, end = hit.start - passage.start, hit.end - passage.start
    return (
        (hit.doc_id, hit.file_sha256) == (passage.doc_id, passage.file_sha256)
        and start >= 0
        and passage.text[start:end] == hit.text
    )


def _normal(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold().translate(_HALF_WIDTH)


def _merged_text(a: Passage, b: Passage) -> str | None:
    """The text of two touching or overlapping passages of one section, else None.

    Sections are kept apart because a passage names one and a citation must name the right one.
    None as well if the texts disagree on what they share.
    """
    same = (a.doc_id, a.file_sha256, a.heading) == (b.doc_id, b.file_sha256, b.heading)
    first, last = (a, b) if a.start <= b.start else (b, a)
    if not same or last.start > first.end:
        return None
    shared = min(first.end, last.end) - last.start
    if first.text[last.start - first.start :][:shared] != last.text[:shared]:
        return None
    return first.text + last.text[shared:]


def _merge(a: Passage, b: Passage, text: str) -> Passage:
    scores = [p.score for p in (a, b) if p.score is not None]
    first = a if a.start <= b.start else b
    return replace(
        a,
        page=first.page,
        start=first.start,
        end=max(a.end, b.end),
        text=text,
        score=max(scores, default=None),
        chunk_ids=a.chunk_ids + b.chunk_ids,
        pages=tuple(sorted({*a.pages, *b.pages}, key=lambda page: page.number)),
    )
