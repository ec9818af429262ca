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
from ragkit.errors import InputError, RagkitError
from ragkit.serve.answer_text import NO_LINKS, AnswerText, PassageLinks
from ragkit.serve.bodies import answer_settings, given_text, read_object
from ragkit.serve.chat_history import NO_IMAGES, cut_system, read_messages
from ragkit.serve.failures import json_bytes, json_reply, told
from ragkit.serve.ollama_reply import OllamaReply, Shape
from ragkit.serve.registry import TAG
from ragkit.serve.serving import Attended, ServedQuestion, StreamedReply, begun
from ragkit.serve.task_prompts import is_task
from ragkit.serve.text_vectors import embed_texts, read_texts
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.serve.pass_through import PassThrough
    from ragkit.serve.serving import Serving

OLLAMA_VERSION = "0.32.15"
"""Clients parse each part as a number, and ask for the version whose API this is."""

RUNNING = "Ollama is running"
NDJSON = "application/x-ndjson"
FAMILY = "ragkit"
_NO_MANAGING = "ragkit indexes are not managed through this API"


class OllamaAPI:
    """Answers as an Ollama server does, for indexes.

    Args:
        serving: The indexes.
        others: Has what names another model answered elsewhere.
    """

    def __init__(self, serving: Serving, others: PassThrough) -> None:
        self._serving, self._others = serving, others

    def routes(self) -> list[Route]:
        """The routes below ``/api``."""
        around = self._others.around
        return [
            Route("/api/version", self.version),
            Route("/api/tags", self.tags),
            Route("/api/ps", self.running),
            Route("/api/show", Attended(around(self.show)), methods=["POST"]),
            Route("/api/chat", Attended(around(self.chat)), methods=["POST"]),
            Route("/api/generate", Attended(around(self.generate)), methods=["POST"]),
            Route("/api/embed", Attended(around(self.embed)), methods=["POST"]),
            Route("/api/embeddings", Attended(around(self.embeddings)), methods=["POST"]),
            Route("/api/pull", self.pull, methods=["POST"]),
            *(
                Route(f"/api/{verb}", self.refuse, methods=["POST", "DELETE"])
                for verb in ("delete", "create", "copy", "push")
            ),
        ]

    async def version(self, _request: Request) -> Response:
        """The version whose API this is, and ragkit's own."""
        return json_reply({"version": OLLAMA_VERSION, "ragkit": __version__})

    async def tags(self, _request: Request) -> Response:
        """All indexes, as models; one that cannot be opened is left out. Then other models."""
        models = [card async for card in self._cards()]
        return json_reply({"models": models + await self._others.models()})

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
        if not body.get("messages"):  # what loads a model, or lets it go
            return json_reply(_reply(body, "", "chat").loaded(_loading(body)))
        history = read_messages(body["messages"], self._serving.settings.max_messages)
        question = ServedQuestion(history.question, history.turns, history.system)
        return await self._answered(request, body, name, question)

    async def generate(self, request: Request) -> Response:
        """Answer a prompt."""
        body = await read_object(request)
        name = self._named(body)
        prompt = given_text(body, "prompt")
        if given_text(body, "suffix"):
            msg = f'"{name}" does not support insert'
            raise InputError(msg)
        if body.get("images"):
            raise InputError(NO_IMAGES)
        if not prompt:
            return json_reply(_reply(body, "", "generate").loaded(_loading(body)))
        system = cut_system(given_text(body, "system"))
        return await self._answered(request, body, name, ServedQuestion(prompt, system=system))

    async def embed(self, request: Request) -> Response:
        """The vectors that an index's own embedder makes of texts."""
        began = time.perf_counter_ns()
        body = await read_object(request)
        given = body.get("input")
        texts = read_texts([] if given is None or given == "" else given)
        async with self._serving.indexes.using(self._named(body)) as rag:
            made = await embed_texts(rag, texts, body.get("dimensions")) if texts else None
        reply: dict[str, Any] = {"model": body.get("model") or body.get("name")}
        if made is None:
            return json_reply(reply | {"embeddings": []})
        return json_reply(
            reply
            | {
                "embeddings": made.tolist(),
                "total_duration": max(1, time.perf_counter_ns() - began),
                "load_duration": 1,
                "prompt_eval_count": sum(map(estimate_tokens, texts)),
            }
        )

    async def embeddings(self, request: Request) -> Response:
        """The vector of one text, in the older form."""
        body = await read_object(request)
        prompt = given_text(body, "prompt")
        async with self._serving.indexes.using(self._named(body)) as rag:
            made = (await embed_texts(rag, [prompt]))[0].tolist() if prompt else []
        return json_reply({"embedding": made})

    async def pull(self, request: Request) -> Response:
        """Say that an index is there; nothing is ever downloaded."""
        body = await read_object(request)
        self._named(body)
        reply = json_bytes({"status": "success"})
        is_streamed = body.get("stream", True) is not False
        return Response(reply + b"\n", media_type=NDJSON if is_streamed else "application/json")

    async def refuse(self, _request: Request) -> Response:
        """Refuse what would change models: a click in a client never touches an index."""
        raise HTTPException(403, _NO_MANAGING)

    async def _answered(
        self, request: Request, body: dict[str, Any], name: str, question: ServedQuestion
    ) -> Response:
        question = replace(
            question, settings=question_settings(body), is_task=is_task(question.text)
        )
        shape: Shape = "generate" if request.url.path.endswith("/generate") else "chat"
        links = PassageLinks(str(request.base_url).rstrip("/"), name)
        reply = _reply(body, question.text, shape, links)
        events = await begun(self._serving.answer(name, question))
        if body.get("stream", True) is False:
            return json_reply(await reply.whole(events))
        return StreamedReply(reply.lines(events), NDJSON)

    def _named(self, body: dict[str, Any]) -> str:
        """The index that a body names, as ``model`` or, as before, ``name``."""
        return self._serving.find_model(given_text(body, "model", "name"))

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


def _reply(
    body: dict[str, Any], question: str, shape: Shape, links: PassageLinks = NO_LINKS
) -> OllamaReply:
    model = str(body.get("model") or body.get("name"))
    thinks = bool(body.get("think"))
    return OllamaReply(model, AnswerText(question, links), shape=shape, thinks=thinks)


def _loading(body: dict[str, Any]) -> str:
    """What a request without a question does, in Ollama's words."""
    return "unload" if body.get("keep_alive") in (0, "0", "0s") else "load"


def question_settings(body: dict[str, Any]) -> dict[str, Any]:
    """The settings that a request's options stand for; the window is not the client's to choose.

    Raises:
        InputError: One is no number.
    """
    options = body.get("options") or {}
    if not isinstance(options, dict):
        msg = "options must be an object"
        raise InputError(msg)
    return answer_settings(
        temperature=options.get("temperature"),
        seed=options.get("seed"),
        tokens=options.get("num_predict"),
    )


def running_text() -> Response:
    """What Ollama says at its root, which clients ask to know that it is there."""
    return PlainTextResponse(RUNNING)
