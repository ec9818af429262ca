"""A chat model's reply becomes an answer: shown as it comes, every sentence then checked."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from ragkit.errors import ModelResponseError
from ragkit.protocols import ChatDone, TextDelta, ThinkingDelta
from ragkit.query.links import LinkFilter
from ragkit.query.prompt import begins_refusal, is_refusal, refusal
from ragkit.query.proof.citations import drop_unsupported, link_citations, named_conversions
from ragkit.query.proof.marks import MarkFilter, find_marks
from ragkit.query.reply import check_prompt_was_read, stream_reply
from ragkit.query.window import NO_TURNS, ChatTurns, plan_request
from ragkit.records import Answer, Receipt
from ragkit.text.injection import without_injections
from ragkit.text.visible import visible

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ragkit.config import AnswerSettings
    from ragkit.protocols import ChatMessage, ChatModel
    from ragkit.records import Context

AnswerEvent: TypeAlias = TextDelta | ThinkingDelta | Answer


@dataclass(frozen=True, slots=True)
class Provenance:
    """Over what an answer is given: the index, its generation, and who embedded it."""

    index: str
    generation: int
    embedder: str
    embedder_digest: str


def refuse(question: str, source: Provenance, settings: AnswerSettings) -> Answer:
    """Say that the documents do not answer a question; every answer begins as that."""
    return Answer(
        question=question,
        text=refusal(question),
        refused=True,
        sentences=(),
        citations=(),
        embedder=source.embedder,
        embedder_digest=source.embedder_digest,
        chat_model=None,
        chat_digest=None,
        index=source.index,
        generation=source.generation,
        receipt=Receipt(settings.num_ctx, settings.reserve_tokens, 0),
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """All that a chat model replied.

    Attributes:
        text: Without marks and links that name nothing given.
        shown: What of the text was streamed already, from its beginning on; it is final.
        says_no: The model said that the passages do not hold the answer.
        messages: What it was sent.
        receipt: Of the request, with the model's own counts.
    """

    text: str
    shown: str
    says_no: bool
    messages: tuple[ChatMessage, ...]
    receipt: Receipt


def stream_answer(
    question: str,
    context: Context,
    model: ChatModel,
    settings: AnswerSettings,
    *,
    turns: ChatTurns = NO_TURNS,
) -> Generator[TextDelta | ThinkingDelta, None, Reply]:
    """Ask a chat model a question about passages, and give its reply as it comes.

    What is streamed is final, unless a `ThinkingDelta` retracts it; marks and links that name
    nothing given are left out before it is shown. What may yet become a refusal waits, and with
    ``settings.strict`` all text does. Closing the iterator cancels the generation.

    Args:
        question: As the user asked it.
        context: At most `passage_budget` tokens, at least one passage.
        model: Asked once.
        settings: Window, reserve, temperature, seed, strictness.
        turns: Earlier turns and what else is sent along.

    Raises:
        ConfigError: The reserve leaves nothing of the window for a prompt.
        PromptTruncatedError: The prompt does not fit, or the model's count says it was cut.
        ModelResponseError: The reply has no last event; other ModelErrors as `ChatModel.chat`.
    """
    request, planned = plan_request(question, context, model, settings, turns=turns)
    draft = _Draft(context, live=not settings.strict)
    with closing(stream_reply(model, request)) as events:
        for event in events:
            if isinstance(event, ThinkingDelta):
                if event.retracts:
                    draft = _Draft(context, live=not settings.strict)
                yield event
            elif shown := draft.take(event):
                yield TextDelta(shown)
    if draft.done is None:
        msg = "the reply ended without its last event"
        raise ModelResponseError(msg, model.name)
    check_prompt_was_read(model, request, draft.done)
    receipt = replace(
        planned,
        prompt_tokens=draft.done.prompt_tokens,
        answer_tokens=draft.done.answer_tokens,
        done_reason=draft.done.done_reason,
        citations_removed=len(draft.marks.invalid),
        links_removed=len(draft.links.removed),
    )
    return Reply(draft.text.strip(), draft.shown, draft.marks.no_answer, request.messages, receipt)


def prove(blank: Answer, reply: Reply, context: Context, *, strict: bool) -> Answer:
    """Link each sentence of a reply to the places that it cites, and judge it by them.

    Args:
        blank: The refusal that stands if nothing is left of the reply; it names the chat model.
        reply: Nothing of it that was shown is taken back: a refusal then follows it.
        context: The passages that were given.
        strict: Drop every sentence that no passage proves.

    Raises:
        ModelResponseError: The reply is empty.
    """
    text, before = reply.text, blank.receipt
    receipt = replace(reply.receipt, found=before.found, waiting=before.waiting)
    if not text and not reply.says_no:
        msg = (
            f"the reply is empty (ended by {receipt.done_reason!r}); "
            "if that is 'length', raise answer.reserve_tokens"
        )
        raise ModelResponseError(msg, blank.chat_model or "")
    blank = replace(blank, receipt=receipt)
    is_refused = is_refusal(text) or (reply.says_no and not find_marks(text))
    if is_refused and not reply.shown:
        return blank
    linked, citations = link_citations(text, context.passages)
    units = named_conversions(text, linked, citations)
    blank = replace(blank, receipt=replace(receipt, conversions=units))
    if is_refused:
        return replace(blank, text=f"{text}\n{blank.text}", sentences=linked, citations=citations)
    if strict:
        text = drop_unsupported(text, linked)
        if not text:
            return blank
        linked, citations = link_citations(text, context.passages)
    return replace(blank, text=text, refused=False, sentences=linked, citations=citations)


class _Draft:
    """A reply as it comes in: all of its text, what of it is shown by now, its last event."""

    def __init__(self, context: Context, *, live: bool) -> None:
        self.marks = MarkFilter(len(context.passages))
        # The last one: a mark that is taken out may join the halves of a link.
        self.links = LinkFilter(_texts(context))
        self.text = self.shown = ""
        self.done: ChatDone | None = None
        self._live = live

    def take(self, event: TextDelta | ChatDone) -> str:
        """Add an event; returns the text that can be shown for it, "" if none can yet."""
        if isinstance(event, ChatDone):
            self.done = event
            return self._add(self.links.feed(self.marks.close()) + self.links.close())
        if self.shown or not self._live:
            return self._add(self._read(event.text))
        # What is held back must not depend on where the reply was cut.
        return "".join(self._add(self._read(char)) for char in event.text)

    def _read(self, text: str) -> str:
        return self.links.feed(self.marks.feed(visible(text)))

    def _add(self, piece: str) -> str:
        """Take what was read; white space waits for what follows it."""
        self.text += piece if self.text else piece.lstrip()
        if not self._live or (not self.shown and self._may_refuse()):
            return ""
        begun, self.shown = self.shown, self.text.rstrip()
        return self.shown[len(begun) :]

    def _may_refuse(self) -> bool:
        """True if this begins a refusal, or the sentinel came and no cited statement yet."""
        return begins_refusal(self.text) or (self.marks.no_answer and not find_marks(self.text))


def _texts(context: Context) -> Iterator[str]:
    """All that a model is shown of the passages."""
    for passage in context.passages:
        said = (passage.path, passage.title, *passage.heading, passage.text)
        yield from map(without_injections, said)
