"""What changes the models of an Ollama server: pull, push, create, copy, delete, and uploads."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ragkit.decoding import from_wire, wire
from ragkit.errors import ConfigError, ModelResponseError
from ragkit.models.http.problem import Problem
from ragkit.models.http.transport import Request
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from ragkit.models.ollama.client import OllamaClient
    from ragkit.models.ollama.messages import Message

_SUCCESS = "success"
# Each of these comes when every layer is where it should be.
_ALL_DONE = ("verifying", "writing manifest", "pushing manifest", "removing unused", _SUCCESS)
_DIGEST = late_pattern(r"sha256[:-][0-9a-fA-F]{64}")
_NOT_FOUND = 404
_CUT_OFF = frozenset({"broken", "unreachable"})


@dataclass(frozen=True, slots=True)
class CreateCall:
    """One request of ``/api/create``: a model made from another one, or from files.

    Attributes:
        model: The new name.
        base: The model to start from; fetched first if it is not installed.
        files: In place of ``base``: relative path to the digest of its uploaded blob.
        adapters: LoRA adapters, likewise.
        template, system: As the new model's own.
        parameters: Options that hold where a request does not say otherwise; a list for ``stop``.
        messages: A conversation that the model comes with.
        license: One text or several.
        quantize: ``q8_0``, ``q4_K_M`` or ``q4_K_S``.
        extra: Further fields of the endpoint (``renderer``, ``parser``, ``requires``, ``info``,
            ``draft_files``...), passed on as they are.
    """

    model: str
    base: str = ""
    _: KW_ONLY
    files: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    system: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Message] = ()
    license: Sequence[str] = ()
    quantize: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON object that goes over the wire."""
        optional: dict[str, Any] = {
            "from": self.base,
            "files": dict(self.files),
            "adapters": dict(self.adapters),
            "template": self.template,
            "system": self.system,
            "parameters": dict(self.parameters),
            "messages": [message.body() for message in self.messages],
            "license": list(self.license),
            "quantize": self.quantize,
        }
        given = {name: value for name, value in optional.items() if value}
        return {"model": self.model} | given | dict(self.extra)


@dataclass(frozen=True, slots=True)
class ModelProgress:
    """One event.

    Attributes:
        status: What is being done, in the server's words; ``success`` ends a stream.
        digest: The layer concerned, or empty.
        total_bytes: Its size; None where no layer is concerned.
        completed_bytes: How much of it is done, 0 before the first.
    """

    status: str
    digest: str = ""
    total_bytes: int | None = field(default=None, metadata=wire("total"))
    completed_bytes: int = field(default=0, metadata=wire("completed"))


class LayerProgress:
    """Keeps the last event of each layer, in the order in which the layers first came.

    The server may end a layer without ever reporting it complete, so that is taken from what
    follows: once it verifies or writes the manifest, all of them are there.

    >>> layers = LayerProgress()
    >>> layers.add(ModelProgress("pulling 970aa74c0a90", "sha256:970aa74c0a90", 100, 60))
    >>> layers.completed_bytes, layers.total_bytes
    (60, 100)
    >>> layers.add(ModelProgress("verifying sha256 digest"))
    >>> layers.completed_bytes
    100
    """

    def __init__(self) -> None:
        self._layers: dict[str, ModelProgress] = {}

    def add(self, event: ModelProgress) -> None:
        """Take the next event."""
        if event.digest:
            known = self._layers.get(event.digest)
            # A layer that is fetched again after a fault may count from the beginning.
            total = event.total_bytes or (known.total_bytes if known else None)
            self._layers[event.digest] = replace(event, total_bytes=total)
        elif event.status.startswith(_ALL_DONE):
            for digest, layer in self._layers.items():
                done = layer.total_bytes or layer.completed_bytes
                self._layers[digest] = replace(layer, completed_bytes=done)

    @property
    def layers(self) -> tuple[ModelProgress, ...]:
        """Each layer's last event, complete where that follows from a later event."""
        return tuple(self._layers.values())

    @property
    def total_bytes(self) -> int:
        """The size of all layers heard of so far."""
        return sum(layer.total_bytes or 0 for layer in self._layers.values())

    @property
    def completed_bytes(self) -> int:
        """How much of them is done."""
        return sum(layer.completed_bytes for layer in self._layers.values())


@dataclass(frozen=True, slots=True)
class Blob:
    """A file on the server. ``uploaded`` is False where it was there before."""

    digest: str
    size_bytes: int
    uploaded: bool


class OllamaAdmin:
    """Fetches, publishes, makes, copies and deletes models, and uploads what they are made from.

    The iterators end without an error exactly when the server said ``success``. A request that
    never reached the server is tried again; one that did is not. Errors as `OllamaClient`.

    Args:
        client: The server; it stays open.
        silence_s: How long the server may say nothing meanwhile, where the setting
            ``models.read_timeout_s`` is shorter. It verifies or quantises a layer without a word,
            which takes minutes for one of tens of gigabytes on a slow disk.

    Usage::

        for event in OllamaAdmin(client).pull("all-minilm"):
            print(event.status, event.completed_bytes, event.total_bytes)
    """

    def __init__(self, client: OllamaClient, *, silence_s: float = 3600.0) -> None:
        self._client, self._connection = client, client.connection
        silence_s = max(silence_s, client.settings.read_timeout_s)
        self._timeout = (client.settings.connect_timeout_s, silence_s)

    def pull(self, name: str, *, insecure: bool = False) -> Generator[ModelProgress, None, None]:
        """Fetch a model from its registry. ``POST /api/pull``.

        Closing the iterator stops the download unless another client waits for it too. What was
        fetched is kept for an hour at least, and a new pull goes on from there.

        Args:
            name: The model.
            insecure: Speak plain http to the registry.

        Returns:
            ModelProgress as it comes, many times a second for each layer; see `LayerProgress`.

        Raises:
            ModelResponseError: The registry has no such model, or refuses it.
            ModelUnavailableError: The stream broke off.
            ConfigError: The model would run elsewhere, and ``models.allow_remote`` is off.
        """
        self._client.refuse_remote_name(name)
        return self._progress("pull", _named(name, insecure=insecure))

    def push(self, name: str, *, insecure: bool = False) -> Generator[ModelProgress, None, None]:
        """Publish a model to the registry in its name. ``POST /api/push``.

        Arguments, events and errors as `pull`. It needs an account whose key the *server* has.
        """
        return self._progress("push", _named(name, insecure=insecure))

    def create(self, call: CreateCall) -> Generator[ModelProgress, None, None]:
        """Make a model. ``POST /api/create``. Events and errors as `pull`.

        Files must have been uploaded with `upload_blob` before.
        """
        self._client.refuse_remote_name(call.base)
        self._client.forget_models()
        return self._progress("create", call.body())

    def copy(self, source: str, destination: str) -> None:
        """Give a model a second name; weights are not copied. ``POST /api/copy``."""
        self._client.forget_models()
        body = {"source": source, "destination": destination}
        self._connection.send_once("POST", "/api/copy", body, model=source)

    def delete(self, name: str) -> None:
        """Delete a model; weights go when no other name needs them. ``DELETE /api/delete``."""
        self._connection.send_once("DELETE", "/api/delete", {"model": name}, model=name)

    def has_blob(self, digest: str) -> bool:
        """True if the server has a file. ``HEAD /api/blobs/:digest``.

        Args:
            digest: ``sha256:`` and 64 hex digits; see `file_digest`.

        Raises:
            ConfigError: It is no digest.
        """
        got = self._connection.call(Request("HEAD", _blob_path(digest)))
        if isinstance(got, Problem):
            # A HEAD has no body, so the status is all there is to tell by.
            if got.status == _NOT_FOUND:
                return False
            raise self._connection.error(got)
        return True

    def upload_blob(self, path: Path, report: Callable[[int, int], None] | None = None) -> Blob:
        """Upload a file, if the server does not have it. ``POST /api/blobs/:digest``.

        The file is read twice, in pieces: for its digest, which the address of the upload needs,
        and to be sent. The digest of what was sent is computed along the way.

        Args:
            path: The file.
            report: Called with the bytes sent so far and the file's size, while it is sent.

        Raises:
            ModelResponseError: The file changed between the two readings, or the server refuses
                it.
            OSError: The file cannot be read.
        """
        digest, size = file_digest(path), path.stat().st_size
        if self.has_blob(digest):
            return Blob(digest, size, uploaded=False)
        with path.open("rb") as file:
            reader = _Reader(file, size, report)
            # It reads like a file; of a file's other methods none is used.
            body = cast("BinaryIO", reader)
            got = self._connection.call(
                Request("POST", _blob_path(digest), file=body, size=size, repeat=False, tries=0)
            )
        # One that came there meanwhile is not read again: the server ends the connection.
        if isinstance(got, Problem) and got.kind in _CUT_OFF and self.has_blob(digest):
            return Blob(digest, size, uploaded=False)
        if reader.digest() != digest:
            msg = f"{path} changed while it was uploaded to {self._client.address}; upload it again"
            raise ModelResponseError(msg)
        if isinstance(got, Problem):
            raise self._connection.error(got, path.name)
        return Blob(digest, size, uploaded=True)

    def _progress(self, verb: str, body: dict[str, Any]) -> Generator[ModelProgress, None, None]:
        payload = {**body, "stream": True}
        return self._connection.stream(
            Request("POST", f"/api/{verb}", payload, repeat=False, timeout=self._timeout),
            partial(from_wire, ModelProgress),
            last=("status", _SUCCESS),
            model=body["model"],
            what=f"the {verb}",
        )


def file_digest(path: Path) -> str:
    """The digest of a file as the server names it: ``sha256:`` and 64 hex digits."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


class _Reader:
    """Hands out a file's bytes, counts and hashes them, and reports how far it is."""

    def __init__(
        self, file: BinaryIO, size: int, report: Callable[[int, int], None] | None
    ) -> None:
        self._file, self._size, self._report = file, size, report
        self._hash = hashlib.sha256()
        self._sent = 0

    def read(self, count: int = -1) -> bytes:
        # Not beyond the size announced: a file that grows must not spoil the connection.
        left = self._size - self._sent
        piece = self._file.read(left if count < 0 else min(count, left))
        self._hash.update(piece)
        self._sent += len(piece)
        if self._report and piece:
            self._report(self._sent, self._size)
        return piece

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _blob_path(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        msg = f"{digest!r} is no digest; expected sha256: and 64 hexadecimal digits"
        raise ConfigError(msg)
    return f"/api/blobs/{digest}"


def _named(name: str, *, insecure: bool) -> dict[str, Any]:
    return {"model": name} | ({"insecure": True} if insecure else {})
