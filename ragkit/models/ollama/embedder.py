"""An embedding model on an Ollama server."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ragkit.errors import EmbeddingFailedError, ModelResponseError
from ragkit.models import pooling
from ragkit.models.ollama.names import normalise_name, prefixes_of
from ragkit.models.ollama.problems import TEXT_KINDS, Problem
from ragkit.models.ollama.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.models.ollama.client import OllamaClient
    from ragkit.models.ollama.embedding import Endpoint
    from ragkit.protocols import Vectors

    # A text's vector (any norm), or why there is none.
    Outcome: TypeAlias = Vectors | str

# The server computes at most so many tokens at once unless told otherwise: num_batch.
_BATCH_TOKENS = 2048
# Where the server says nothing, the smallest window among known embedding models.
_UNKNOWN_TOKENS = 512
_BOUNDARY_TOKENS = 2
# A text that is this short (characters) and still too long, or still crashes, is given up.
_SHORTEST = {"too_long": 16, "crashed": 256}


class OllamaEmbedder:
    """Satisfies `ragkit.protocols.Embedder`. Nothing is sent until something is asked for.

    Safe to use from several threads, which share ``settings.embed_concurrency`` requests in flight.

    Args:
        client: The server; its settings choose the endpoint, window and concurrency.
        name: The model's name there; its tag may be left out.
        query_prefix: Put before questions; None or ``auto``: the setting, or what is known of the
            model.
        document_prefix: Put before passages, likewise.
        digest, dim, max_tokens: If they are known already, e.g. from an index.
        num_ctx: Window to ask for, tokens; None: the setting.
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
    ) -> None:
        self.name = normalise_name(name)
        settings, known = client.settings, prefixes_of(name)
        self._client = client
        self._query_prefix = _choose(query_prefix, settings.query_prefix, known.query)
        self._document_prefix = _choose(document_prefix, settings.document_prefix, known.document)
        self._digest, self._dim, self._max_tokens = digest, dim, max_tokens
        self._num_ctx = settings.embed_num_ctx if num_ctx is None else num_ctx
        self._batched = settings.embed_endpoint == "/api/embed"
        self._workers = Workers(settings.embed_concurrency)
        self._lock = threading.Lock()

    @property
    def options(self) -> dict[str, Any]:
        """What changes a vector besides the weights; known without the server."""
        prefixes = {"query_prefix": self._query_prefix, "document_prefix": self._document_prefix}
        return prefixes | ({"num_ctx": self._num_ctx} if self._num_ctx else {})

    @property
    def digest(self) -> str:
        """Digest of the weights; asked of the server the first time."""
        if self._digest is None:
            self._digest = self._client.digest(self.name)
        return self._digest

    @property
    def dim(self) -> int:
        """Length of a vector; measured on one embedding the first time."""
        if self._dim is None:
            return len(self.embed_documents(["dimension"])[0])
        return self._dim

    @property
    def max_tokens(self) -> int:
        """Longest text embedded whole, in tokens, prefix and boundary tokens already taken off."""
        if self._max_tokens is None:
            shown = self._client.show(self.name)
            asked = self._num_ctx or shown.parameter("num_ctx") or _BATCH_TOKENS
            window = min(shown.context_tokens or _UNKNOWN_TOKENS, asked)
            if not self._num_ctx:  # else num_batch is sent and equals the window
                window = min(window, shown.parameter("num_batch") or _BATCH_TOKENS)
            prefix = max(len(self._document_prefix.encode()), len(self._query_prefix.encode()))
            self._max_tokens = max(1, window - _BOUNDARY_TOKENS - (prefix + 2) // 3)
        return self._max_tokens

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        size = self._client.settings.embed_batch if self._batched else 1
        groups = [texts[i : i + size] for i in range(0, len(texts), size)]
        embed = partial(self._group, prefix=self._document_prefix)
        outcomes = self._workers.map(embed, groups)
        return self._assemble([outcome for group in outcomes for outcome in group])

    def embed_query(self, text: str) -> Vectors:
        """Embed a question; see `ragkit.protocols.Embedder.embed_query`."""
        vector: Vectors = self._assemble(self._group([text], prefix=self._query_prefix))[0]
        return vector

    def close(self) -> None:
        """End the threads. The client stays open."""
        self._workers.close()

    def _group(self, texts: Sequence[str], *, prefix: str) -> list[Outcome]:
        """Embed texts with one request, or with several where one of them makes it fail."""
        blank = [i for i, text in enumerate(texts) if not text.strip()]
        if blank:
            return self._without_blank(texts, prefix)
        got = self._send([prefix + text for text in texts])
        if not isinstance(got, Problem):
            return list(got)
        if got.kind not in TEXT_KINDS:
            raise got.to_error(self.name, self._client.address)
        if len(texts) > 1:
            middle = len(texts) // 2
            first = self._group(texts[:middle], prefix=prefix)
            return first + self._group(texts[middle:], prefix=prefix)
        return [self._in_parts(texts[0], prefix, got)]

    def _without_blank(self, texts: Sequence[str], prefix: str) -> list[Outcome]:
        full = [text for text in texts if text.strip()]
        done = iter(self._group(full, prefix=prefix) if full else ())
        return [next(done) if text.strip() else "the text is empty" for text in texts]

    def _in_parts(self, text: str, prefix: str, problem: Problem) -> Outcome:
        """Embed a text that failed in halves, and those in halves, and average all parts."""
        if len(text) <= _SHORTEST.get(problem.kind, len(text)):
            return problem.text
        vectors: list[Vectors] = []
        lengths: list[int] = []
        waiting = list(reversed(pooling.halve(text)))
        while waiting:
            part = waiting.pop()
            if not part.strip():
                continue
            got = self._send([prefix + part])
            if not isinstance(got, Problem):
                vectors += got
                lengths.append(len(part))
            elif got.kind not in TEXT_KINDS:
                raise got.to_error(self.name, self._client.address)
            elif len(part) <= _SHORTEST.get(got.kind, len(part)):
                return got.text
            else:
                waiting += reversed(pooling.halve(part))
        if pooling.flaws(np.stack(vectors)):
            return "the model gave no usable vector for a part of the text"
        return pooling.average(vectors, lengths)

    def _send(self, texts: Sequence[str]) -> list[Vectors] | Problem:
        """One request; the vectors as they come, of any norm, their number and length checked."""
        options = {"num_ctx": self._num_ctx, "num_batch": self._num_ctx} if self._num_ctx else None
        body: dict[str, Any] = {"model": self.name}
        endpoint: Endpoint = self._client.settings.embed_endpoint
        if endpoint == "/api/embed":
            body |= {"input": list(texts), "truncate": False}
        else:
            body["prompt"] = texts[0]
        full = self._client.with_defaults(body, options)
        vectors = self._client.vectors(endpoint, full, len(texts))
        if not isinstance(vectors, Problem):
            for vector in vectors:
                self._check_length(len(vector))
        return vectors

    def _assemble(self, outcomes: Sequence[Outcome]) -> Vectors:
        """Check every vector and stack them as unit rows; raise if some text has none."""
        failed = {i: reason for i, reason in enumerate(outcomes) if isinstance(reason, str)}
        given = {i: row for i, row in enumerate(outcomes) if not isinstance(row, str)}
        vectors = np.zeros((len(outcomes), self._dim or 0), np.float32)
        for i, row in given.items():
            vectors[i] = row
        for i, reason in pooling.flaws(vectors).items():
            failed.setdefault(i, reason)
        vectors[list(failed)] = 0
        vectors = pooling.unit_rows(vectors)
        if failed:
            raise self._failure(failed, vectors)
        return vectors

    def _check_length(self, length: int) -> None:
        if self._dim is None:
            with self._lock:
                self._dim = self._dim or length
        if length != self._dim:
            msg = f"{self.name} gave a vector of length {length}, not {self._dim}"
            raise ModelResponseError(msg, self.name)

    def _failure(self, failed: dict[int, str], vectors: Vectors) -> EmbeddingFailedError:
        position, reason = min(failed.items())
        message = (
            f"{self.name} could not embed {len(failed)} of {len(vectors)} texts; "
            f"text {position}: {reason}"
        )
        return EmbeddingFailedError(message, self.name, failed=failed, vectors=vectors)


def _choose(given: str | None, setting: str, known: str) -> str:
    """The first of argument and setting that is not ``auto``, else what is known of the model."""
    return next((text for text in (given, setting) if text not in (None, "auto")), known) or ""
