"""What the tools of the MCP server do: search, ask, read, list, verify and, if allowed, index."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from ragkit.errors import InputError, RagkitError
from ragkit.query.proof.marks import find_marks
from ragkit.query.proof.support import answer_sentences
from ragkit.records import Answer, Citation, Filter, Receipt, Sentence
from ragkit.serve.mcp_calls import (
    MOST_FAILURES,
    MOST_FOUND,
    MOST_LISTED,
    MOST_READ,
    READ,
    AskCall,
    IndexCall,
    ListCall,
    ReadCall,
    SearchCall,
    VerifyCall,
    offered,
    read_call,
)
from ragkit.serve.serving import ServedQuestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.pipeline import Pipeline
    from ragkit.records import Chunk, Document, DocumentInfo, Hit, IndexReport
    from ragkit.serve.index_jobs import IndexJobs
    from ragkit.serve.mcp_calls import ToolKind
    from ragkit.serve.serving import Serving
    from ragkit.verify.answers import Verification

SCHEME = "ragkit"
MOST_OF_RESOURCE = 1_000_000
"""Characters of a document that are given as a resource; `read` gives what follows."""


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What a tool gives: text for a model, and the same as values of its schema."""

    text: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentResource:
    """A document as a resource."""

    uri: str
    path: str
    title: str


class McpTools:
    """Calls the verbs of the served indexes as tools. All but `index` only read.

    Args:
        serving: The indexes, and their limits.
        jobs: What `index` begins.
    """

    def __init__(self, serving: Serving, jobs: IndexJobs) -> None:
        self._serving, self._jobs = serving, jobs

    def offered(self) -> dict[str, ToolKind]:
        """The tools that may be called, by name."""
        return offered(allow_index=self._serving.allow_index)

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolReply:
        """Call one of the tools that are offered.

        Raises:
            RagkitError: What was asked cannot be done.
            HTTPException: Too many questions are being answered, or the index is being changed.
        """
        asked = read_call(name, arguments)
        if isinstance(asked, ListCall):
            return await self._list(asked)
        if isinstance(asked, IndexCall):
            return await self._update(asked)
        index = self._serving.indexes.find(asked.index)
        if isinstance(asked, AskCall):
            return await self._ask(index, asked)
        async with self._serving.indexes.using(index) as rag:
            if isinstance(asked, SearchCall):
                return await _search(rag, index, asked)
            if isinstance(asked, ReadCall):
                return await _read(rag, index, asked)
            return await _verify(rag, index, asked)

    async def resources(self, offset: int) -> tuple[list[DocumentResource], int | None]:
        """Some documents of all indexes, and where the next ones begin; None: there are no more."""
        found = [
            DocumentResource(uri_of(name, info.doc_id), f"{name}/{info.path}", info.title)
            for name in self._serving.indexes.names()
            for info in await self._documents(name)
        ]
        return found[offset : offset + MOST_LISTED], _next(offset, len(found))

    async def resource(self, uri: str) -> str:
        """The text of a document by its address.

        Raises:
            InputError: The address is none, or the index has no such document.
            IndexNotFoundError: There is no such index.
        """
        parts = urlsplit(uri)
        kind, _, doc_id = parts.path.strip("/").partition("/")
        if parts.scheme != SCHEME or kind != "doc" or not doc_id or not parts.netloc:
            msg = f"{uri!r:.100} is no document; they are {SCHEME}://INDEX/doc/ID"
            raise InputError(msg)
        async with self._serving.indexes.using(unquote(parts.netloc)) as rag:
            document, _ = await rag.run(lambda pipeline: _content(pipeline, unquote(doc_id)))
        cut = document.text[:MOST_OF_RESOURCE]
        if len(cut) < len(document.text):
            cut += f"\n\n[Cut here of {len(document.text)} characters; the tool read has the rest.]"
        return cut

    async def _documents(self, name: str) -> list[DocumentInfo]:
        """The documents of an index; none if it cannot be opened, which `list` tells."""
        try:
            async with self._serving.indexes.using(name) as rag:
                return await rag.documents()
        except RagkitError:
            return []

    async def _ask(self, index: str, asked: AskCall) -> ToolReply:
        question = ServedQuestion(asked.question, k=_checked(asked.k), restrict=Filter(asked.paths))
        last: object = None
        async with aclosing(self._serving.answer(index, question)) as events:
            async for event in events:
                last = event
        if not isinstance(last, Answer):
            msg = "the answer did not come to its end"
            raise RagkitError(msg)
        return _answered(index, last)

    async def _update(self, asked: IndexCall) -> ToolReply:
        """Bring an index up to date; cancelled with the call."""
        job = await self._jobs.start(asked.index, asked.folders)
        try:
            async for _ in job.states():
                pass
        except asyncio.CancelledError:
            self._jobs.cancel(job)
            raise
        if job.report is None:
            raise RagkitError(job.error.message if job.error else "it was cancelled")
        return _updated(job.index, job.report)

    async def _list(self, asked: ListCall) -> ToolReply:
        names = self._serving.indexes.names()
        indexes = [await self._index(name) for name in names]
        documents: list[dict[str, Any]] = []
        if asked.index or len(names) == 1:
            index = self._serving.indexes.find(asked.index)
            async with self._serving.indexes.using(index) as rag:
                infos = await rag.documents()
            documents = [_listed(index, i) for i in infos if _matches(i.path, asked.path)]
        shown = documents[asked.offset : asked.offset + MOST_LISTED]
        values = {
            "indexes": indexes,
            "documents": shown,
            "total": len(documents),
            "next": _next(asked.offset, len(documents)),
        }
        lines = [
            f"Index {i['name']}: {i['error'] or _counted(i['documents'], i['passages'])}"
            for i in indexes
        ]
        lines += [f"- {d['path']} ({d['state']}; doc_id {d['doc_id']})" for d in shown]
        if values["next"]:
            lines.append(f"{len(documents)} documents; those that follow: offset {values['next']}")
        return ToolReply("\n".join(lines) or "There is no index.", values)

    async def _index(self, name: str) -> dict[str, Any]:
        told = {"name": name, "documents": 0, "passages": 0, "error": ""}
        try:
            async with self._serving.indexes.using(name) as rag:
                stats = await rag.stats()
        except RagkitError as exc:
            return told | {"error": str(exc)}
        return told | {"documents": stats.documents, "passages": stats.chunks}


def uri_of(index: str, doc_id: str) -> str:
    """The address of a document as a resource."""
    return f"{SCHEME}://{quote(index, safe='')}/doc/{quote(doc_id, safe='')}"


async def _search(rag: AsyncPipeline, index: str, asked: SearchCall) -> ToolReply:
    here = rag.with_settings({"search.mode": asked.mode}) if asked.mode else rag
    hits = await here.search(asked.question, k=_checked(asked.k), restrict=Filter(asked.paths))
    found = [
        _place(index, hit, number=hit.rank)
        | {"kind": hit.kind, "score": hit.score, "text": hit.text}
        for hit in hits
    ]
    blocks = [f"[{h['number']}] {_named(h)}\n{h['text']}" for h in found]
    text = "\n\n".join(blocks) or "Nothing was found."
    return ToolReply(text, {"index": index, "hits": found})


async def _read(rag: AsyncPipeline, index: str, asked: ReadCall) -> ToolReply:
    document, _ = await rag.run(lambda pipeline: _content(pipeline, asked.doc_id))
    length = len(document.text)
    end = min(length, asked.start + READ) if asked.end is None else asked.end
    if not 0 <= asked.start <= end <= length or asked.around < 0:
        msg = f"{asked.start} to {end} is no place in a text of {length} characters"
        raise InputError(msg)
    first, last = max(0, asked.start - asked.around), min(length, end + asked.around)
    last = min(last, first + MOST_READ)
    pages = [p.number for p in document.pages if p.start < last and first < p.end]
    text = document.text[first:last]
    follows = last if last < length else None
    values = {
        "index": index,
        "doc_id": document.doc_id,
        "path": document.path,
        "title": document.title,
        "pages": pages,
        "start": first,
        "end": last,
        "length": length,
        "next": follows,
        "text": text,
    }
    said = f"{document.path}, characters {first} to {last} of {length}"
    return ToolReply(f"{said}\n\n{text}", values)


async def _verify(rag: AsyncPipeline, index: str, asked: VerifyCall) -> ToolReply:
    found = await rag.run(lambda pipeline: _verified(pipeline, asked))
    sentences = [{"text": s.text, "status": s.status} for s in found.sentences]
    citations = [
        {
            "number": c.citation.number,
            "doc_id": c.citation.doc_id,
            "state": c.state,
            "detail": c.detail,
            "quote": c.citation.quote,
        }
        for c in found.citations
    ]
    stand = all(c["state"] == "holds" for c in citations)
    is_proved = bool(sentences) and stand and not any(map(_is_open, sentences))
    lines = [f"{s['status']}: {s['text']}" for s in sentences]
    lines += [f"[{c['number']}] {c['state']}: {c['detail'] or c['quote']}" for c in citations]
    lines.append("All of it is shown." if is_proved else "NOT all of it is shown.")
    values = {
        "index": index,
        "proved": is_proved,
        "sentences": sentences,
        "citations": citations,
    }
    return ToolReply("\n".join(lines), values)


def _verified(pipeline: Pipeline, asked: VerifyCall) -> Verification:
    """A text checked as an answer is that records nothing of its sentences but what they cite."""
    citations = tuple(_citation(pipeline, place) for place in asked.citations)
    sentences = []
    for start, end in answer_sentences(asked.text):
        named = {mark.number for mark in find_marks(asked.text[start:end])}
        cited = tuple(i for i, c in enumerate(citations) if c.number in named)
        sentences.append(Sentence(start, end, "uncited", cited))
    answer = Answer(
        question="",
        text=asked.text,
        refused=False,
        sentences=tuple(sentences),
        citations=citations,
        embedder="",
        embedder_digest="",
        chat_model=None,
        chat_digest=None,
        index=str(pipeline.path),
        generation=0,
        receipt=Receipt(0, 0, 0),
    )
    return pipeline.verify(answer)


def _citation(pipeline: Pipeline, place: Any) -> Citation:  # noqa: ANN401 -- a CitedPlace
    """The citation of a place, with what the index holds there unless a quote is given."""
    document, chunks = _content(pipeline, place.doc_id)
    if not 0 <= place.start < place.end <= len(document.text):
        size = len(document.text)
        msg = f"[{place.number}]: {place.start} to {place.end} is no place in {size} characters"
        raise InputError(msg)
    within = _touched(chunks, place.start, place.end)
    return Citation(
        number=place.number,
        chunk_id=within[0].chunk_id if within else "",
        doc_id=document.doc_id,
        path=document.path,
        title=document.title,
        heading=within[0].heading if within else (),
        page=within[0].page if within else None,
        start=place.start,
        end=place.end,
        quote=place.quote or document.text[place.start : place.end],
        file_sha256=document.file_sha256,
    )


_CLOSEST = "Closest passages (no chat model was asked; judge yourself whether they answer):"


def _answered(index: str, answer: Answer) -> ToolReply:
    sentences = [
        {"text": answer.text[s.start : s.end], "status": s.status} for s in answer.sentences
    ]
    citations = [
        _place(index, c, number=c.number) | {"quote": c.quote, "to_model": c.to_model}
        for c in answer.citations
    ]
    lines = [_CLOSEST, ""] if answer.closest else []
    lines += [answer.text, ""]
    lines += [f"Not shown to be in the documents: {s['text']}" for s in filter(_is_open, sentences)]
    lines += dict.fromkeys(f"[{c['number']}] {_named(c)}: “{c['quote']}”" for c in citations)
    values = {
        "index": index,
        "text": answer.text,
        "refused": answer.refused,
        "chat_model": answer.chat_model,
        "sentences": sentences,
        "citations": citations,
    }
    return ToolReply("\n".join(lines).rstrip(), values)


def _updated(index: str, report: IndexReport) -> ToolReply:
    counts = {
        "added": len(report.added),
        "changed": len(report.changed),
        "moved": len(report.moved),
        "removed": len(report.removed),
        "unchanged": len(report.unchanged),
        "passages": report.chunks,
    }
    failed = [{"path": f.path, "reason": f.reason} for f in report.failed[:MOST_FAILURES]]
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    lines = [f"Index {index}: {said or 'nothing to do'}"]
    lines += [f"failed: {f['path']}: {f['reason']}" for f in failed]
    return ToolReply("\n".join(lines), {"index": index, **counts, "failed": failed})


def _content(pipeline: Pipeline, doc_id: str) -> tuple[Document, Sequence[Chunk]]:
    content = pipeline.store.content(doc_id)
    if content is None:
        msg = f"no document {doc_id!r:.80} is in the index; it may have been changed or removed"
        raise InputError(msg)
    return content


def _touched(chunks: Sequence[Chunk], start: int, end: int) -> list[Chunk]:
    return [c for c in chunks if c.start < end and start < c.end]


def _place(index: str, found: Hit | Citation, number: int) -> dict[str, Any]:
    return {
        "number": number,
        "doc_id": found.doc_id,
        "path": found.path,
        "title": found.title,
        "heading": list(found.heading),
        "page": found.page,
        "start": found.start,
        "end": found.end,
        "uri": uri_of(index, found.doc_id),
    }


def _named(place: Mapping[str, Any]) -> str:
    page = "" if place["page"] is None else f", page {place['page']}"
    where = f"doc_id {place['doc_id']}, characters {place['start']} to {place['end']}"
    return f"{place['path']}{page} ({where})"


def _listed(index: str, info: DocumentInfo) -> dict[str, Any]:
    state = "stale" if info.stale else "indexed" if info.chunks else "without_text"
    return {
        "doc_id": info.doc_id,
        "path": info.path,
        "title": info.title,
        "kind": info.kind,
        "pages": info.pages,
        "passages": info.chunks,
        "state": state,
        "uri": uri_of(index, info.doc_id),
    }


def _matches(path: str, wanted: str) -> bool:
    return wanted.casefold() in path.casefold() or fnmatch(path, wanted)


def _counted(documents: int, passages: int) -> str:
    return f"{documents} documents, {passages} passages"


def _is_open(sentence: Mapping[str, Any]) -> bool:
    return sentence["status"] not in ("quoted", "supported")


def _next(offset: int, total: int) -> int | None:
    return offset + MOST_LISTED if offset + MOST_LISTED < total else None


def _checked(k: int | None) -> int | None:
    if k is not None and not 1 <= k <= MOST_FOUND:
        msg = f"k must be from 1 to {MOST_FOUND}, not {k}"
        raise InputError(msg)
    return k
