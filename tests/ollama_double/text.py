"""The test server's words: /api/generate, /api/chat, and what /v1/chat/completions stands on."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import replace
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any

from ollama_double.models import answer, count_tokens
from ollama_double.script import Reply
from ollama_double.wire import (
    CREATED_AT,
    JSON,
    PLAIN_JSON,
    Refusal,
    Stream,
    check_template,
    inner_refusal,
    lines,
    to_whole,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ollama_double.models import Model
    from ollama_double.script import Fault
    from ollama_double.state import State
    from ollama_double.wire import Body, Whole

_PROMPT_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the "
    "prompt, adjust the context length in settings, or use a model with a longer context length"
)
_UNKNOWN = "model '{name}' not found"
_NO_IMAGES = "Multimodal data provided, but model does not support multimodal requests."
_LEVELS = ("high", "medium", "low", "max")
_SCHEMA_TYPES = {None, "object", "array", "string", "number", "integer", "boolean", "null"}
_STEP, _DEFAULT_WINDOW = 256, 4096
_MOST_REPEATS = 30
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
        self._refuse_far(body)
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
        check_template(body.get("template") or "")
        system = body.get("system") or model.system
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt, "images": body.get("images")})
        if body.get("_debug_render_only"):
            return _rendered(model, body, {"response": ""}, messages)
        reply = self.speak(model, body, messages)
        events = _events(body, reply, _generated)
        return _delivered(body, events, _whole_generate)

    def chat(self, body: Body, _: Fault | None) -> Stream | Whole:
        """/api/chat."""
        self._refuse_far(body)
        model = self._state.find(body.get("model") or "", _UNKNOWN, (400, "model is required"))
        if model.embeds:
            raise Refusal(400, f'"{body["model"]}" does not support chat')
        messages = body.get("messages") or []
        if not messages:
            empty = {"message": {"role": "assistant", "content": ""}}
            return self._loaded(model, body, empty)
        if model.system and messages[0].get("role") != "system":
            messages = [{"role": "system", "content": model.system}, *messages]
        if body.get("_debug_render_only"):
            return _rendered(model, body, {"message": {"role": "", "content": ""}}, messages)
        reply = self.speak(model, body, messages)
        return _delivered(body, _events(body, reply, _chatted), _whole_chat)

    def speak(self, model: Model, body: Body, messages: list[Body]) -> Reply:
        """What the model says to a conversation: scripted, or its own answer."""
        options = model.options | (body.get("options") or {})
        _check(model, body)
        check_options(options)
        for message in messages:
            _check_images(message.get("images") or ())
        if self._new:
            _check_runner(model, body, messages)
        self._state.touch(model, body)
        tokens = self._read(model, body, messages, options)
        if not self._replies:
            return _own_reply(model, body, messages, tokens)
        scripted = self._replies.pop(0)
        if scripted.prompt_tokens is None:
            scripted = replace(scripted, prompt_tokens=tokens)
        return until_repeated(scripted) if self._new else scripted

    def _refuse_far(self, body: Body) -> None:
        """Refuse a model that runs elsewhere, where nothing elsewhere can be reached."""
        name = body.get("model") or ""
        if self._state.settings.offline and name.endswith((":cloud", "-cloud")):
            text = 'Post "https://ollama.com:443/api/generate?ts=1787338102": '
            raise Refusal(502, f"{text}{unreachable('ollama.com')}")

    @property
    def _new(self) -> bool:
        return self._state.settings.family == "new"

    def _read(self, model: Model, body: Body, messages: list[Body], options: Body) -> int:
        """How many tokens of a prompt the model reads; refuses one over the window, or cuts it."""
        window = min(options.get("num_ctx", _DEFAULT_WINDOW), model.context)
        window = -(-window // _STEP) * _STEP if self._new else window
        sizes = [
            math.ceil(model.fertility * count_tokens(message.get("content") or ""))
            for message in messages
        ]
        if sum(sizes) <= window:
            return sum(sizes)
        if self._new and body.get("truncate") is False:
            text = f"request ({sum(sizes)} tokens) exceeds the available context size "
            text += f"({window} tokens), try increasing it"
            counts = {"n_prompt_tokens": sum(sizes), "n_ctx": window}
            text = inner_refusal(text, "exceed_context_size_error", **counts)
            raise Refusal(400, text, _runner_kind(body))
        if self._new and body.get("shift") is False and sizes[-1] > window:
            raise Refusal(400, _PROMPT_TOO_LONG, _runner_kind(body))
        kept = sum(
            size
            for message, size in zip(messages, sizes, strict=True)
            if message is messages[-1] or message.get("role") == "system"
        )
        return kept if kept <= window else window // 2 + 2 * self._new

    def _loaded(self, model: Model, body: Body, empty: Body) -> Whole:
        self._state.touch(model, body)
        reason = "unload" if body.get("keep_alive") == 0 else "load"
        head = {"model": body["model"], "created_at": CREATED_AT}
        return to_whole(head | empty | {"done": True, "done_reason": reason})


def until_repeated(reply: Reply) -> Reply:
    """A reply as far as the server lets it come: not beyond thirty repeats of one piece."""
    repeats = 0
    for i, (before, piece) in enumerate(pairwise(reply.chunks), 2):
        repeats = repeats + 1 if piece == before else 0
        if repeats == _MOST_REPEATS:
            return replace(reply, chunks=reply.chunks[:i], ending="eof")
    return reply


def _rendered(model: Model, body: Body, empty: Body, messages: list[Body]) -> Whole:
    """The prompt that a model would get, by the one template that is understood here: ChatML's."""
    prompt = "".join(message.get("content") or "" for message in messages)
    if "<|im_start|>" in model.template:
        turns = (f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        prompt = f"{''.join(turns)}<|im_start|>assistant\n"
    head = {"model": body["model"], "created_at": CREATED_AT}
    debug = {"_debug_info": {"rendered_template": prompt}}
    return to_whole(head | empty | {"done": False} | debug)


def _runner_kind(body: Body) -> str:
    """The content type of a refusal by the runner, to which a stream has begun by then."""
    return PLAIN_JSON if body.get("stream", True) else JSON


def _check(model: Model, body: Body) -> None:
    """Refuse what the server refuses before the first byte."""
    name, think = body["model"], body.get("think")
    if isinstance(think, str) and think not in _LEVELS:
        levels = ", ".join(f'"{level}"' for level in _LEVELS)
        raise Refusal(400, f'invalid think value: "{think}" (must be {levels}, true, or false)')
    if think and "thinking" not in model.capabilities:
        raise Refusal(400, f'"{name}" does not support thinking')
    for field, needed in (("tools", "tools"), ("suffix", "insert")):
        if body.get(field) and needed not in model.capabilities:
            full = f"registry.ollama.ai/library/{model.name}"
            raise Refusal(400, f"{full} does not support {needed}")
    if not 0 <= (body.get("top_logprobs") or 0) <= _MOST_LOGPROBS:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    if body.get("format") not in (None, "", "json") and not isinstance(body["format"], dict):
        given = json.dumps(json.dumps(body["format"]))
        text = f'invalid format: {given}; expected "json" or a valid JSON Schema object'
        raise Refusal(500, text)


def _check_runner(model: Model, body: Body, messages: list[Body]) -> None:
    """Refuse what the runner refuses."""
    if "vision" not in model.capabilities and any(m.get("images") for m in messages):
        text = inner_refusal(_NO_IMAGES, "invalid_request_error")
        raise Refusal(400, text, _runner_kind(body))
    form = body.get("format")
    if isinstance(form, dict) and form.get("type") not in _SCHEMA_TYPES:
        text = "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n"
        text += f"Unrecognized schema: {json.dumps(form, separators=(',', ':'))}"
        raise Refusal(400, inner_refusal(text, "invalid_request_error"), _runner_kind(body))


def check_options(options: Body) -> None:
    for option, (kind, word) in _TYPES.items():
        value = options.get(option, 0)
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            raise Refusal(500, f'option "{option}" must be of type {word}')


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
        remembers = "response" in last and not body.get("raw")
        yield last | ({"context": [1, 2, 3]} if remembers else {}) | _metrics(reply)


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
        begun = list(islice(events, 1))
        if begun and begun[0] and "error" in begun[0]:
            raise Refusal(500, begun[0]["error"], PLAIN_JSON)
        return Stream(lines(chain(begun, events)))
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
