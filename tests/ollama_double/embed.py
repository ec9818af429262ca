"""The test server's vectors: /api/embeddings, /api/embed, and what /v1/embeddings stands on."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ollama_double.models import Model, count_tokens, vectors_of
from ollama_double.text import check_options
from ollama_double.wire import JSON, Refusal, dump

if TYPE_CHECKING:
    from ollama_double.models import Vector
    from ollama_double.script import Fault, Slots
    from ollama_double.state import State
    from ollama_double.wire import Body, Whole

_TOO_LONG = {
    "new": "the input length exceeds the context length",
    "old": "input exceeds maximum context length",
}
_NO_VECTORS = "This server does not support embeddings. Start it with `--embeddings`"
_BATCH_TOKENS = 2048
_FEWEST_TOKENS = 3
"""Its two marks and one of the text; a window of fewer holds nothing of it."""
_TOO_NARROW = "input after truncation exceeds maximum context length"
_UNKNOWN = 'model "{name}" not found, try pulling it first'


class Vectors:
    """Answers requests for vectors as the server of the chosen family does."""

    def __init__(self, state: State, slots: Slots) -> None:
        self._state, self._slots = state, slots
        self._family = state.settings.family
        self._vectors = vectors_of(state.settings.dim)
        self._prepared = _prepare(state.settings.dim) if state.settings.cheap else []

    def embeddings(self, body: Body, fault: Fault | None) -> Body | Whole:
        """/api/embeddings: one text, not truncated; every error of the inference is a 500."""
        self._slots.serve(1)
        prompt = body.get("prompt") or ""
        if self._prepared:
            return 200, self._prepared[zlib.crc32(prompt.encode()) % len(self._prepared)][0], JSON
        model = self._model(body, 500, (400, "model is required"))
        self._state.touch(model, body)
        if not prompt:
            return {"embedding": []}
        if self._excess(model, prompt, body):
            raise Refusal(500, _TOO_LONG[self._family])
        if fault and fault.vector is not None:
            return {"embedding": fault.vector}
        vector = self._vectors.raw(prompt) if model.raw else self._vectors.unit(prompt)
        return {"embedding": vector.astype(np.float64)}

    def embed(self, body: Body, fault: Fault | None) -> Body | Whole:
        """/api/embed: unit vectors of several texts, perhaps of their first dimensions only."""
        texts = _inputs(body)
        self._slots.serve(len(texts))
        if self._prepared:
            rows = [self._prepared[zlib.crc32(t.encode()) % len(self._prepared)][1] for t in texts]
            return 200, b'{"model":"m","embeddings":[' + b",".join(rows) + b"]}", JSON
        model = self._model(body, 501, (404, "model '' not found"))
        self._state.touch(model, body)
        texts = [self._fitting(model, text, body) for text in texts]
        reply: Body = {"model": body["model"]}
        if fault and fault.vector is not None:
            return reply | {"embeddings": [fault.vector for _ in texts]}
        reply["embeddings"] = [self._sliced(text, body.get("dimensions")) for text in texts]
        if not texts:
            return reply
        durations = {"total_duration": 14143917, "load_duration": 1019500}
        return reply | durations | {"prompt_eval_count": sum(map(count_tokens, texts))}

    def _model(self, body: Body, refused: int, empty: tuple[int, str]) -> Model:
        model = self._state.find(body.get("model") or "", _UNKNOWN, empty)
        check_options(body.get("options") or {})
        if not model.embeds and self._family == "new":
            raise Refusal(
                refused, "This server does not support embeddings. Start it with `--embeddings`"
            )
        if not model.embeds:
            raise Refusal(refused, "this model does not support embeddings")
        return model

    def _window(self, model: Model, body: Body) -> int:
        options = model.options | (body.get("options") or {})
        window: int = min(model.context, options.get("num_ctx", model.context))
        batch: int = options.get("num_batch", _BATCH_TOKENS)
        return min(window, batch)

    def _excess(self, model: Model, text: str, body: Body) -> int:
        return max(0, count_tokens(text) - self._window(model, body))

    def _fitting(self, model: Model, text: str, body: Body) -> str:
        """A text that fits, cut by words if the request allows it."""
        if not self._excess(model, text, body):
            return text
        if body.get("truncate") is False:
            raise Refusal(400 if self._family == "new" else 500, _TOO_LONG[self._family])
        if self._window(model, body) < _FEWEST_TOKENS:
            raise Refusal(400, _TOO_NARROW)
        while self._excess(model, text, body):
            text = text.rpartition(" ")[0]
        return text

    def _sliced(self, text: str, dimensions: Any) -> Vector:
        vector = self._vectors.unit(text)
        if not isinstance(dimensions, int) or not 0 < dimensions < len(vector):
            return vector
        part: Vector = vector[:dimensions]
        return part / np.linalg.norm(part)


def _inputs(body: Body) -> list[str]:
    given = body.get("input")
    if given in (None, "", []):
        return []
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise Refusal(400, "invalid input type")
    return given


def _prepare(dim: int) -> list[tuple[bytes, bytes]]:
    """256 replies: /api/embeddings with 17 digits, and one row of /api/embed with 8."""
    rows = np.random.default_rng(7).standard_normal((256, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [(dump({"embedding": row.astype(np.float64)}), dump(row)) for row in rows]
