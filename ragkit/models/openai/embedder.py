"""An embedding model on an OpenAI-compatible server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit.models.http.embedder import HTTPEmbedder, chosen_prefixes
from ragkit.models.http.problem import Problem
from ragkit.text.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.models.openai.client import OpenAIClient
    from ragkit.protocols import Vectors


class OpenAIEmbedder(HTTPEmbedder):
    """Satisfies `ragkit.protocols.Embedder`. Nothing is sent until something is asked for.

    The interface gives no digest: ``digest`` is made of the model's name, so that another model
    under the same name is not noticed. Some servers cut an over-long text without a word: one
    that is estimated above ``max_tokens`` is never sent whole.

    Args:
        client: The server; its settings choose batch and concurrency.
        name: The model's name there, exactly.
        query_prefix, document_prefix: None or ``auto``: the setting, or what is known of the model.
        dim, max_tokens: If they are known already, e.g. from an index.
    """

    backend = "openai"

    def __init__(
        self,
        client: OpenAIClient,
        name: str,
        *,
        query_prefix: str | None = None,
        document_prefix: str | None = None,
        dim: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        settings = client.settings
        super().__init__(
            name,
            prefixes=chosen_prefixes(name, settings, query_prefix, document_prefix),
            dim=dim,
            max_tokens=max_tokens,
            batch=settings.embed_batch,
            requests=settings.embed_concurrency,
        )
        self._client = client

    @property
    def digest(self) -> str:
        """Stands for the weights; see `OpenAIClient.digest`."""
        return self._client.digest(self.name)

    def _window(self) -> int | None:
        listed = self._client.model(self.name)
        return listed.context_tokens if listed else None

    def _request(self, texts: Sequence[str]) -> list[Vectors] | Problem:
        prefix = max(len(self._document_prefix), len(self._query_prefix))
        if any(estimate_tokens(text[prefix:]) > self.max_tokens for text in texts):
            return Problem("too_long", "the text is longer than the model's window")
        return self._client.embeddings(self.name, texts)
