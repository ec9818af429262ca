"""Replies of a real Ollama server, recorded in order, and how they are compared with the double's.

``replies.jsonl`` holds them: version 0.33.0-rc2 on a processor, without a network. In it long texts
are shortened, both of requests and of replies; requests are rebuilt here to the recorded length.

What is masked in both replies before they are compared, and why:

- times and durations: ``created_at``, ``modified_at``, ``expires_at``, ``*_duration``, ``created``;
- ids: digests, the numbers of ``chatcmpl-`` and ``cmpl-``, the port of the runner;
- token counts, which are those of another tokenizer: ``prompt_eval_count``, ``eval_count``,
  ``context``, ``usage``, ``n_prompt_tokens`` and the same number in the text beside it;
- vectors' values, not their number nor their lengths; of one in base64 all;
- log probabilities: ``logprob``, and the tokens with their ``bytes`` (they are the model's);
- the values, not the keys, that verbose lists of the tokenizer hold.

The model's own words are not masked: the double is told to say them. Where the recording killed a
runner (notes with "killed"), the double is told to fail as it did. One request's invalid UTF-8 is
not in the file; another one of the same length is sent.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ollama_double.models import Model
from ollama_double.script import Reply

FILE = Path(__file__).with_name("replies.jsonl")
_CHATML = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)
_CHAT_PARAMETERS = (
    f'{"num_thread":<30} 1\n{"stop":<30} "<|im_start|>"\n{"stop":<30} "<|im_end|>"\n'
    f"{'temperature':<30} 0"
)
_CHAT: dict[str, Any] = {
    "context": 8192,
    "capabilities": ("completion",),
    "parameters": _CHAT_PARAMETERS,
    "size": 98362776,
    "template": _CHATML,
    "content": "SmolLM2-135M-Instruct",
    "parameter_size": "134.52M",
    "quantization": "Q4_1",
    "dim": 576,
}
_EMBEDDING: dict[str, Any] = {
    "architecture": "bert",
    "context": 512,
    "capabilities": ("embedding",),
    "parameters": f"{'num_thread':<30} 1",
    "size": 45949413,
    "content": "all-MiniLM-L6-v2",
    "parameter_size": "22.57M",
    "dim": 384,
}
MODELS: Final = (
    Model("all-minilm:latest", **_EMBEDDING),
    Model("nomic-embed-text:latest", **_EMBEDDING),
    Model("llama3.2:latest", **_CHAT),
    Model("smollm2:latest", **_CHAT),
    Model(
        "sbert-conv:latest",
        **(_EMBEDDING | {"size": 45949364, "content": "converted", "mislisted": True}),
    ),
)
"""What the real server had installed. Two pairs of names have the same weights."""

_NOISE = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"127\.0\.0\.1:\d{5}"), "127.0.0.1:<port>"),
    (re.compile(r"\?ts=\d+"), "?ts=<time>"),
    (re.compile(r"request \(\d+ tokens\)"), "request (<count> tokens)"),
    (re.compile(r'n_prompt_tokens\\":\d+'), r'n_prompt_tokens\\":<count>'),
)
_MASKED = frozenset({
    "bytes", "created", "created_at", "eval_count", "eval_duration", "expires_at", "id",
    "load_duration", "logprob", "modified_at", "prompt_eval_count", "prompt_eval_duration",
    "token", "total_duration", "usage",
})  # fmt: skip
_LISTS = frozenset({"context", "tokens", "merges", "scores", "token_type"})
_UNORDERED = frozenset({"modelfile", "parameters"})
_OPTIONS = '"options": {"num_ctx": 512, "num_predict": 8, "temperature": 0, "seed": 1}}'
_REST = '"}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "Say hello."}], '
_CALMS = ("", '"truncate": false, ', '"shift": false, ', '"truncate": false, "shift": false, ')
_COUNTS = (3000, 511, 510, 509, 900, 6000, 400, 380)
_TAILS = (
    '"}',
    '", "truncate": false}',
    '", "b"], "truncate": false}',
    '", "{words}' * 5 + '"]}',
    '"}], "max_tokens": 4}',
    '", "options": {"num_predict": 8, "num_ctx": 2048}}',
    *(
        f"{end}{stream}{calm}{_OPTIONS}"
        for end in ('", ', _REST, '"}], ')
        for stream in ('"stream": false, ', "")
        for calm in _CALMS
    ),
)
"""How many words the shortened requests had, and what followed them."""
_SHORTENED = re.compile(r"(.*)\.\.\. (\d+) more( characters| numbers)?", re.DOTALL)


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its reply; ``lines`` are those of a streamed one, else None."""

    note: str
    method: str
    path: str
    sent_headers: dict[str, str]
    sent: bytes
    status: int
    headers: dict[str, str]
    body: str
    lines: list[str] | None

    @property
    def events(self) -> list[Any]:
        """The JSON values of a streamed reply; the end mark of /v1 is a text."""
        whole = (line.removeprefix("data: ") for line in self.lines or () if line)
        return [line if line == "[DONE]" else json.loads(line) for line in whole]

    def script(self) -> Reply | None:
        """What the model said; None where it said nothing."""
        if self.path not in _SAID:
            return None
        events = self.events if self.lines is not None else [_parsed(self.body)]
        if "killed" in self.note:
            pieces = tuple(map(_text, events[:-1])) if self.lines is not None else ()
            error = "an error was encountered while running the model: unexpected EOF"
            return Reply(pieces, ending="error", error=error)
        if self.status != 200 or _is_silent(events[-1]):
            return None
        if "same token" in self.note or self.note == "the same, whole":
            return Reply((*re.findall(r"[^8]+|8", "".join(map(_text, events))), "8", "8"))
        pieces = tuple(piece for event in events for piece in _pieces(event))
        return Reply(pieces, done_reason=_reason(events))


_SAID = frozenset({"/api/generate", "/api/chat", "/v1/chat/completions", "/v1/completions"})


def recorded() -> list[Exchange]:
    """All of them, in the order in which they were recorded."""
    lines = FILE.read_text("utf-8").splitlines()[1:]  # the first tells where they come from
    return [_read(json.loads(line)) for line in lines]


def _read(entry: dict[str, Any]) -> Exchange:
    asked, reply = entry["request"], entry["response"]
    method, path, _ = asked["line"].split(" ")
    return Exchange(
        entry["note"],
        method,
        path,
        asked["headers"],
        _rebuilt(asked["body"]),
        reply["status"],
        reply["headers"],
        reply.get("body", ""),
        reply.get("lines"),
    )


def _rebuilt(body: str) -> bytes:
    """A request's body as it was sent, where it was shortened in the file."""
    if body == "(37 bytes)":  # invalid UTF-8, which the file cannot hold
        return b'{"model":"all-minilm","input":"caf\xe9 x"}'
    short = _SHORTENED.fullmatch(body)
    if not short:
        return body.encode()
    begun, total = short[1], len(short[1]) + int(short[2])
    first = begun.index('"word') + 1
    head, same = begun[:first], begun[first:].startswith("word word")
    for count, tail in itertools.product(_COUNTS, _TAILS):
        text = "word " * count if same else " ".join(f"word{i}" for i in range(count))
        whole = head + text + tail.replace("{words}", text)
        fits = len(whole) == total and whole.startswith(begun)
        if fits and isinstance(_parsed(whole), dict):
            return whole.encode()
    msg = f"no ending fits {total} of {begun[:60]!r}"
    raise AssertionError(msg)


def normalised(body: str) -> Any:
    """What a body says, without what is masked; a text where it is no JSON."""
    for noise, name in _NOISE:
        body = noise.sub(name, body)
    return _masked(_parsed(body))


def normalised_lines(lines: list[str]) -> list[Any]:
    """The same for each line of a streamed reply."""
    whole = (line.removeprefix("data: ") for line in lines if line)
    return [normalised(line) for line in whole]


def _masked(value: Any, name: str = "") -> Any:
    if name in _MASKED:
        return f"<{name}>"
    if isinstance(value, dict):
        return {key: _masked(item, key) for key, item in value.items()}
    if name in _UNORDERED:
        return sorted(value.splitlines())
    if name.rpartition(".")[2] in _LISTS and isinstance(value, list):
        return f"<{name}>"
    if name == "embedding" and isinstance(value, str):
        return "<base64>"
    if name == "tensors":
        return [*value[:6], _length(value)]
    if isinstance(value, list):
        is_vector = value and isinstance(value[0], float)
        return f"<{_length(value)} numbers>" if is_vector else [_masked(v) for v in value]
    return value


def _length(values: list[Any]) -> int:
    """How many there are, of a list that may be shortened in the file."""
    short = (
        re.fullmatch(r"\.\.\. (\d+) more.*", values[-1]) if isinstance(values[-1], str) else None
    )
    return len(values) - 1 + int(short[1]) if short else len(values)


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _text(event: Any) -> str:
    """The words in a reply, or in a piece of it."""
    if not isinstance(event, dict):
        return ""
    choice = next(iter(event.get("choices") or ()), event)
    inner = choice.get("message") or choice.get("delta") or choice
    return str(inner.get("content") or inner.get("response") or inner.get("text") or "")


def _pieces(event: Any) -> list[str]:
    """The words in a reply, token by token where their probabilities came with them."""
    given = event.get("logprobs") if isinstance(event, dict) else None
    return [one["token"] for one in given] if given else [text for text in [_text(event)] if text]


def _is_silent(event: Any) -> bool:
    """True for a reply by which a model was only loaded, unloaded or shown its prompt."""
    return isinstance(event, dict) and (
        event.get("done_reason") in ("load", "unload") or "_debug_info" in event
    )


def _reason(events: list[Any]) -> str:
    choices = [c for e in events if isinstance(e, dict) for c in e.get("choices") or [e]]
    reasons = (c.get("done_reason") or c.get("finish_reason") for c in choices)
    return next((reason for reason in reasons if reason), "stop")
