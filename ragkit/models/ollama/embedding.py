"""The endpoints that turn texts into vectors, and the reading of what they give.

`OllamaEmbedder` stands on these and adds prefixes, batches, retries by halves and unit length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import orjson

from ragkit.errors import ModelResponseError
from ragkit.models import pooling
from ragkit.models.ollama.inventory import Inventory
from ragkit.models.ollama.problems import Problem
from ragkit.models.ollama.records import Embedded, Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.protocols import Vectors

Endpoint: TypeAlias = Literal["/api/embeddings", "/api/embed"]
_ONE: Endpoint = "/api/embeddings"
_MANY: Endpoint = "/api/embed"


class Embedding(Inventory):
    """Asks models for vectors, as they are: no prefix is put before a text."""

    def embeddings(
        self,
        model: str,
        prompt: str,
        *,
        options: Mapping[str, Any] | None = None,
        keep_alive: str = "",
    ) -> Vectors:
        """One text's vector as the model's runner gives it. ``POST /api/embeddings``.

        Args:
            model: Its name.
            prompt: Not empty. One over the window is refused, never cut.
            options: The model's options; see `GenerateCall`.
            keep_alive: How long the model stays; see `GenerateCall`.

        Returns:
            float32, shape (dim,), finite. Of unit length with some models and servers only.

        Raises:
            ModelResponseError: The text is too long, or the vector is empty, zero or not finite.
            ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        """
        body = self.with_defaults({"model": model, "prompt": prompt}, options, keep_alive)
        vector: Vectors = self._checked(_ONE, body, 1)[0][0]
        return vector

    def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        dimensions: int | None = None,
        truncate: bool = False,
        options: Mapping[str, Any] | None = None,
        keep_alive: str = "",
    ) -> Embedded:
        """Vectors of several texts. ``POST /api/embed``.

        Args:
            model: Its name.
            inputs: Texts; one that fails fails them all, and the error does not say which. None:
                the model is only loaded.
            dimensions: Keep the first so many values and scale to unit length again; for models
                that were trained for that (Matryoshka). Nobody checks that they were.
            truncate: Cut a text over the window at its end, silently, instead of refusing it.
            options: The model's options; see `GenerateCall`.
            keep_alive: How long the model stays; see `GenerateCall`.

        Returns:
            float32, shape (len(inputs), dim), unit rows in order; shape (0, 0) without inputs.

        Raises:
            ModelResponseError: A text is too long; or the vectors are not as many as the texts,
                not alike in length, or one is zero or not finite.
            ConfigError: The model runs elsewhere, and ``models.allow_remote`` is off.
        """
        body: dict[str, Any] = {"model": model, "input": list(inputs), "truncate": truncate}
        if dimensions is not None:
            body["dimensions"] = dimensions
        full = self.with_defaults(body, options, keep_alive)
        vectors, reply = self._checked(_MANY, full, len(inputs))
        return Embedded(str(reply.get("model", model)), vectors, Metrics.read(reply))

    def vectors(
        self, endpoint: Endpoint, body: Mapping[str, Any], count: int
    ) -> list[Vectors] | Problem:
        """Send one request for vectors; a failure of the request is returned.

        Args:
            endpoint: One text, or several.
            body: Its JSON object, with ``model``.
            count: How many vectors must come.

        Returns:
            Vectors of any length and norm, perhaps empty or not finite (see `pooling.flaws`).

        Raises:
            ModelResponseError: The reply holds another number of vectors, or something else.
        """
        got = self._asked(endpoint, body)
        if isinstance(got, Problem):
            return got
        model = str(body["model"])
        return self._rows(endpoint, self.parsed(got, model), model, count)

    def _checked(
        self, endpoint: Endpoint, body: Mapping[str, Any], count: int
    ) -> tuple[Vectors, dict[str, Any]]:
        model = str(body["model"])
        self.refuse_remote(model)
        reply = self.parsed(self._asked(endpoint, body), model)
        rows = self._rows(endpoint, reply, model, count)
        if not all(row.size for row in rows):
            msg = f"{model} at {self.address} gave an empty vector for a text"
            raise ModelResponseError(msg, model)
        if len({len(row) for row in rows}) > 1:
            msg = f"{model} at {self.address} gave vectors of different lengths"
            raise ModelResponseError(msg, model)
        vectors: Vectors = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        for row, reason in pooling.flaws(vectors).items():
            msg = f"{model} at {self.address}, text {row}: {reason}"
            raise ModelResponseError(msg, model)
        return vectors, reply

    def _asked(self, endpoint: Endpoint, body: Mapping[str, Any]) -> bytes | Problem:
        self.refuse_remote_name(str(body["model"]))
        return self.attempt("POST", endpoint, body)

    def _rows(
        self, endpoint: Endpoint, reply: Mapping[str, Any], model: str, count: int
    ) -> list[Vectors]:
        try:
            given = reply["embeddings"] if endpoint == _MANY else [reply["embedding"]]
            # A value beyond float32 becomes infinite, and is found as such; null becomes NaN.
            with np.errstate(over="ignore"):
                rows: list[Vectors] = [np.array(row, np.float32) for row in given]
        except (ValueError, TypeError, KeyError) as exc:
            shown = orjson.dumps(dict(reply))[:80]
            msg = f"{model} at {self.address} answered with {shown!r}, not with vectors"
            raise ModelResponseError(msg, model) from exc
        if len(rows) != count:
            msg = f"{model} at {self.address} gave {len(rows)} vectors for {count} texts"
            raise ModelResponseError(msg, model)
        if any(row.ndim != 1 for row in rows):
            msg = f"{model} at {self.address} gave something else than a vector for a text"
            raise ModelResponseError(msg, model)
        return rows
