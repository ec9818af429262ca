"""From passages to an answer with its proof."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from ragkit.records.hits import HitRanks, Page

SentenceStatus = Literal["quoted", "supported", "unsupported", "uncited"]


@dataclass(frozen=True, slots=True)
class Passage:
    """One numbered part of a context: one hit, or several neighbouring hits joined.

    ``metadata`` are what its document says of itself.
    """

    number: int
    doc_id: str
    root: str
    path: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    file_sha256: str
    score: float | None
    chunk_ids: tuple[str, ...]
    tokens: int
    pages: tuple[Page, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)

    def page_at(self, offset: int) -> int | None:
        """The number of the page on which a place of the document lies, None without pages."""
        before = [page.number for page in self.pages if page.start <= offset]
        return before[-1] if before else self.page


@dataclass(frozen=True, slots=True)
class Dropped:
    """A hit, or part of one, that did not enter the context, and why.

    ``repeat``: it is given already; ``budget``: it does not fit; ``order``: it tells the model
    what to reply (`ragkit.text.injection`), and is left out of the passage around it.
    """

    chunk_id: str
    path: str
    start: int
    end: int
    reason: Literal["repeat", "budget", "order"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is given: numbered passages within a token budget."""

    passages: tuple[Passage, ...]
    tokens: int
    budget_tokens: int
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in a document that an answer relies on.

    ``start`` and ``end`` are offsets in the document's extracted text and ``quote`` is that
    text. ``number`` is the passage's number, as the answer's ``[n]`` names it. ``to_model``: the
    quote holds a sentence that tells a model what to reply (`ragkit.text.injection`). ``metadata``
    are what the document says of itself. ``from_picture``: text recognition read the quote, so
    letters may be wrong.
    """

    number: int
    chunk_id: str
    doc_id: str
    path: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    quote: str
    file_sha256: str
    to_model: bool = False
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    from_picture: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: its place in the answer, its status, what it cites.

    ``start`` and ``end`` are offsets in ``Answer.text``. ``citations`` are indexes into
    ``Answer.citations``.
    """

    start: int
    end: int
    status: SentenceStatus
    citations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an answer's text, by half-open offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """A hit that an answer could be given from: its place, and why it stands where it does."""

    rank: int
    score: float | None
    chunk_id: str
    path: str
    page: int | None
    start: int
    end: int
    ranks: HitRanks


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was found, what was sent to the model and what it said it read.

    All counts are tokens; None: the model did not say. ``num_ctx`` is the window asked for,
    ``reserve_tokens`` the part of it kept for the answer. ``prompt_tokens`` is the model's own
    count. ``turns_given`` and ``turns_dropped`` are of the conversation's earlier turns.
    ``found`` is in the order of ranks. ``citations_removed`` counts the ``[n]`` that the reply
    gave for passages that were not given, ``links_removed`` the addresses and HTML tags in it that
    do not stand in the passages: both were left out of the answer. ``conversions`` name figures
    of unsupported sentences that a cited place gives in another unit. ``waiting`` counts the chunks
    of the index that had no vector yet, and could be found by their words only.
    """

    num_ctx: int
    reserve_tokens: int
    prompt_tokens_estimated: int
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    done_reason: str | None = None
    passages_given: int = 0
    dropped: tuple[Dropped, ...] = ()
    turns_given: int = 0
    turns_dropped: int = 0
    found: tuple[Found, ...] = ()
    citations_removed: int = 0
    links_removed: int = 0
    conversions: tuple[str, ...] = ()
    waiting: int = 0


_HARMFUL = re.compile(r"!(?=\[)|<(?=[a-zA-Z/!?])")

_MARKDOWN = re.compile(r"[\\`*_\[\]<>!#|&~$]")


def _in_markdown(text: str) -> str:
    """A text in one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its proof: what was asked, said, cited, by which models, over what.

    ``refused`` is true where the documents do not say; the last line of the text then says so
    in the question's language. ``chat_model`` is None for an extractive answer, which quotes the
    closest passages: ``closest`` are the sentences among its text that answer best, one a
    quotation. ``searched`` is the question as it was searched for, where a conversation completed
    it; else empty.
    """

    question: str
    text: str
    refused: bool
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    embedder: str
    embedder_digest: str
    chat_model: str | None
    chat_digest: str | None
    index: str
    generation: int
    receipt: Receipt
    seconds: float = 0.0
    searched: str = ""
    closest: tuple[Span, ...] = ()

    def __str__(self) -> str:
        """The text of the answer."""
        return self.text

    def _repr_markdown_(self) -> str:
        """What a notebook shows: the text, and the sources below it.

        What documents say can neither load an image nor be HTML there.
        """
        lines = [_HARMFUL.sub(r"\\\g<0>", self.text), ""]
        for c in self.citations:
            page = "" if c.page is None else f", page {c.page}"
            page += ", read from a picture" if c.from_picture else ""
            quote = "" if self.closest else f": “{_in_markdown(c.quote)}”"
            lines.append(f"- \\[{c.number}\\] {_in_markdown(c.path)}{page}{quote}")
        return "\n".join([*lines[:2], *dict.fromkeys(lines[2:])])
