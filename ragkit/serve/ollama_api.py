"""The indexes to clients of Ollama: each is a model, ``NAME:latest``."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ragkit._version import __version__
from ragkit.errors import IndexNotFoundError, InputError, RagkitError
from ragkit.protocols import ThinkingDelta
from ragkit.records import Answer
from ragkit.serve.answer_text import AnswerText, PassageLinks
from ragkit.serve.bodies import given_text, read_object
from ragkit.serve.chat_history import read_messages
from ragkit.serve.failures import json_bytes, json_reply, told
from ragkit.serve.registry import TAG
from ragkit.serve.serving import Attended, ServedQuestion, StreamedReply, begun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.requests import Request

    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.query.answer import AnswerEvent
    from ragkit.serve.serving import Serving

OLLAMA_VERSION = "0.32.15"
"""Clients parse each part as a number, and ask for the version whose API this is."""

RUNNING = "Ollama is running"
NDJSON = "application/x-ndjson"
FAMILY = "ragkit"
_NO_MANAGING = "ragkit indexes are not managed through this API"


class OllamaAPI:
    """Answers as an Ollama server does, for indexes."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def routes(self) -> list[Route]:
        """The routes below ``/api``."""
        return [
            Route("/api/version", self.version),
            Route("/api/tags", self.tags),
            Route("/api/ps", self.running),
            Route("/api/show", self.show, methods=["POST"]),
            Route("/api/chat", Attended(self.chat), methods=["POST"]),
            *(
                Route(f"/api/{verb}", self.refuse, methods=["POST", "DELETE"])
                for verb in ("delete", "create", "copy", "push")
            ),
        ]

    async def version(self, _request: Request) -> Response:
        """The version whose API this is, and ragkit's own."""
        return json_reply({"version": OLLAMA_VERSION, "ragkit": __version__})

    async def tags(self, _request: Request) -> Response:
        """All indexes, as models; one that cannot be opened is left out."""
        models = [card async for card in self._cards()]
        return json_reply({"models": models})

    async def running(self, _request: Request) -> Response:
        """No model is in memory that could be named."""
        return json_reply({"models": []})

    async def show(self, request: Request) -> Response:
        """An index as a model that chats."""
        name = self._named(await read_object(request))
        async with self._serving.indexes.using(name) as rag:
            card = await _card(name, rag)
            window = rag.pipeline.config.answer.num_ctx
            stats = await rag.stats()
        info = {
            "general.architecture": FAMILY,
            "general.basename": name,
            "general.parameter_count": 0,
            f"{FAMILY}.context_length": window,
            f"{FAMILY}.embedding_length": stats.dim,
        }
        shown = {
            "modelfile": f"# the ragkit index {name}",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "license": "",
            "details": card["details"],
            "model_info": info,
            "capabilities": ["completion"],
            "modified_at": card["modified_at"],
        }
        return json_reply(shown)

    async def chat(self, request: Request) -> Response:
        """Answer the last message of a conversation."""
        body = await read_object(request)
        name = self._named(body)
        history = read_messages(body.get("messages"), self._serving.settings.max_messages)
        question = ServedQuestion(history.question, history.turns, history.system)
        return await self._answered(request, body, name, question)

    async def refuse(self, _request: Request) -> Response:
        """Refuse what would change models: a click in a client never touches an index."""
        raise HTTPException(403, _NO_MANAGING)

    async def _answered(
        self, request: Request, body: dict[str, Any], name: str, question: ServedQuestion
    ) -> Response:
        question = replace(question, settings=question_settings(body))
        links = PassageLinks(str(request.base_url).rstrip("/"), name)
        reply = OllamaReply(
            str(body.get("model") or body.get("name")),
            AnswerText(question.text, links),
            thinks=bool(body.get("think")),
        )
        events = await begun(self._serving.answer(name, question))
        if body.get("stream", True) is False:
            return json_reply(await reply.whole(events))
        return StreamedReply(reply.lines(events), NDJSON)

    def _named(self, body: dict[str, Any]) -> str:
        """The index that a body names, as ``model`` or, as before, ``name``.

        Raises:
            InputError: It names none.
            HTTPException: There is none of that name; 404.
        """
        name = given_text(body, "model", "name")
        if not name:
            msg = "model is required"
            raise InputError(msg)
        try:
            return self._serving.indexes.find(name)
        except IndexNotFoundError as exc:
            raise HTTPException(404, f"model '{name}' not found") from exc

    async def _cards(self) -> AsyncIterator[dict[str, Any]]:
        for name in self._serving.indexes.names():
            try:
                async with self._serving.indexes.using(name) as rag:
                    yield await _card(name, rag)
            except RagkitError as exc:  # one damaged index must not hide the others
                told(exc)


async def _card(name: str, rag: AsyncPipeline) -> dict[str, Any]:
    """An index as the list of models shows one."""
    stats, runs = await rag.stats(), await rag.log(1)
    changed = runs[0].finished_at or runs[0].started_at if runs else "1970-01-01T00:00:00+00:00"
    state = f"{rag.pipeline.path}\0{stats.generation}"
    return {
        "name": f"{name}{TAG}",
        "model": f"{name}{TAG}",
        "modified_at": datetime.fromisoformat(changed).astimezone(UTC).isoformat(),
        "size": stats.size_bytes,
        "digest": hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest(),
        "details": {
            "parent_model": "",
            "format": FAMILY,
            "family": FAMILY,
            "families": [FAMILY],
            "parameter_size": f"{stats.documents} documents",
            "quantization_level": "",
        },
    }


def question_settings(body: dict[str, Any]) -> dict[str, Any]:
    """The settings that a request's options stand for; the window is not the client's to choose.

    Raises:
        InputError: One is no number.
    """
    options = body.get("options") or {}
    if not isinstance(options, dict):
        msg = "options must be an object"
        raise InputError(msg)
    found = {
        "answer.temperature": options.get("temperature"),
        "answer.seed": options.get("seed"),
        "answer.reserve_tokens": options.get("num_predict"),
    }
    for name, value in found.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            msg = f"the option for {name} must be a number, not {value!r:.40}"
            raise InputError(msg)
    if (found["answer.reserve_tokens"] or 0) <= 0:  # -1: as much as the model likes
        found["answer.reserve_tokens"] = None
    return {name: value for name, value in found.items() if value is not None}


class OllamaReply:
    """Makes the lines of a reply of an answer as it comes; each has every field.

    Args:
        model: As the client named it.
        text: Makes text of the answer.
        thinks: Whether the client wants the model's reasoning.
    """

    def __init__(self, model: str, text: AnswerText, *, thinks: bool) -> None:
        self._model, self._text, self._thinks = model, text, thinks
        self._began = time.perf_counter_ns()
        self._first: int | None = None

    async def lines(self, events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[bytes, None]:
        """The lines of a stream; what fails after the first is told by the last."""
        try:
            async for event in events:
                for line in self._lines_of(event):
                    yield json_bytes(line) + b"\n"
        except Exception as exc:  # noqa: BLE001 -- the status is sent: told in the last line
            yield json_bytes({"error": told(exc)[2]}) + b"\n"
        finally:
            await events.aclose()

    async def whole(self, events: AsyncGenerator[AnswerEvent, None]) -> dict[str, Any]:
        """The one object of a reply that is not streamed."""
        content, thinking, last = "", "", dict[str, Any]()
        async for event in events:
            for last in self._lines_of(event):
                content += last["message"]["content"]
                thinking += last["message"].get("thinking", "")
        last["message"] = self._message(content, thinking)
        return last

    def _lines_of(self, event: AnswerEvent) -> list[dict[str, Any]]:
        if self._first is None:
            self._first = time.perf_counter_ns()
        if isinstance(event, Answer):
            return [self._line(self._text.ending(event)), self._last(event)]
        thinking = event.text if self._thinks and isinstance(event, ThinkingDelta) else ""
        content = self._text.piece(event)
        return [self._line(content, thinking)] if content or thinking else []

    def _line(self, content: str, thinking: str = "") -> dict[str, Any]:
        return {
            "model": self._model,
            "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "message": self._message(content, thinking),
            "done": False,
        }

    def _message(self, content: str, thinking: str) -> dict[str, str]:
        message = {"role": "assistant", "content": content}
        return message | {"thinking": thinking} if thinking else message

    def _last(self, answer: Answer) -> dict[str, Any]:
        now = time.perf_counter_ns()
        first = self._first or now
        receipt = answer.receipt
        return self._line("") | {
            "done": True,
            "done_reason": "length" if receipt.done_reason == "length" else "stop",
            "total_duration": max(1, now - self._began),
            "load_duration": 1,
            "prompt_eval_count": receipt.prompt_tokens or receipt.prompt_tokens_estimated,
            "prompt_eval_duration": max(1, first - self._began),
            "eval_count": receipt.answer_tokens or 0,
            "eval_duration": max(1, now - first),
            "sources": answer.citations,
            "ragkit": answer,
        }


def running_text() -> Response:
    """What Ollama says at its root, which clients ask to know that it is there."""
    return PlainTextResponse(RUNNING)
