"""question, Context → Answer: prompt, chat, and a check of every sentence.

Three ways lead to an `Answer`: `answer` asks a chat model, `answer_extractively` quotes the
passages, `refuse` says that the documents do not say.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from ragkit.errors import ModelResponseError
from ragkit.protocols import ChatDone, TextDelta, ThinkingDelta
from ragkit.query.extract import extract
from ragkit.query.links import LinkFilter
from ragkit.query.prompt import begins_refusal, is_refusal, refusal
from ragkit.query.proof.citations import as_shown, cite, tie, withhold
from ragkit.query.proof.marks import MarkFilter, find_marks
from ragkit.query.proof.support import Evidence, judge
from ragkit.query.thinking import without_thinking
from ragkit.query.window import NO_TALK, Talk, checked_receipt, plan_request
from ragkit.records import Answer, Receipt, Sentence
from ragkit.text.injection import without_injections
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatModel, Embedder
    from ragkit.records import Citation, Context

AnswerEvent: TypeAlias = TextDelta | ThinkingDelta | Answer


@dataclass(frozen=True, slots=True)
class Provenance:
    """Over what an answer is given: the index, its generation, and who embedded it."""

    index: str
    generation: int
    embedder: str
    embedder_digest: str


def answer(
    question: str,
    context: Context,
    model: ChatModel,
    source: Provenance,
    settings: AnswerSettings,
    *,
    talk: Talk = NO_TALK,
) -> Generator[AnswerEvent, None, None]:
    """Answer from passages with a chat model.

    What is streamed is final, and together it is the answer's text; marks and links that name
    nothing given are left out before it is shown. What may yet become a refusal waits. With
    ``settings.strict`` the text comes in one piece, less what no passage proves. An empty context
    is refused unasked. Closing the iterator cancels the generation.

    Args:
        question: As the user asked it.
        context: At most `passage_budget` tokens.
        model: Asked once.
        source: Copied into the answer.
        settings: Window, reserve, temperature, seed, strictness.
        talk: Earlier turns and what else is sent along.

    Yields:
        Text and thinking as they come, then exactly one `Answer`.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: The prompt does not fit, or the model's count says it was cut.
        ModelResponseError: The reply is empty; other ModelErrors as `ChatModel.chat`.
    """
    if not context.passages:
        yield TextDelta(refusal(question))
        yield _unasked(question, context, model, source, settings)
        return
    started = time.perf_counter()
    request, planned = plan_request(question, context, model, settings, talk)
    reply = _Reply(context, live=not settings.strict)
    with closing(without_thinking(model.chat(request))) as events:
        for event in events:
            if isinstance(event, ThinkingDelta):
                yield event
            elif shown := reply.take(event):
                yield TextDelta(shown)
    receipt = checked_receipt(planned, request.messages, reply.done, model)
    blank = replace(_blank(question, source, model), receipt=receipt)
    finished = _finish(blank, reply, context, model, strict=settings.strict)
    if rest := finished.text[len(reply.shown) :]:
        yield TextDelta(rest)
    yield replace(finished, seconds=time.perf_counter() - started)


def answer_extractively(
    question: str,
    context: Context,
    embedder: Embedder,
    source: Provenance,
    settings: AnswerSettings,
) -> Answer:
    """Answer by quoting the best sentences of the passages, word for word, without a chat model.

    Only what could pass for a citation, an image or HTML is not shown as it stands; the citation's
    quote holds it exactly. A sentence that gives orders to a model is never chosen.

    Errors are those of `Embedder.embed_documents`.
    """
    started = time.perf_counter()
    receipt = Receipt(
        settings.num_ctx,
        settings.reserve_tokens,
        0,
        passages_given=len(context.passages),
        dropped=context.dropped,
    )
    text = ""
    tied: list[Sentence] = []
    citations: list[Citation] = []
    for place in extract(question, context, embedder):
        passage = context.passages[place.number - 1]
        citation = cite(passage, place.start, place.end)
        begin = len(text) + (1 if text else 0)
        shown = as_shown(citation.quote)
        above = (passage.title, *passage.heading)
        status = judge(shown, [Evidence(citation.quote, above)]).status
        text = f"{text}\n{shown} [{place.number}]".lstrip("\n")
        tied.append(Sentence(begin, len(text), status, (len(citations),)))
        citations.append(citation)
    found = replace(_blank(question, source, None), receipt=receipt)
    if citations:
        found = replace(
            found,
            text=text,
            refused=False,
            sentences=tuple(tied),
            citations=tuple(citations),
        )
    return replace(found, seconds=time.perf_counter() - started)


def refuse(question: str, source: Provenance, settings: AnswerSettings) -> Answer:
    """Say that the documents do not answer a question, without asking a model."""
    receipt = Receipt(settings.num_ctx, settings.reserve_tokens, 0)
    return replace(_blank(question, source, None), receipt=receipt)


class _Reply:
    """A reply as it comes in: all of its text, what of it is shown by now, its last event."""

    def __init__(self, context: Context, *, live: bool) -> None:
        self.marks = MarkFilter(len(context.passages))
        # The last one: a mark that is taken out may join the halves of a link.
        self._links = LinkFilter(_texts(context))
        self.text = self.shown = ""
        self.done: ChatDone | None = None
        self._live = live

    def take(self, event: TextDelta | ChatDone) -> str:
        """Add an event; returns the text that can be shown for it, "" where none can yet."""
        if isinstance(event, ChatDone):
            self.done = event
            return self._add(self._links.feed(self.marks.close()) + self._links.close())
        if self.shown or not self._live:
            return self._add(self._read(event.text))
        # What is held back must not depend on where the reply was cut.
        return "".join(self._add(self._read(char)) for char in event.text)

    def _read(self, text: str) -> str:
        return self._links.feed(self.marks.feed(visible(text)))

    def _add(self, piece: str) -> str:
        """Take what was read; white space waits for what follows it."""
        self.text += piece if self.text else piece.lstrip()
        if not self._live or (not self.shown and self._may_refuse()):
            return ""
        begun, self.shown = self.shown, self.text.rstrip()
        return self.shown[len(begun) :]

    def _may_refuse(self) -> bool:
        """True where this begins a refusal, or the sentinel came and no cited statement yet."""
        return begins_refusal(self.text) or (self.marks.no_answer and not find_marks(self.text))


def _texts(context: Context) -> Iterator[str]:
    """All that a model is shown of the passages."""
    for passage in context.passages:
        said = (passage.path, passage.title, *passage.heading, passage.text)
        yield from map(without_injections, said)


def _unasked(
    question: str,
    context: Context,
    model: ChatModel,
    source: Provenance,
    settings: AnswerSettings,
) -> Answer:
    receipt = Receipt(settings.num_ctx, settings.reserve_tokens, 0, dropped=context.dropped)
    return replace(_blank(question, source, model), receipt=receipt)


def _finish(
    blank: Answer, reply: _Reply, context: Context, model: ChatModel, *, strict: bool
) -> Answer:
    """Judge a complete reply. `blank` is the refusal that stands where nothing is left of it.

    Nothing that was shown is taken back: there the refusal follows it.
    """
    text = reply.text.strip()
    if not text and not reply.marks.no_answer:
        msg = (
            f"the reply is empty (ended by {blank.receipt.done_reason!r}); "
            "where that is 'length', raise answer.reserve_tokens"
        )
        raise ModelResponseError(msg, model.name)
    is_refused = is_refusal(text) or (reply.marks.no_answer and not find_marks(text))
    if is_refused and not reply.shown:
        return blank
    tied, citations = tie(text, context.passages)
    if is_refused:
        return replace(blank, text=f"{text}\n{blank.text}", sentences=tied, citations=citations)
    if strict:
        text = withhold(text, tied)
        if not text:
            return blank
        tied, citations = tie(text, context.passages)
    return replace(blank, text=text, refused=False, sentences=tied, citations=citations)


def _blank(question: str, source: Provenance, model: ChatModel | None) -> Answer:
    """A refusal, to be filled in."""
    return Answer(
        question=question,
        text=refusal(question),
        refused=True,
        sentences=(),
        citations=(),
        embedder=source.embedder,
        embedder_digest=source.embedder_digest,
        chat_model=model.name if model else None,
        chat_digest=model.digest if model else None,
        index=source.index,
        generation=source.generation,
        receipt=Receipt(0, 0, 0),
    )
