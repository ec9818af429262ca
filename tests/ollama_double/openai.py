"""The test server's /v1: the same models in the shapes of OpenAI's interface."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from ollama_double.wire import JSON, PLAIN_JSON, SSE, Refusal, Stream, dump, full_name, to_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ollama_double.embed import Vectors
    from ollama_double.script import Fault, Reply
    from ollama_double.state import State
    from ollama_double.text import Words
    from ollama_double.wire import Body, Whole

_CREATED = 1787363302
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_UNKNOWN = "model '{name}' not found"
_LEVELS = {"none": False, "minimal": "low", "xhigh": "max", "ultra": "max"}


def refused(status: int, text: str, kind: str) -> Whole:
    """An error in OpenAI's shape, as JSON of this content type."""
    name = _TYPES.get(status, "api_error")
    error = {"message": text, "type": name, "param": None, "code": None}
    return to_whole({"error": error}, status, kind or PLAIN_JSON)


class OpenAI:
    """Answers the requests of an OpenAI client."""

    def __init__(self, state: State, words: Words, vectors: Vectors) -> None:
        self._state, self._words, self._vectors = state, words, vectors

    def models(self) -> Body:
        """GET /v1/models; data is null where there are none."""
        found = [_listed(model.name) for model in self._state.models.values()]
        return {"object": "list", "data": found or None}

    def model(self, name: str) -> Body:
        """GET /v1/models/:model."""
        missing = f"model '{full_name(name)}' not found".replace("{", "{{")
        self._state.find(name, missing, (404, "not found"))
        return _listed(name)

    def embeddings(self, body: Body, fault: Fault | None) -> Body | Whole:
        """POST /v1/embeddings: unit vectors, truncated texts, float or base64."""
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not texts:
            raise Refusal(400, "invalid input", JSON)
        if not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "invalid input type")
        if (form := body.get("encoding_format") or "float") not in ("float", "base64"):
            text = f"Invalid value for 'encoding_format' = {form}. "
            raise Refusal(400, f"{text}Supported values: ['float', 'base64'].", JSON)
        fields = {"input": texts, "truncate": True}
        reply = self._vectors.embed(body | fields, fault)
        if not isinstance(reply, dict):
            return reply
        as_text = body.get("encoding_format") == "base64"
        rows = [
            {"object": "embedding", "embedding": _base64(row) if as_text else row, "index": i}
            for i, row in enumerate(reply["embeddings"])
        ]
        tokens = reply.get("prompt_eval_count", 0)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": rows, "model": body["model"], "usage": usage}

    def chat(self, body: Body, _: Fault | None) -> Stream | Whole:
        """POST /v1/chat/completions."""
        model = self._state.find(body.get("model") or "", _UNKNOWN, (400, "model is required"))
        if not body.get("messages"):
            raise Refusal(400, "[] is too short - 'messages'", JSON)
        if model.embeds:
            raise Refusal(400, f'"{body["model"]}" does not support chat')
        inner = _translated(body)
        reply = self._words.speak(model, inner, inner["messages"])
        begun = reply.chunks or reply.thinking
        if body.get("stream") and (begun or reply.ending != "error"):
            return Stream(_chunks(body, reply), SSE)
        if reply.ending == "drop":
            return Stream(iter([None]))
        if reply.ending == "error":
            raise Refusal(500, reply.error)
        return to_whole(_completion(body, reply), kind=PLAIN_JSON)

    def completions(self, body: Body, _: Fault | None) -> Whole:
        """POST /v1/completions, not streamed."""
        model = self._state.find(body.get("model") or "", _UNKNOWN, (400, "model is required"))
        if model.embeds:
            raise Refusal(400, f'"{body["model"]}" does not support generate')
        inner = _translated(body | {"messages": [{"role": "user", "content": body["prompt"]}]})
        reply = self._words.speak(model, inner, inner["messages"])
        text = {"text": "".join(reply.chunks) + reply.last, "index": 0}
        choice = text | {"finish_reason": _reason(reply)}
        whole = _head(body, "text_completion") | {"id": "cmpl-1", "choices": [choice]}
        return to_whole(whole | {"usage": _usage(reply)}, kind=PLAIN_JSON)


def _translated(body: Body) -> Body:
    """The same request as /api/chat takes it; num_ctx, keep_alive and options have no way in."""
    effort = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema")
    names = {"max_tokens": "num_predict", "temperature": "temperature", "seed": "seed"}
    options = {ours: body[theirs] for theirs, ours in names.items() if theirs in body}
    messages = [m | {"content": _text(m.get("content"))} for m in body["messages"]]
    inner: Body = {"model": body["model"], "messages": messages, "options": options}
    inner["tools"] = body.get("tools")
    if effort:
        inner["think"] = _LEVELS.get(effort, effort)
    if form.get("type") in ("json_object", "json_schema"):
        inner["format"] = schema or "json"
    return inner


def _text(content: Any) -> str:
    """A message's text: parts of other kinds than text are left out."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _listed(name: str) -> Body:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "library"}


def _base64(row: Any) -> str:
    return b64encode(np.asarray(row, "<f4").tobytes()).decode()


def _reason(reply: Reply) -> str | None:
    if reply.ending == "eof":
        return None
    return "tool_calls" if reply.tool_calls else reply.done_reason


def _calls(reply: Reply) -> list[Body]:
    return [
        {
            "id": f"call_ab12cd3{i}",
            "index": i,
            "type": "function",
            "function": call | {"arguments": orjson.dumps(call["arguments"]).decode()},
        }
        for i, call in enumerate(reply.tool_calls)
    ]


def _usage(reply: Reply) -> Body:
    asked, said = reply.prompt_tokens or 0, len(reply.chunks)
    if reply.ending == "eof":  # the counts come with the last event
        asked = said = 0
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _head(body: Body, kind: str) -> Body:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": _CREATED,
        "model": body["model"],
        "system_fingerprint": "fp_ollama",
    }


def _completion(body: Body, reply: Reply) -> Body:
    message: Body = {"role": "assistant", "content": "".join(reply.chunks) + reply.last}
    if reply.thinking:
        message["reasoning"] = "".join(reply.thinking)
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": _reason(reply)}
    return _head(body, "chat.completion") | {"choices": [choice], "usage": _usage(reply)}


def _chunks(body: Body, reply: Reply) -> Iterator[bytes | None]:
    """Server-sent events; an error in mid-stream is an empty chunk, and no [DONE] follows."""
    deltas = [{"content": "", "reasoning": text} for text in reply.thinking]
    deltas += [{"content": text} for text in reply.chunks]
    if reply.tool_calls:
        deltas.append({"content": "", "tool_calls": _calls(reply)})  # type: ignore[dict-item]  # a list among texts
    for i, delta in enumerate(deltas):
        yield _sse(body, ({"role": "assistant"} if i == 0 else {}) | delta)
    if reply.ending != "done":
        yield None if reply.ending == "drop" else _sse(body, {"content": ""})
        return
    if reply.last:
        yield _sse(body, {"content": reply.last})
    yield _sse(body, {}, _reason(reply))
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"choices": [], "usage": _usage(reply)}
        yield b"data: " + dump(_head(body, "chat.completion.chunk") | usage) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _sse(body: Body, delta: Body, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    event = _head(body, "chat.completion.chunk") | {"choices": [choice]}
    return b"data: " + dump(event) + b"\n\n"
