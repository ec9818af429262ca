"""The indexes as JSON of ragkit's own, below ``/ragkit/v1``; docs/serve.md shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit._version import __version__
from ragkit.errors import InputError, RagkitError
from ragkit.ingest.load.readers.pdfium import has_pdfium
from ragkit.query.why_not import WhyNot
from ragkit.records import Answer, copy_fields
from ragkit.serve.access_log import note_question
from ragkit.serve.bodies import query_text, read_body
from ragkit.serve.failures import json_reply, told
from ragkit.serve.operations import INDEX, Operation
from ragkit.serve.own_bodies import (
    AskBody,
    ConversationBody,
    SearchBody,
    VerifyBody,
    WhyNotBody,
    asked_question,
    checked_k,
    conversation_question,
    read_restriction,
)
from ragkit.serve.own_replies import (
    BrokenIndexReply,
    DocumentReply,
    DocumentsReply,
    HitsReply,
    IndexesReply,
    IndexReply,
    InfoReply,
    LimitsReply,
    SearchDefaults,
    ToldError,
    UnindexedReply,
    VerificationReply,
)
from ragkit.serve.server_sent import ANSWER_EVENTS, answer_events
from ragkit.serve.serving import StreamedReply, begun

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.pipeline import Pipeline
    from ragkit.records import DocumentInfo
    from ragkit.serve.serving import ServedQuestion, Serving

SSE = "text/event-stream"

_NOT_INDEXED = ("failed", "skipped", "unreadable")


class OwnAPI:
    """Answers with ragkit's own records as JSON."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def operations(self) -> list[Operation]:
        """What is done below ``/ragkit/v1`` with whole indexes and answers."""
        return [*self._looking(), *self._answering()]

    def _looking(self) -> list[Operation]:
        """What tells what there is."""
        return [
            Operation(
                "GET", "/info", self.info, "What this server is and allows.", reply=InfoReply
            ),
            Operation(
                "GET",
                "/indexes",
                self.indexes,
                "The indexes with size and state.",
                reply=IndexesReply,
            ),
            Operation(
                "GET",
                "/documents",
                self.documents,
                "The documents of an index, and the files that are none with the reasons.",
                reply=DocumentsReply,
                parameters=(INDEX,),
                statuses=(404,),
            ),
        ]

    def _answering(self) -> list[Operation]:
        """What takes a question, or an answer."""
        answering: dict[str, Any] = {
            "reply": Answer,
            "events": ANSWER_EVENTS,
            "statuses": (404, 429, 502, 503),
            "is_attended": True,
        }
        return [
            Operation(
                "POST",
                "/search",
                self.search,
                "Find passages.",
                reply=HitsReply,
                body=SearchBody,
                statuses=(404, 502, 503),
                is_attended=True,
            ),
            Operation("POST", "/ask", self.ask, "Answer a question.", body=AskBody, **answering),
            Operation(
                "POST",
                "/chat",
                self.chat,
                "Answer the last message of a conversation.",
                body=ConversationBody,
                **answering,
            ),
            Operation(
                "POST",
                "/verify",
                self.verify,
                "Check an answer again, without a model: against the index and the files.",
                reply=VerificationReply,
                body=VerifyBody,
                statuses=(404, 429),
                is_attended=True,
            ),
            Operation(
                "POST",
                "/why-not",
                self.why_not,
                "Tell at which stage a passage that should answer a question was lost.",
                reply=WhyNot,
                body=WhyNotBody,
                statuses=(404, 429, 502, 503),
                is_attended=True,
            ),
        ]

    async def info(self, _request: Request) -> Response:
        """What this server is and allows."""
        settings, indexes = self._serving.settings, self._serving.indexes
        config = indexes.config
        limits = LimitsReply(
            body_bytes=int(settings.max_body_mb * 1e6),
            upload_bytes=int(settings.max_upload_mb * 1e6),
            messages=settings.max_messages,
            asks=settings.max_asks,
        )
        allows = self._serving.allow_index
        reply = InfoReply(
            __version__,
            tuple(indexes.names()),
            config.models.chat,
            allows,
            limits,
            SearchDefaults(config.search.k, config.search.mode),
            roots=settings.roots if allows else (),
            pictures=has_pdfium(),
        )
        return json_reply(reply)

    async def indexes(self, _request: Request) -> Response:
        """The indexes with their size and state; one that cannot be opened with its error."""
        found: list[IndexReply | BrokenIndexReply] = []
        for name in self._serving.indexes.names():
            try:
                async with self._serving.indexes.using(name) as rag:
                    found.append(await _state(name, rag))
            except RagkitError as exc:
                status, kind, message = told(exc)
                found.append(BrokenIndexReply(name, ToldError(kind, message, status)))
        return json_reply(IndexesReply(tuple(found)))

    async def search(self, request: Request) -> Response:
        """Find passages."""
        asked = await read_body(request, SearchBody)
        note_question(asked.question)
        restrict = read_restriction(asked.restrict)
        values = {} if asked.mode is None else {"search.mode": asked.mode}
        async with self._serving.indexes.using(asked.index) as rag:
            here = rag.with_settings(values) if values else rag
            if asked.as_of is not None:
                await _check_generation(rag, asked.as_of)
            hits = await here.search(
                asked.question, k=checked_k(asked.k), restrict=restrict, as_of=asked.as_of
            )
        return json_reply(HitsReply(tuple(hits)))

    async def ask(self, request: Request) -> Response:
        """Answer a question."""
        asked = await read_body(request, AskBody)
        question = asked_question(asked, self._serving.settings.max_messages)
        return await self._answered(asked.index, question, stream=asked.stream)

    async def chat(self, request: Request) -> Response:
        """Answer the last message of a conversation."""
        asked = await read_body(request, ConversationBody)
        question = conversation_question(asked, self._serving.settings.max_messages)
        return await self._answered(asked.index, question, stream=asked.stream)

    async def _answered(self, index: str, question: ServedQuestion, *, stream: bool) -> Response:
        name = self._serving.indexes.find(index)
        events = await begun(self._serving.answer(name, question))
        if stream:
            return StreamedReply(answer_events(events), SSE)
        return json_reply([event async for event in events][-1])

    async def verify(self, request: Request) -> Response:
        """Check an answer again."""
        asked = await read_body(request, VerifyBody)
        with self._serving.slot():
            async with self._serving.indexes.using(asked.index) as rag:
                found = await rag.verify(asked.answer)
        reply = VerificationReply(found.holds, found.proved, found.sentences, found.citations)
        return json_reply(reply)

    async def why_not(self, request: Request) -> Response:
        """Tell at which stage a passage was lost."""
        asked = await read_body(request, WhyNotBody)
        note_question(asked.question)
        if not asked.path.strip():
            msg = "path names the document that should answer, and is empty"
            raise InputError(msg)
        restrict = read_restriction(asked.restrict)
        with self._serving.slot():
            async with self._serving.indexes.using(asked.index) as rag:
                found = await rag.why_not(
                    asked.question,
                    asked.path,
                    page=asked.page,
                    text=asked.text,
                    restrict=restrict,
                    answer=asked.answer,
                )
        return json_reply(found)

    async def documents(self, request: Request) -> Response:
        """The documents of an index, and the files that are none with the reasons."""
        async with self._serving.indexes.using(query_text(request, "index")) as rag:
            found, report = await rag.documents(), await rag.run(_last_report)
        files = tuple(
            UnindexedReply(outcome["path"], kind, outcome["reason"])  # type: ignore[arg-type]  # of _NOT_INDEXED
            for kind in _NOT_INDEXED
            for outcome in report.get(kind, ())
        )
        return json_reply(DocumentsReply(tuple(map(_with_state, found)), files))


def _with_state(info: DocumentInfo) -> DocumentReply:
    state = "stale" if info.stale else "indexed" if info.chunks else "without_text"
    return copy_fields(info, DocumentReply, state=state)


async def _check_generation(rag: AsyncPipeline, generation: int) -> None:
    """Refuse a generation that cannot be looked at.

    Raises:
        InputError: It is none, or is not closed.
    """
    closed = [run.id for run in await rag.log() if run.state == "closed"]
    if generation not in closed:
        msg = f"as_of must be one of the generations {', '.join(map(str, closed))}"
        raise InputError(msg)


async def _state(name: str, rag: AsyncPipeline) -> IndexReply:
    stats, runs = await rag.stats(), await rag.log(1)
    return copy_fields(
        stats,
        IndexReply,
        name=name,
        embedder=stats.embedder.get("name"),
        changed_at=(runs[0].finished_at or runs[0].started_at) if runs else None,
        is_indexing=bool(runs and runs[0].state == "open"),
    )


def _last_report(pipeline: Pipeline) -> dict[str, Any]:
    """The account of the newest run that met files."""
    reports = (run["report"] or {} for run in pipeline.store.runs())
    met = (report for report in reports if any(report.get(kind) for kind in _NOT_INDEXED))
    return next(met, {})
