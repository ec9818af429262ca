"""An embedding model on an Ollama server, or on several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.models.http.embedder import UNKNOWN_TOKENS, HTTPEmbedder, chosen_prefixes
from ragkit.models.ollama.names import normalise_name
from ragkit.models.ollama.servers import ServerPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.models.http.problem import Problem
    from ragkit.models.ollama.client import Endpoint, OllamaClient
    from ragkit.protocols import Vectors

# The server computes at most so many tokens at once unless told otherwise: num_batch.
_BATCH_TOKENS = 2048


class OllamaEmbedder(HTTPEmbedder):
    """Satisfies `ragkit.protocols.Embedder`. Nothing is sent until something is asked for.

    Safe to use from several threads, which share ``settings.embed_concurrency`` requests in flight
    to each server.

    Args:
        client: The server; its settings choose the endpoint, window and concurrency.
        name: The model's name there; its tag may be left out.
        query_prefix: Put before questions; None or ``auto``: the setting, or what is known of the
            model.
        document_prefix: Put before passages, likewise.
        digest, dim, max_tokens: If they are known already, e.g. from an index.
        num_ctx: Window to ask for, tokens; None: the setting.
        replicas: Further servers with the same model, to share the work with; see `ServerPool`.
    """

    backend = "ollama"

    def __init__(
        self,
        client: OllamaClient,
        name: str,
        *,
        query_prefix: str | None = None,
        document_prefix: str | None = None,
        digest: str | None = None,
        dim: int | None = None,
        max_tokens: int | None = None,
        num_ctx: int | None = None,
        replicas: Sequence[OllamaClient] = (),
    ) -> None:
        settings = client.settings
        self._batched = settings.embed_endpoint == "/api/embed"
        super().__init__(
            normalise_name(name),
            prefixes=chosen_prefixes(name, settings, query_prefix, document_prefix),
            dim=dim,
            max_tokens=max_tokens,
            batch=settings.embed_batch if self._batched else 1,
            requests=settings.embed_concurrency,
            servers=1 + len(replicas),
        )
        self._client = client
        self._servers = ServerPool([client, *replicas], self.name, digest=digest)
        self._num_ctx = settings.embed_num_ctx if num_ctx is None else num_ctx

    @property
    def options(self) -> dict[str, Any]:
        """What changes a vector besides the weights; known without the server."""
        return super().options | ({"num_ctx": self._num_ctx} if self._num_ctx else {})

    @property
    def digest(self) -> str:
        """Digest of the weights; asked of the server the first time."""
        return self._servers.digest

    def _window(self) -> int:
        shown = self._servers.ask(lambda client: client.show(self.name))
        asked = self._num_ctx or shown.parameter("num_ctx") or _BATCH_TOKENS
        window = min(shown.context_tokens or UNKNOWN_TOKENS, asked)
        if not self._num_ctx:  # else num_batch is sent and equals the window
            window = min(window, shown.parameter("num_batch") or _BATCH_TOKENS)
        return window

    def _request(self, texts: Sequence[str]) -> list[Vectors] | Problem:
        options = {"num_ctx": self._num_ctx, "num_batch": self._num_ctx} if self._num_ctx else None
        body: dict[str, Any] = {"model": self.name}
        endpoint: Endpoint = self._client.settings.embed_endpoint
        if endpoint == "/api/embed":
            body |= {"input": list(texts), "truncate": False}
        else:
            body["prompt"] = texts[0]
        full = self._client.connection.with_defaults(body, options)
        return self._servers.vectors(endpoint, full, len(texts))
