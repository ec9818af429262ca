"""The test server's models: listed, shown, fetched, published, made, copied, deleted; and blobs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ollama_double.models import Model
from ollama_double.state import details, listed
from ollama_double.wire import TEXT, Refusal, Stream, full_name, is_name, lines, to_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ollama_double.script import Fault
    from ollama_double.state import State
    from ollama_double.wire import Body, Whole

_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
_ABSENT = "pull model manifest: file does not exist"
_REQUIRED = (400, "model is required")
# A layer that is fetched, one that lies there already, and a small one.
WEIGHTS, CACHED, CONFIG = (hashlib.sha256(what.encode()).hexdigest() for what in "wcs")
_TOTAL, _STEPS, _CACHED_BYTES, _CONFIG_BYTES = 1000, (250, 500, 750, 900), 300, 20


class Models:
    """Answers requests about models."""

    def __init__(self, state: State) -> None:
        self._state = state

    def tags(self) -> Body:
        """GET /api/tags."""
        dim = self._state.settings.dim
        return {"models": [listed(model, dim) for model in self._state.models.values()]}

    def ps(self) -> Body:
        """GET /api/ps."""
        return {
            "models": [
                {
                    "name": model.name,
                    "model": model.name,
                    "size": model.size,
                    "digest": model.digest,
                    "details": details(model),
                    "expires_at": until.isoformat(),
                    "size_vram": model.size // 2,
                    "context_length": window,
                }
                for model, until, window in self._state.running()
            ]
        }

    def show(self, body: Body, _: Fault | None) -> Body:
        """POST /api/show; verbose fills the lists of model_info."""
        name = body.get("model") or body.get("name") or ""
        missing = f"model '{full_name(name)}' not found"
        model = self._state.find(name, missing.replace("{", "{{"), _REQUIRED)
        kind, verbose = model.architecture, body.get("verbose") is True
        info: Body = {
            "general.architecture": kind,
            f"{kind}.context_length": model.context,
            f"{kind}.embedding_length": self._state.settings.dim,
            "tokenizer.ggml.tokens": ["<s>", "</s>", "▁the"] if verbose else None,
        }
        shown: Body = {
            "modelfile": f"# Modelfile\nFROM {model.name}",
            "parameters": model.parameters,
            "template": model.template,
            "system": model.system,
            "license": model.license,
            "messages": list(model.messages),
            "remote_host": model.remote_host,
            "remote_model": model.name if model.remote_host else "",
        }
        if verbose:
            shown["tensors"] = [{"name": "output.weight", "type": "F16", "shape": [8, 4]}]
        return {field: value for field, value in shown.items() if value} | {
            "details": details(model),
            "model_info": info,
            "capabilities": list(model.capabilities),
            "modified_at": "2026-05-10T08:06:48.639712648-07:00",
        }

    def copy(self, body: Body, _: Fault | None) -> Whole:
        """POST /api/copy."""
        source, destination = body.get("source") or "", body.get("destination") or ""
        for field, name in (("source", source), ("destination", destination)):
            if not is_name(name):
                raise Refusal(400, f'{field} "{name}" is invalid')
        model = self._state.models.get(full_name(source))
        if model is None:
            raise Refusal(404, f'model "{source}" not found')
        self._install(replace(model, name=destination, content=model.content or model.name))
        return 200, b"", TEXT

    def delete(self, body: Body, _: Fault | None) -> Whole:
        """DELETE /api/delete."""
        name = body.get("model") or body.get("name") or ""
        if not name:
            raise Refusal(*_REQUIRED)
        if not is_name(name):
            raise Refusal(400, f'name "{name}" is invalid')
        if self._state.models.pop(full_name(name), None) is None:
            raise Refusal(404, f"model '{name}' not found")
        return 200, b"", TEXT

    def pull(self, body: Body, _: Fault | None) -> Stream | Whole:
        """POST /api/pull."""
        name = body.get("model") or body.get("name") or ""
        plain = name.startswith("http://")
        if not is_name(name.removeprefix("http://")):
            raise Refusal(400, "invalid model name")
        if plain and not body.get("insecure"):
            return _reported(body, iter([{"error": "insecure protocol http"}]))
        return _reported(body, self._pulling(name.removeprefix("http://")))

    def push(self, body: Body, _: Fault | None) -> Stream | Whole:
        """POST /api/push."""
        name = body.get("model") or body.get("name") or ""
        if not name:
            raise Refusal(*_REQUIRED)
        return _reported(body, self._pushing(name))

    def create(self, body: Body, _: Fault | None) -> Stream | Whole:
        """POST /api/create."""
        if not is_name(body.get("model") or ""):
            raise Refusal(400, "invalid model name")
        if not body.get("from") and not body.get("files"):
            raise Refusal(400, "neither 'from' or 'files' was specified")
        return _reported(body, self._creating(body))

    def blob(self, method: str, digest: str, body: bytes) -> Whole:
        """HEAD and POST /api/blobs/:digest."""
        if not _DIGEST.fullmatch(digest):
            return (400, b"", TEXT) if method == "HEAD" else to_whole({"error": "invalid"}, 400)
        wanted = digest.replace("-", ":").lower()
        if method == "HEAD":
            return (200 if wanted in self._state.blobs else 404), b"", TEXT
        if wanted in self._state.blobs:
            return 200, b"", TEXT
        got = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if got != wanted:
            text = f'digest mismatch, expected "{wanted}", got "{got}"'
            return to_whole({"error": text}, 400)
        self._state.blobs[wanted] = len(body)
        return 201, b"", TEXT

    def _install(self, model: Model) -> None:
        name = model.name if ":" in model.name.rpartition("/")[2] else f"{model.name}:latest"
        model = replace(model, name=name)
        others = {key: m for key, m in self._state.models.items() if key != full_name(name)}
        # The newest stands first.
        self._state.models = {full_name(name): model, **others}

    def _pulling(self, name: str) -> Iterator[Body]:
        key = full_name(name)
        yield {"status": "pulling manifest"}
        model = self._state.models.get(key) or self._state.registry.get(key)
        if model is None:
            yield {"error": _ABSENT}
            return
        if key in self._state.models:
            yield _layer("pulling", WEIGHTS, _TOTAL, _TOTAL)
        else:
            yield from self._fetching(key)
        yield _layer("pulling", CACHED, _CACHED_BYTES, _CACHED_BYTES)
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self._install(model)
        yield {"status": "success"}

    def _fetching(self, key: str) -> Iterator[Body]:
        begun = self._state.fetched.get(key, 0)
        yield _layer("pulling", WEIGHTS, _TOTAL, begun)
        # The last step is not the whole: the server stops looking once the layer is there.
        for done in (step for step in _STEPS if step > begun):
            self._state.fetched[key] = done
            yield _layer("pulling", WEIGHTS, _TOTAL, done)
        yield _layer("pulling", CONFIG, _CONFIG_BYTES, 0)
        self._state.fetched.pop(key)

    def _pushing(self, name: str) -> Iterator[Body]:
        if not is_name(name):
            yield {"error": "invalid model name"}
            return
        yield {"status": "retrieving manifest"}
        if full_name(name) not in self._state.models:
            yield {"status": "couldn't retrieve manifest"}
            yield {"error": "file does not exist"}
            return
        for done in (0, 500, _TOTAL):
            yield _layer("pushing", WEIGHTS, _TOTAL, done)
        yield {"status": "pushing manifest"}
        yield {"status": "success"}

    def _creating(self, body: Body) -> Iterator[Body]:
        base = body.get("from") or ""
        if base and full_name(base) not in self._state.models:
            for event in self._pulling(base):
                if event.get("status") != "success":
                    yield event
                if "error" in event:
                    return
        for digest in (body.get("files") or {}).values():
            if digest not in self._state.blobs:
                yield {"error": f"blob {digest} does not exist"}
                return
            yield {"status": "parsing GGUF"}
        if wanted := body.get("quantize"):
            status = f"quantizing F16 model to {wanted}"
            yield {"status": status, "digest": "0" * 19, "total": 100, "completed": 100}
        yield {"status": f"using existing layer sha256:{WEIGHTS}"}
        yield {"status": f"creating new layer sha256:{CONFIG}"}
        yield {"status": "writing manifest"}
        self._install(_made(body, self._state.models.get(full_name(base)) if base else None))
        yield {"status": "success"}


def _made(body: Body, base: Model | None) -> Model:
    parameters = (body.get("parameters") or {}).items()
    model = base or Model(body["model"])
    return replace(
        model,
        name=body["model"],
        parent=body.get("from") or "",
        template=body.get("template") or model.template,
        system=body.get("system") or model.system,
        parameters="\n".join(f"{name:<30} {value}" for name, value in parameters),
        license="\n".join(body.get("license") or ()),
        messages=tuple(body.get("messages") or ()),
        remote_host=body.get("remote_host") or "",
    )


def _layer(verb: str, digest: str, total: int, completed: int) -> Body:
    event: Body = {"status": f"{verb} {digest[:12]}", "digest": f"sha256:{digest}", "total": total}
    return event | ({"completed": completed} if completed else {})


def _reported(body: Body, events: Iterator[Body]) -> Stream | Whole:
    """The events, or only the last of them."""
    if body.get("stream", True):
        return Stream(lines(iter(events)))
    last: Body = {}
    for last in events:
        if "error" in last:
            raise Refusal(500, last["error"])
    return to_whole(last)
