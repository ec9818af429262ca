"""The indexes as JSON of ragkit's own, below ``/ragkit/v1``; docs/serve.md shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ragkit._version import __version__
from ragkit.errors import InputError, RagkitError
from ragkit.protocols import QuotedDelta, TextDelta, ThinkingDelta
from ragkit.records import NO_FILTER, Answer, Condition, Filter, Mode, to_json
from ragkit.serve.bodies import query_number, query_text, read_body
from ragkit.serve.failures import json_bytes, json_reply, told
from ragkit.serve.serving import Attended, ServedQuestion, StreamedReply, begun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.pipeline import Pipeline
    from ragkit.serve.serving import ServedEvent, Serving

SSE = "text/event-stream"
MOST_HITS = 1000
AROUND, MOST_AROUND = 1500, 100_000
"""Characters of a document that are shown before and behind a place, if not said, and at most."""

_NOT_INDEXED = ("failed", "skipped", "unreadable")


@dataclass(frozen=True, slots=True)
class ConditionBody:
    """A condition on a document's metadata; `ragkit.records.Condition` says what it means."""

    field: str
    value: Any
    operator: str = "="


@dataclass(frozen=True, slots=True)
class RestrictBody:
    """Which documents may be found; `ragkit.records.Filter` says what it means."""

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    where: tuple[ConditionBody, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchBody:
    """What a search is asked. ``index``: its name; "" is the only one."""

    question: str
    index: str = ""
    k: int | None = None
    mode: Mode | None = None
    restrict: RestrictBody = RestrictBody()
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class TurnBody:
    """A question of a conversation and what was replied to it."""

    question: str
    text: str


@dataclass(frozen=True, slots=True)
class AskBody:
    """A question to be answered, in a conversation if there are turns before it.

    ``stream``: as events, else as one object. ``extractive``: quote, and ask no chat model.
    """

    question: str
    index: str = ""
    turns: tuple[TurnBody, ...] = ()
    system: str = ""
    stream: bool = True
    k: int | None = None
    mode: Mode | None = None
    restrict: RestrictBody = RestrictBody()
    extractive: bool = False
    strict: bool | None = None
    temperature: float | None = None
    seed: int | None = None


class OwnAPI:
    """Answers with ragkit's own records as JSON."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def routes(self) -> list[Route]:
        """The routes below ``/ragkit/v1``."""
        return [
            Route("/ragkit/v1/info", self.info),
            Route("/ragkit/v1/indexes", self.indexes),
            Route("/ragkit/v1/search", Attended(self.search), methods=["POST"]),
            Route("/ragkit/v1/ask", Attended(self.ask), methods=["POST"]),
            Route("/ragkit/v1/documents", self.documents),
            Route("/ragkit/v1/passages", self.passages),
        ]

    async def info(self, _request: Request) -> Response:
        """What this server is and allows."""
        settings = self._serving.settings
        config = self._serving.indexes.config
        told_of = {
            "ragkit": __version__,
            "indexes": self._serving.indexes.names(),
            "chat": config.models.chat,
            "allow_index": self._serving.allow_index,
            "limits": {
                "body_bytes": int(settings.max_body_mb * 1e6),
                "upload_bytes": int(settings.max_upload_mb * 1e6),
                "messages": settings.max_messages,
                "asks": settings.max_asks,
            },
            "search": {"k": config.search.k, "mode": config.search.mode},
        }
        return json_reply(told_of)

    async def indexes(self, _request: Request) -> Response:
        """The indexes with their size and state; one that cannot be opened with its error."""
        found = []
        for name in self._serving.indexes.names():
            try:
                async with self._serving.indexes.using(name) as rag:
                    found.append({"name": name, **await _state(rag)})
            except RagkitError as exc:
                status, kind, message = told(exc)
                error = {"type": kind, "message": message, "status": status}
                found.append({"name": name, "error": error})
        return json_reply({"indexes": found})

    async def search(self, request: Request) -> Response:
        """Find passages."""
        asked = await read_body(request, SearchBody)
        restrict = read_restriction(asked.restrict)
        values = {} if asked.mode is None else {"search.mode": asked.mode}
        async with self._serving.indexes.using(asked.index) as rag:
            here = rag.with_settings(values) if values else rag
            if asked.as_of is not None:
                await _check_generation(rag, asked.as_of)
            hits = await here.search(
                asked.question, k=_checked_k(asked.k), restrict=restrict, as_of=asked.as_of
            )
        return json_reply({"hits": hits})

    async def ask(self, request: Request) -> Response:
        """Answer a question."""
        asked = await read_body(request, AskBody)
        name = self._serving.indexes.find(asked.index)
        events = await begun(self._serving.answer(name, _question(asked, self._serving)))
        if asked.stream:
            return StreamedReply(_server_sent(events), SSE)
        return json_reply([event async for event in events][-1])

    async def documents(self, request: Request) -> Response:
        """The documents of an index, and the files that are none with the reasons."""
        async with self._serving.indexes.using(query_text(request, "index")) as rag:
            found, reports = await rag.documents(), await rag.run(_last_report)
        documents = [to_json(document) for document in found]
        for document, info in zip(documents, found, strict=True):
            empty = not info.chunks
            document["state"] = "stale" if info.stale else "without_text" if empty else "indexed"
        files = [
            {"path": outcome["path"], "state": kind, "reason": outcome["reason"]}
            for kind in _NOT_INDEXED
            for outcome in reports.get(kind, ())
        ]
        return json_reply({"documents": documents, "not_indexed": files})

    async def passages(self, request: Request) -> Response:
        """A place of a document with what stands around it."""
        doc_id = query_text(request, "doc_id")
        place = (query_number(request, "start", 0), query_number(request, "end", 0))
        around = min(query_number(request, "around", AROUND), MOST_AROUND)
        async with self._serving.indexes.using(query_text(request, "index")) as rag:
            shown = await rag.run(lambda pipeline: _passage(pipeline, doc_id, place, around))
        return json_reply(shown)


def read_restriction(body: RestrictBody) -> Filter:
    """The filter that a body stands for.

    Raises:
        InputError: A condition is none.
    """
    if body == RestrictBody():
        return NO_FILTER
    conditions = []
    for condition in body.where:
        value = condition.value
        value = tuple(value) if isinstance(value, list) else value
        try:
            conditions.append(Condition(condition.field, condition.operator, value))  # type: ignore[arg-type]  # it is checked there
        except ValueError as exc:
            raise InputError(str(exc)) from exc
    return Filter(body.paths, body.kinds, tuple(conditions))


def _question(asked: AskBody, serving: Serving) -> ServedQuestion:
    if len(asked.turns) * 2 > serving.settings.max_messages:
        msg = f"{len(asked.turns)} turns are more than serve.max_messages allows"
        raise InputError(msg)
    values = {
        "search.mode": asked.mode,
        "answer.strict": asked.strict,
        "answer.temperature": asked.temperature,
        "answer.seed": asked.seed,
        "models.chat": "none" if asked.extractive else None,
    }
    return ServedQuestion(
        asked.question,
        tuple((turn.question, turn.text) for turn in asked.turns),
        asked.system,
        {name: value for name, value in values.items() if value is not None},
        k=_checked_k(asked.k),
        restrict=read_restriction(asked.restrict),
    )


async def _check_generation(rag: AsyncPipeline, generation: int) -> None:
    """Refuse a generation that cannot be looked at.

    Raises:
        InputError: It is none, or is not closed.
    """
    closed = [run.id for run in await rag.log() if run.state == "closed"]
    if generation not in closed:
        msg = f"as_of must be one of the generations {', '.join(map(str, closed))}"
        raise InputError(msg)


def _checked_k(k: int | None) -> int | None:
    if k is not None and not 1 <= k <= MOST_HITS:
        msg = f"k must be from 1 to {MOST_HITS}, not {k}"
        raise InputError(msg)
    return k


async def _server_sent(events: AsyncGenerator[ServedEvent, None]) -> AsyncGenerator[bytes, None]:
    """An answer as server-sent events; what fails after the first is told by the last."""
    try:
        async for event in events:
            yield _event(*_named(event))
    except Exception as exc:  # noqa: BLE001 -- the status is sent: told in the last event
        _, kind, message = told(exc)
        yield _event("error", {"type": kind, "message": message})
    finally:
        await events.aclose()


def _named(event: ServedEvent) -> tuple[str, Any]:
    if isinstance(event, Answer):
        return "answer", event
    if isinstance(event, QuotedDelta):
        return "text", {"text": event.text, "quoted": True, "closest": event.is_closest}
    if isinstance(event, TextDelta):
        return "text", {"text": event.text}
    if isinstance(event, ThinkingDelta) and not event.retracts:
        return "thinking", {"text": event.text}
    return "retract", {}


def _event(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(value) + b"\n\n"


async def _state(rag: AsyncPipeline) -> dict[str, Any]:
    stats, runs = await rag.stats(), await rag.log(1)
    return {
        "generation": stats.generation,
        "documents": stats.documents,
        "chunks": stats.chunks,
        "waiting": stats.waiting,
        "stale": stats.stale,
        "size_bytes": stats.size_bytes,
        "embedder": stats.embedder.get("name"),
        "changed_at": (runs[0].finished_at or runs[0].started_at) if runs else None,
        "is_indexing": bool(runs and runs[0].state == "open"),
    }


def _last_report(pipeline: Pipeline) -> dict[str, Any]:
    """The account of the newest run that met files."""
    reports = (run["report"] or {} for run in pipeline.store.runs())
    met = (report for report in reports if any(report.get(kind) for kind in _NOT_INDEXED))
    return next(met, {})


def _passage(
    pipeline: Pipeline, doc_id: str, place: tuple[int, int], around: int
) -> dict[str, Any]:
    """A place of a document as JSON values.

    Raises:
        InputError: There is no such document, or no such place in it.
    """
    content = pipeline.store.content(doc_id)
    if content is None:
        msg = f"no document {doc_id!r:.80} is in the index; it may have been changed or removed"
        raise InputError(msg)
    document, chunks = content
    start, end = place
    if not 0 <= start <= end <= len(document.text):
        msg = f"{start} to {end} is no place in a text of {len(document.text)} characters"
        raise InputError(msg)
    first, last = max(0, start - around), min(len(document.text), end + around)
    within = [c for c in chunks if c.start < max(end, start + 1) and start < c.end]
    return {
        "doc_id": doc_id,
        "path": document.path,
        "title": document.title,
        "kind": document.kind,
        "length": len(document.text),
        "start": start,
        "end": end,
        "text_start": first,
        "text_end": last,
        "text": document.text[first:last],
        "heading": within[0].heading if within else (),
        "pages": [page for page in document.pages if page.start <= last and first <= page.end],
        "chunks": [chunk.chunk_id for chunk in within],
    }
