"""The indexes to clients of OpenAI: each is a model, by its name."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from ragkit.errors import InputError, RagkitError
from ragkit.serve.answer_text import AnswerText, PassageLinks
from ragkit.serve.bodies import answer_settings, given_text, read_object
from ragkit.serve.chat_history import read_messages
from ragkit.serve.failures import json_reply, told
from ragkit.serve.openai_reply import OpenAIReply
from ragkit.serve.serving import Attended, ServedQuestion, StreamedReply, begun
from ragkit.serve.task_prompts import is_task
from ragkit.serve.text_vectors import embed_texts, read_texts
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.protocols import Vectors
    from ragkit.serve.pass_through import PassThrough
    from ragkit.serve.serving import Serving

SSE = "text/event-stream"
_OPEN_WEBUI = "x-openwebui-chat-id"
_FORMATS = ("float", "base64")


class OpenAIAPI:
    """Answers as a server of OpenAI's interface does, for indexes.

    Args:
        serving: The indexes.
        others: Has what names another model answered elsewhere.
    """

    def __init__(self, serving: Serving, others: PassThrough) -> None:
        self._serving, self._others = serving, others

    def routes(self) -> list[Route]:
        """The routes below ``/v1``."""
        around = self._others.around
        return [
            Route("/v1/models", self.models),
            Route("/v1/models/{name:path}", self.model),
            Route("/v1/chat/completions", Attended(around(self.chat)), methods=["POST"]),
            Route("/v1/embeddings", Attended(around(self.embeddings)), methods=["POST"]),
        ]

    async def models(self, _request: Request) -> Response:
        """All indexes, as models; one that cannot be opened is left out. Then other models."""
        found = []
        for name in self._serving.indexes.names():
            try:
                async with self._serving.indexes.using(name) as rag:
                    found.append(await _card(name, rag))
            except RagkitError as exc:  # one damaged index must not hide the others
                told(exc)
        found += map(_other_card, await self._others.models())
        return json_reply({"object": "list", "data": found})

    async def model(self, request: Request) -> Response:
        """One index, or another model, as a model."""
        asked = request.path_params["name"]
        other = next((m for m in await self._others.models() if m["name"] == asked), None)
        if other is not None:
            return json_reply(_other_card(other))
        name = self._serving.find_model(asked)
        async with self._serving.indexes.using(name) as rag:
            return json_reply(await _card(name, rag))

    async def chat(self, request: Request) -> Response:
        """Answer the last message of a conversation."""
        body = await read_object(request)
        name = self._serving.find_model(given_text(body, "model"))
        history = read_messages(body.get("messages"), self._serving.settings.max_messages)
        question = ServedQuestion(
            history.question,
            history.turns,
            history.system,
            answer_settings(
                temperature=body.get("temperature"),
                seed=body.get("seed"),
                tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            ),
            is_task=is_task(history.question),
        )
        links = PassageLinks(str(request.base_url).rstrip("/"), name)
        options = body.get("stream_options")
        reply = OpenAIReply(
            body["model"],
            AnswerText(question.text, links),
            counts=isinstance(options, dict) and bool(options.get("include_usage")),
            as_events=self._serving.settings.open_webui_events or _OPEN_WEBUI in request.headers,
        )
        events = await begun(self._serving.answer(name, question))
        if body.get("stream") is True:
            return StreamedReply(reply.chunks(events), SSE)
        return json_reply(await reply.whole(events))

    async def embeddings(self, request: Request) -> Response:
        """The vectors that an index's own embedder makes of texts."""
        body = await read_object(request)
        texts = read_texts(body.get("input"))
        if not texts:
            msg = "input is empty"
            raise InputError(msg)
        form = body.get("encoding_format") or "float"
        if form not in _FORMATS:
            msg = f"encoding_format must be one of {', '.join(_FORMATS)}"
            raise InputError(msg)
        async with self._serving.indexes.using(
            self._serving.find_model(given_text(body, "model"))
        ) as rag:
            made = await embed_texts(rag, texts, body.get("dimensions"))
        tokens = sum(map(estimate_tokens, texts))
        data = [
            {"object": "embedding", "index": i, "embedding": _encoded(row, form)}
            for i, row in enumerate(made)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_reply({"object": "list", "data": data, "model": body["model"], "usage": usage})


async def _card(name: str, rag: AsyncPipeline) -> dict[str, Any]:
    """An index as the list of models shows one."""
    runs = await rag.log(1)
    changed = datetime.fromisoformat(runs[0].started_at).timestamp() if runs else 0
    return {"id": name, "object": "model", "created": int(changed), "owned_by": "ragkit"}


def _other_card(model: dict[str, Any]) -> dict[str, Any]:
    """Another server's model as the list of models shows one."""
    try:
        changed = datetime.fromisoformat(str(model.get("modified_at"))).timestamp()
    except ValueError:
        changed = 0
    return {"id": model["name"], "object": "model", "created": int(changed), "owned_by": "library"}


def _encoded(row: Vectors, form: str) -> Any:  # noqa: ANN401 -- a list or a text
    if form == "float":
        return row.tolist()
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
