"""What embedders on a server have in common: batches in parallel, and texts that fail alone."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ragkit.errors import ModelResponseError
from ragkit.models.http.problem import Problem
from ragkit.models.prefixes import Prefixes, prefixes_of
from ragkit.models.vectors import average, embedding_failure, flaws, halve, unit_rows
from ragkit.system import DaemonPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import ModelSettings
    from ragkit.protocols import Vectors

    # A text's vector (any norm), or why there is none.
    Outcome: TypeAlias = Vectors | str

# A text that is this short (characters) and still too long, or still crashes, is given up.
_SHORTEST = {"too_long": 16, "crashed": 256}
_PROBE = "dimension"  # a text that every embedding model embeds
_EMPTY = "the model gave an empty vector"
# Where the server says nothing, the smallest window among known embedding models.
UNKNOWN_TOKENS = 512
_BOUNDARY_TOKENS, _PREFIX_BYTES_PER_TOKEN = 2, 3


class HTTPEmbedder:
    """The half of an embedder that knows no server.

    A subclass sends one request, `_request`, and knows the model's window, `_window`. Safe to use
    from several threads, which share the requests in flight.

    Args:
        name: The model's name.
        prefixes: Put before questions and passages.
        dim, max_tokens: If they are known already.
        batch: Most texts a request.
        requests: Most requests in flight.
        servers: How many servers share the work.
    """

    def __init__(
        self,
        name: str,
        *,
        prefixes: Prefixes,
        dim: int | None,
        max_tokens: int | None,
        batch: int,
        requests: int,
        servers: int = 1,
    ) -> None:
        self.name = name
        self._query_prefix, self._document_prefix = prefixes
        self._dim, self._max_tokens = dim, max_tokens
        self._batch, self._shares = batch, servers
        self._pool = DaemonPool(requests * servers)
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        """Length of a vector; measured on one embedding the first time."""
        if self._dim is None:
            return len(self.embed_documents([_PROBE])[0])
        return self._dim

    @property
    def max_tokens(self) -> int:
        """Longest text embedded whole, in tokens, prefix and boundary tokens already taken off."""
        if self._max_tokens is None:
            prefix = max(len(self._document_prefix.encode()), len(self._query_prefix.encode()))
            taken = _BOUNDARY_TOKENS + -(-prefix // _PREFIX_BYTES_PER_TOKEN)
            self._max_tokens = max(1, (self._window() or UNKNOWN_TOKENS) - taken)
        return self._max_tokens

    @property
    def options(self) -> dict[str, Any]:
        """What changes a vector besides the weights; known without the server."""
        return {"query_prefix": self._query_prefix, "document_prefix": self._document_prefix}

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        size = min(self._batch, -(-len(texts) // self._shares))  # so that each gets some
        groups = [texts[i : i + size] for i in range(0, len(texts), size)]
        embed = partial(self._group, prefix=self._document_prefix)
        outcomes = self._pool.map(embed, groups)
        return self._assemble([outcome for group in outcomes for outcome in group])

    def embed_query(self, text: str) -> Vectors:
        """Embed a question; see `ragkit.protocols.Embedder.embed_query`."""
        vector: Vectors = self._assemble(self._group([text], prefix=self._query_prefix))[0]
        return vector

    def close(self) -> None:
        """End the threads. The client stays open."""
        self._pool.close()

    def _request(self, texts: Sequence[str]) -> list[Vectors] | Problem:
        """Have texts embedded, prefix included, in one request; vectors of any norm, or empty."""
        raise NotImplementedError

    def _window(self) -> int | None:
        """The most tokens that the model reads; asked of the server. None: it does not say."""
        raise NotImplementedError

    def _send(self, texts: Sequence[str]) -> list[Vectors] | Problem:
        """One request, with the length of each vector checked that is not empty."""
        vectors = self._request(texts)
        if not isinstance(vectors, Problem):
            for vector in vectors:
                if vector.size:
                    self._check_length(len(vector))
        return vectors

    def _group(self, texts: Sequence[str], *, prefix: str) -> list[Outcome]:
        """Embed texts with one request, or with several where one of them makes it fail."""
        blank = [i for i, text in enumerate(texts) if not text.strip()]
        if blank:
            return self._without_blank(texts, prefix)
        got = self._send([prefix + text for text in texts])
        if not isinstance(got, Problem):
            return [vector if vector.size else _EMPTY for vector in got]
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
        waiting = list(reversed(halve(text)))
        while waiting:
            part = waiting.pop()
            if not part.strip():
                continue
            got = self._send([prefix + part])
            if not isinstance(got, Problem):
                vectors += got
                lengths.append(len(part))
            elif len(part) <= _SHORTEST.get(got.kind, len(part)):
                return got.text
            else:
                waiting += reversed(halve(part))
        if not all(v.size for v in vectors) or flaws(np.stack(vectors)):
            return "the model gave no usable vector for a part of the text"
        return average(vectors, lengths)

    def _assemble(self, outcomes: Sequence[Outcome]) -> Vectors:
        """Check every vector and stack them as unit rows; raise if some text has none."""
        failed = {i: reason for i, reason in enumerate(outcomes) if isinstance(reason, str)}
        given = {i: row for i, row in enumerate(outcomes) if not isinstance(row, str)}
        if not given and _EMPTY in failed.values():
            self._expect_a_vector()
        vectors = np.zeros((len(outcomes), self._dim or 0), np.float32)
        for i, row in given.items():
            vectors[i] = row
        for i, reason in flaws(vectors).items():
            failed.setdefault(i, reason)
        vectors[list(failed)] = 0
        vectors = unit_rows(vectors)
        if failed:
            raise embedding_failure(self.name, failed, vectors)
        return vectors

    def _expect_a_vector(self) -> None:
        """Tell a model that gives none at all from texts that it gives none for."""
        got = self._send([self._document_prefix + _PROBE])
        if not isinstance(got, Problem) and not got[0].size:
            msg = (
                f"{self.name} gave an empty vector for every text: it is no embedding model, or "
                "its server cannot run it; choose another with models.embedder or --embedder"
            )
            raise ModelResponseError(msg, self.name)

    def _check_length(self, length: int) -> None:
        if self._dim is None:
            with self._lock:
                self._dim = self._dim or length
        if length != self._dim:
            msg = f"{self.name} gave a vector of length {length}, not {self._dim}"
            raise ModelResponseError(msg, self.name)


def chosen_prefixes(
    name: str, settings: ModelSettings, query: str | None, document: str | None
) -> Prefixes:
    """The first of argument and setting that is not ``auto``, else what is known of the model."""
    known = prefixes_of(name)
    return Prefixes(
        _first(query, settings.query_prefix, known.query),
        _first(document, settings.document_prefix, known.document),
    )


def _first(given: str | None, setting: str, known: str) -> str:
    return next((text for text in (given, setting) if text not in (None, "auto")), known) or ""
