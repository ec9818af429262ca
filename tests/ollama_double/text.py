"""The test server's words: /api/generate, /api/chat, and what /v1/chat/completions stands on."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any

from ollama_double.models import answer, count_tokens
from ollama_double.script import Reply
from ollama_double.wire import CREATED_AT, Refusal, Stream, lines, to_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ollama_double.models import Model
    from ollama_double.script import Fault
    from ollama_double.state import State
    from ollama_double.wire import Body, Whole

_PROMPT_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; "
    "shorten the prompt or raise num_ctx"
)
_UNKNOWN = "model '{name}' not found"
_LEVELS = ("low", "medium", "high", "max")
_TYPES = {
    "temperature": (float, "float32"),
    "top_p": (float, "float32"),
    "num_ctx": (int, "integer"),
    "num_predict": (int, "integer"),
    "seed": (int, "integer"),
}
_MOST_LOGPROBS = 20


class Words:
    """Answers requests for text as the server of the chosen family does.

    Args:
        state: The models.
        replies: Scripted replies, used up in order before a model answers by itself.
    """

    def __init__(self, state: State, replies: list[Reply]) -> None:
        self._state, self._replies = state, replies

    def generate(self, body: Body, _: Fault | None) -> Stream | Whole:
        """/api/generate."""
        model = self._state.find(body.get("model") or "", _UNKNOWN, (404, "model '' not found"))
        prompt = body.get("prompt") or ""
        if not prompt and body.get("keep_alive") == 0:
            return self._loaded(model, body, {"response": ""})
        if model.embeds:
            raise Refusal(400, f'"{body["model"]}" does not support generate')
        if body.get("raw") and any(body.get(field) for field in ("template", "system", "context")):
            raise Refusal(400, "raw mode does not support template, system, or context")
        if not prompt:
            return self._loaded(model, body, {"response": ""})
        system = body.get("system") or model.system
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt, "images": body.get("images")})
        reply = self.speak(model, body, messages)
        events = _events(body, reply, _generated)
        return _delivered(body, events, _whole_generate)

    def chat(self, body: Body, _: Fault | None) -> Stream | Whole:
        """/api/chat."""
        model = self._state.find(body.get("model") or "", _UNKNOWN, (400, "model is required"))
        if model.embeds:
            raise Refusal(400, f'"{body["model"]}" does not support chat')
        messages = body.get("messages") or []
        if not messages:
            empty = {"message": {"role": "assistant", "content": ""}}
            return self._loaded(model, body, empty)
        if model.system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": model.system}, *messages]
        reply = self.speak(model, body, messages)
        return _delivered(body, _events(body, reply, _chatted), _whole_chat)

    def speak(self, model: Model, body: Body, messages: list[Body]) -> Reply:
        """What the model says to a conversation: scripted, or its own answer."""
        _check(model, body)
        _check_options(body.get("options") or {})
        for message in messages:
            _check_message(message)
        self._state.touch(model, body)
        options = body.get("options") or {}
        window = options.get("num_ctx", 4096)
        tokens = sum(count_tokens(message["content"] or "") for message in messages)
        if tokens > window:
            if self._state.settings.family == "new" and body.get("shift") is False:
                raise Refusal(400, _PROMPT_TOO_LONG)
            tokens = window // 2
        if self._replies:
            scripted = self._replies.pop(0)
            return scripted if scripted.prompt_tokens is not None else _counted(scripted, tokens)
        return _own_reply(model, body, messages, tokens)

    def _loaded(self, model: Model, body: Body, empty: Body) -> Whole:
        self._state.touch(model, body)
        reason = "unload" if body.get("keep_alive") == 0 else "load"
        head = {"model": body["model"], "created_at": CREATED_AT}
        return to_whole(head | empty | {"done": True, "done_reason": reason})


def _counted(reply: Reply, tokens: int) -> Reply:
    return Reply(**(vars(reply) | {"prompt_tokens": tokens}))


def _check(model: Model, body: Body) -> None:
    """Refuse what the server refuses before the first byte."""
    name, think = body["model"], body.get("think")
    if isinstance(think, str) and think not in _LEVELS:
        raise Refusal(400, f'invalid think value: "{think}" (must be one of {_LEVELS})')
    if think and "thinking" not in model.capabilities:
        raise Refusal(400, f'"{name}" does not support thinking')
    if body.get("tools") and "tools" not in model.capabilities:
        full = f"registry.ollama.ai/library/{model.name}"
        raise Refusal(400, f"{full} does not support tools")
    if not 0 <= (body.get("top_logprobs") or 0) <= _MOST_LOGPROBS:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    if body.get("format") not in (None, "", "json") and not isinstance(body["format"], dict):
        raise Refusal(500, f'invalid format: "{body["format"]}"; expected "json" or a JSON Schema')


def _check_options(options: Body) -> None:
    for option, (kind, word) in _TYPES.items():
        value = options.get(option, 0)
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            raise Refusal(500, f'option "{option}" must be of type {word}')


def _check_message(message: Body) -> None:
    if not isinstance(message.get("content"), str | None):
        text = "json: cannot unmarshal array into Go struct field Message.content of type string"
        raise Refusal(400, text)
    _check_images(message.get("images") or ())


def _check_images(images: list[str] | tuple[()]) -> None:
    for image in images:
        try:
            b64decode(image, validate=True)
        except Base64Error:
            raise Refusal(400, "illegal base64 data at input byte 4") from None


def _own_reply(model: Model, body: Body, messages: list[Body], tokens: int) -> Reply:
    called = _called_tool(body.get("tools") or [], messages[-1]["content"] or "")
    if called:
        return Reply(tool_calls=(called,), prompt_tokens=tokens)
    text = _conforming(body.get("format")) or answer(messages)
    thinks = "thinking" in model.capabilities and body.get("think", True)
    pieces = [text[i : i + 6] for i in range(0, len(text), 6)]
    allowed = (body.get("options") or {}).get("num_predict", -1)
    cut = 0 <= allowed < len(pieces)
    return Reply(
        tuple(pieces[:allowed] if cut else pieces),
        thinking=("Which passage says it?",) if thinks else (),
        done_reason="length" if cut else "stop",
        prompt_tokens=tokens,
    )


def _called_tool(tools: list[Body], text: str) -> Body | None:
    """The first tool whose name occurs in the question, with a sample of each argument."""
    for tool in tools:
        function = tool["function"]
        if function["name"] in text:
            return {"name": function["name"], "arguments": _sample(function["parameters"])}
    return None


def _conforming(form: Any) -> str:
    if form == "json":
        return '{"answer": "yes"}'
    return json.dumps(_sample(form)) if isinstance(form, dict) else ""


def _sample(schema: Body) -> Any:
    """A value that a JSON schema allows."""
    if schema.get("type", "object") == "object":
        return {name: _sample(inner) for name, inner in schema.get("properties", {}).items()}
    samples = {"integer": 7, "number": 0.5, "boolean": True, "array": []}
    return samples.get(schema["type"], "text")


def _generated(text: str, thinking: str, _: list[Body]) -> Body:
    return {"response": text} | ({"thinking": thinking} if thinking else {})


def _chatted(text: str, thinking: str, calls: list[Body]) -> Body:
    message: Body = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def _events(body: Body, reply: Reply, shape: Any) -> Iterator[Body | None]:
    head = {"model": body["model"], "created_at": CREATED_AT}
    for text in reply.thinking:
        yield head | shape("", text, []) | {"done": False}
    for text in reply.chunks:
        yield head | shape(text, "", []) | {"done": False} | _logprobs(body, text)
    if reply.tool_calls:
        calls = [
            {"id": f"call_ab12cd3{i}", "function": {"index": i, **call}}
            for i, call in enumerate(reply.tool_calls)
        ]
        yield head | shape("", "", calls) | {"done": False}
    if reply.ending == "error":
        yield {"error": reply.error}
    elif reply.ending == "drop":
        yield None
    elif reply.ending == "done":
        last = head | shape(reply.last, "", []) | {"done": True, "done_reason": reply.done_reason}
        yield last | _metrics(reply) | ({"context": [1, 2, 3]} if "response" in last else {})


def _metrics(reply: Reply) -> Body:
    found = {
        "total_duration": 900000000,
        "load_duration": 50000000,
        "prompt_eval_count": reply.prompt_tokens,
        "prompt_eval_duration": 130000000,
        "eval_count": len(reply.chunks),
        "eval_duration": 40000000,
    }
    return {name: value for name, value in found.items() if value}


def _logprobs(body: Body, text: str) -> Body:
    if not body.get("logprobs"):
        return {}
    token = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    others = [
        {"token": f"{text}{i}", "logprob": -0.25 - i, "bytes": list(f"{text}{i}".encode())}
        for i in range(body.get("top_logprobs") or 0)
    ]
    return {"logprobs": [token | ({"top_logprobs": others} if others else {})]}


def _delivered(body: Body, events: Iterator[Body | None], join: Any) -> Stream | Whole:
    if body.get("stream", True):
        return Stream(lines(events))
    given = list(events)
    last = given[-1] if given else None
    if given and last is None:
        return Stream(iter([None]))
    if last and "error" in last:
        raise Refusal(500, last["error"])
    said = [event for event in given if event]
    logprobs = [token for event in said for token in event.pop("logprobs", ())]
    head = dict(said[-1]) if said else {"model": body["model"], "created_at": CREATED_AT}
    return to_whole(join(head, said) | ({"logprobs": logprobs} if logprobs else {}))


def _whole_generate(last: Body, said: list[Body]) -> Body:
    whole = last | {"response": "".join(event["response"] for event in said)}
    thought = "".join(event.get("thinking", "") for event in said)
    return whole | ({"thinking": thought} if thought else {})


def _whole_chat(last: Body, said: list[Body]) -> Body:
    messages = [event["message"] for event in said]
    text, thought = (
        "".join(message.get(field, "") for message in messages) for field in ("content", "thinking")
    )
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    return last | _chatted(text, thought, calls)
