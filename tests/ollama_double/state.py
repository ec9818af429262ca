"""What the test server remembers: installed and loaded models, blobs, half-done downloads."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ollama_double.wire import Refusal, full_name, is_name, keep_alive_s

if TYPE_CHECKING:
    from ollama_double.models import Model
    from ollama_double.script import Settings
    from ollama_double.wire import Body

_LOCAL = timezone(timedelta(hours=-7))
_KEPT_S, _FOREVER_S = 300.0, 9.2e9
_WINDOW = 4096


class State:
    """Models by their full names in lower case, and what else changes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = {full_name(model.name): model for model in settings.models}
        self.registry = {full_name(model.name): model for model in settings.registry}
        self.blobs: dict[str, bytes] = {}
        self.fetched: dict[str, int] = {}
        self._running: dict[str, tuple[float, float, int, str]] = {}

    def find(self, name: str, missing: str, empty: tuple[int, str]) -> Model:
        """An installed model.

        Args:
            name: As sent.
            missing: Error text for one that is not installed, with ``{name}``.
            empty: Status and error text where no name was sent.
        """
        if not name:
            raise Refusal(*empty)
        if not is_name(name):
            raise Refusal(400, "invalid model name")
        model = self.models.get(full_name(name))
        if model is None:
            raise Refusal(404, missing.format(name=name))
        return model

    def touch(self, model: Model, body: Body) -> None:
        """Load a model, or keep it for longer; ``keep_alive: 0`` unloads it."""
        asked = keep_alive_s(body)
        before = self._running.get(model.digest)
        stay = asked if asked is not None else before[1] if before else _KEPT_S
        window = (model.options | (body.get("options") or {})).get("num_ctx", _WINDOW)
        if stay == 0:
            self._running.pop(model.digest, None)
            return
        until = time.time() + (_FOREVER_S if stay < 0 else stay)
        name = full_name(model.name)
        self._running[model.digest] = (until, stay, min(window, model.context), name)

    def running(self) -> list[tuple[Model, datetime, int]]:
        """The loaded models with their expiry and window, the longest-lived first.

        Two names of the same weights are one, under the name that was loaded last.
        """
        now = time.time()
        self._running = {n: r for n, r in self._running.items() if r[0] > now}
        found = sorted(self._running.values(), key=lambda one: -one[0])
        return [
            (self.models[name], datetime.fromtimestamp(until, UTC).astimezone(_LOCAL), window)
            for until, _, window, name in found
            if name in self.models
        ]


def listed(model: Model, dim: int) -> dict[str, Any]:
    """A model as /api/tags shows it."""
    lengths = {"context_length": model.context}
    if model.embeds or model.dim:
        lengths["embedding_length"] = model.dim or dim
    shown = ("completion",) if model.mislisted else model.capabilities
    entry: dict[str, Any] = {
        "name": model.name,
        "model": model.name,
        "modified_at": "2026-05-10T08:06:48.639712648-07:00",
        "size": model.size,
        "digest": model.digest,
        "details": details(model) | ({} if model.mislisted else lengths),
        "capabilities": list(shown),
    }
    if model.remote_host:
        entry |= {"remote_model": model.name, "remote_host": model.remote_host}
    return entry


def details(model: Model) -> dict[str, Any]:
    family = model.architecture
    return {
        "parent_model": model.parent,
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }
