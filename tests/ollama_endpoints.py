"""The endpoints of the test server: a request's body in, status and JSON or a stream out."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from ollama_models import Model, answer, count_tokens, vectors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ollama_models import Vector
    from ollama_server import Fault, OllamaServer, Reply

Whole = tuple[int, bytes, str]
JSON, TEXT = "application/json; charset=utf-8", "text/plain"
_TOO_LONG = {
    "new": "the input length exceeds the context length",
    "old": "input exceeds maximum context length",
}
_PROMPT_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; "
    "shorten the prompt or raise num_ctx"
)
_BATCH_TOKENS = 2048


class Refusal(Exception):  # noqa: N818 -- an answer of the server, no fault of the double
    """An error that the server sends as ``{"error": text}``."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Endpoints:
    """Answers requests as the server of the chosen family does."""

    def __init__(self, server: OllamaServer) -> None:
        self._server = server
        self._settings = server.settings
        self._vectors = vectors_of(server.settings.dim)
        self._prepared = _prepare(server.settings.dim) if server.settings.cheap else []
        self._models = {model.name: model for model in server.settings.models}
        self._get: dict[str, Callable[[], Whole]] = {
            "/": lambda: (200, b"Ollama is running", TEXT),
            "/api/version": lambda: _json({"version": self._settings.version}),
            "/api/tags": lambda: _json({"models": [_listed(m) for m in self._models.values()]}),
        }
        self._post: dict[str, Callable[[dict[str, Any], Fault | None], Any]] = {
            "/api/embeddings": self._embeddings,
            "/api/embed": self._embed,
            "/api/show": self._show,
            "/api/chat": self._chat,
        }

    def reply(
        self, method: str, path: str, body: bytes, fault: Fault | None
    ) -> Whole | Iterator[bytes | None]:
        """The whole reply, or the events of a stream."""
        if fault:
            self._server.closing.wait(fault.delay_s)
            if fault.status is not None:
                text = isinstance(fault.body, str)
                return fault.status, _dump(fault.body), TEXT if text else JSON
        if method in ("GET", "HEAD") and path in self._get:
            return self._get[path]()
        if path not in self._post:
            return 404, b"404 page not found", TEXT
        if method != "POST":
            return 405, b"405 method not allowed", TEXT
        try:
            given = self._post[path](_decode(body), fault)
        except Refusal as refusal:
            return _json({"error": str(refusal)}, refusal.status)
        return given if not isinstance(given, dict) else _json(given)

    def _model(self, name: str, missing: str) -> Model:
        if not name:
            raise Refusal(400, "model is required")
        full = name if ":" in name.rpartition("/")[2] else name + ":latest"
        model = self._models.get(full.lower())
        if model is None:
            raise Refusal(404, missing.format(name=name))
        return model

    def _embedding_model(self, body: dict[str, Any], refused: int) -> Model:
        missing = 'model "{name}" not found, try pulling it first'
        model = self._model(body.get("model", ""), missing)
        if not model.embeds and self._settings.family == "new":
            raise Refusal(refused, "This server does not support embeddings. Start it with ...")
        if not model.embeds:
            raise Refusal(refused, "this model does not support embeddings")
        return model

    def _embeddings(self, body: dict[str, Any], fault: Fault | None) -> dict[str, Any] | Whole:
        self._server.slots.serve(1)
        prompt = body.get("prompt", "")
        if self._prepared:
            return 200, self._prepared[zlib.crc32(prompt.encode()) % len(self._prepared)][0], JSON
        model = self._embedding_model(body, 500)
        if not prompt:
            return {"embedding": []}
        self._check_length(model, prompt, body, 500)
        if fault and fault.vector is not None:
            return {"embedding": fault.vector}
        vector = self._vectors.raw(prompt) if model.raw else self._vectors.unit(prompt)
        return {"embedding": vector.astype(np.float64)}

    def _embed(self, body: dict[str, Any], fault: Fault | None) -> dict[str, Any] | Whole:
        given = body.get("input", "")
        texts: list[str] = [given] if isinstance(given, str) and given else given or []
        self._server.slots.serve(len(texts))
        if self._prepared:
            rows = [self._prepared[zlib.crc32(t.encode()) % len(self._prepared)][1] for t in texts]
            return 200, b'{"model":"m","embeddings":[' + b",".join(rows) + b"]}", JSON
        model = self._embedding_model(body, 501)
        if body.get("truncate", True) is False:
            for text in texts:
                self._check_length(
                    model, text, body, 400 if self._settings.family == "new" else 500
                )
        reply: dict[str, Any] = {"model": body["model"]}
        if fault and fault.vector is not None:
            return reply | {"embeddings": [fault.vector for _ in texts]}
        reply["embeddings"] = [self._vectors.unit(text) for text in texts]
        return reply | ({"prompt_eval_count": sum(map(count_tokens, texts))} if texts else {})

    def _check_length(self, model: Model, text: str, body: dict[str, Any], status: int) -> None:
        options = body.get("options") or {}
        window = min(model.context, options.get("num_ctx", model.context))
        if model.parameters and "num_ctx" not in options:
            window = min(window, int(model.parameters.split()[-1]))
        limit = min(window, options.get("num_batch", _BATCH_TOKENS))
        if count_tokens(text) > limit:
            raise Refusal(status, _TOO_LONG[self._settings.family])

    def _show(self, body: dict[str, Any], _: Fault | None) -> dict[str, Any]:
        model = self._model(body.get("model", ""), "model '{name}' not found")
        info: dict[str, Any] = {
            "general.architecture": model.architecture,
            f"{model.architecture}.context_length": model.context,
            f"{model.architecture}.embedding_length": self._settings.dim,
        }
        shown: dict[str, Any] = {"details": _details(model), "model_info": info}
        if model.parameters:
            shown["parameters"] = model.parameters
        return shown | {"capabilities": list(model.capabilities)}

    def _chat(self, body: dict[str, Any], _: Fault | None) -> Iterator[bytes | None]:
        model = self._model(body.get("model", ""), "model '{name}' not found")
        if model.embeds:
            raise Refusal(400, f'"{body["model"]}" does not support chat')
        if body.get("think") and "thinking" not in model.capabilities:
            raise Refusal(400, f'"{body["model"]}" does not support thinking')
        options = body.get("options") or {}
        tokens = sum(count_tokens(message["content"]) for message in body["messages"])
        if tokens > options.get("num_ctx", 4096):
            if self._settings.family == "new" and body.get("shift") is False:
                raise Refusal(400, _PROMPT_TOO_LONG)
            tokens = options.get("num_ctx", 4096) // 2
        if self._server.replies:
            return self._scripted(body["model"], self._server.replies.pop(0), tokens)
        return self._said(body, options, tokens, thinks="thinking" in model.capabilities)

    def _said(
        self, body: dict[str, Any], options: dict[str, Any], tokens: int, *, thinks: bool
    ) -> Iterator[bytes]:
        text = answer(body["messages"])
        if thinks and body.get("think", True):
            yield _event(body["model"], thinking="Which passage says it?")
        pieces = [text[i : i + 6] for i in range(0, len(text), 6)]
        allowed = options.get("num_predict", -1)
        cut = 0 <= allowed < len(pieces)
        for piece in pieces[:allowed] if cut else pieces:
            yield _event(body["model"], piece)
        yield _event(body["model"], done=("length" if cut else "stop", tokens, len(pieces)))

    def _scripted(self, model: str, reply: Reply, tokens: int) -> Iterator[bytes | None]:
        for text in reply.thinking:
            yield _event(model, thinking=text)
        for text in reply.chunks:
            yield _event(model, text)
        if reply.ending == "error":
            yield _dump({"error": reply.error}) + b"\n"
        elif reply.ending == "drop":
            yield None
        elif reply.ending == "done":
            count = tokens if reply.prompt_tokens is None else reply.prompt_tokens
            yield _event(model, reply.last, done=(reply.done_reason, count, len(reply.chunks)))


def _event(
    model: str, text: str = "", *, thinking: str = "", done: tuple[str, int, int] | None = None
) -> bytes:
    message = {"role": "assistant", "content": text} | ({"thinking": thinking} if thinking else {})
    event: dict[str, Any] = {
        "model": model,
        "created_at": "2026-08-21T18:48:22.123456789Z",
        "message": message,
        "done": done is not None,
    }
    if done:
        reason, prompt_tokens, tokens = done
        event |= {"done_reason": reason, "eval_count": tokens}
        event |= {"prompt_eval_count": prompt_tokens} if prompt_tokens else {}
    return _dump(event) + b"\n"


def _listed(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": "2026-05-10T08:06:48.639712648-07:00",
        "size": 274302450,
        "digest": model.digest,
        "details": _details(model),
    }


def _details(model: Model) -> dict[str, Any]:
    family = model.architecture
    return {"parent_model": "", "format": "gguf", "family": family, "families": [family]}


def _decode(body: bytes) -> dict[str, Any]:
    if not body:
        raise Refusal(400, "missing request body")
    try:
        value: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = "invalid character 'x' looking for beginning of value"
        raise Refusal(400, text) from None
    return value


def _json(value: Any, status: int = 200) -> Whole:
    return status, _dump(value), JSON


def _dump(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _prepare(dim: int) -> list[tuple[bytes, bytes]]:
    """256 replies: /api/embeddings with 17 digits, and one row of /api/embed with 8."""
    rows = np.random.default_rng(7).standard_normal((256, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [(_dump({"embedding": _long(row)}), _dump(row)) for row in rows]


def _long(row: Vector) -> Any:
    return row.astype(np.float64)
