"""What answers the questions to an index, and what of the index a question is put to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.errors import ConfigError, InputError
from ragkit.records import NO_FILTER, Filter
from ragkit.store.calibration import read_calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import Config, SearchSettings
    from ragkit.models.choose import Models
    from ragkit.protocols import ChatModel, Embedder, VectorStore
    from ragkit.query.tracing import OnEvent
    from ragkit.records import Passage
    from ragkit.store.calibration import Calibration


@dataclass(frozen=True, slots=True)
class QueryEngine:
    """An index with the models and settings by which its questions are answered."""

    store: VectorStore
    models: Models
    config: Config
    on_event: OnEvent = None

    @property
    def embedder(self) -> Embedder | None:
        """The index's embedder, None if it has no vectors; errors: `Models.embedder_of`."""
        return self.models.embedder_of(self.store)

    def remembering(self, passages: Sequence[Passage] = ()) -> Embedder | None:
        """The index's embedder, which pays for each question and sentence once; as `embedder`.

        Args:
            passages: In which the sentences stand; their vectors are kept with the index. None:
                nothing is kept.
        """
        from ragkit.query.remembering import KeptSentences, RememberingEmbedder  # with NumPy

        embedder = self.embedder
        if embedder is None:
            return None
        kept = KeptSentences(self.store, passages) if passages else None
        return RememberingEmbedder(embedder, self.models.remembered_vectors, kept)

    @property
    def chat(self) -> ChatModel | None:
        """The chat model; None for extractive answers."""
        return self.models.chat(self.store)

    @property
    def search_settings(self) -> SearchSettings:
        """Those that the index can be searched by; see `fitting_settings`."""
        return fitting_settings(self.config.search, self.store)

    @property
    def search_embedder(self) -> Embedder | None:
        """What embeds a question for the search; None in mode ``keyword``, which needs none."""
        return None if self.search_settings.mode == "keyword" else self.embedder

    @property
    def calibration(self) -> Calibration:
        """What the index's scores mean, as it keeps it."""
        return read_calibration(self.store)


MOST_HITS = 1_000_000_000
"""Hits that a search gives at most, whatever it is asked for."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What of an index a question is put to.

    Attributes:
        k: Most hits; the configured number if None.
        restrict: Which documents may be found.
        as_of: A closed generation to look at; None: the newest commit.

    Raises:
        InputError: `k` is no number from 1, or `restrict` no filter.
    """

    k: int | None = None
    restrict: Filter = NO_FILTER
    as_of: int | None = None

    def __post_init__(self) -> None:
        if self.k is not None and not (isinstance(self.k, int) and self.k > 0):
            msg = f"k is the number of hits, 1 or more, not {self.k!r}"
            raise InputError(msg)
        if not isinstance(self.restrict, Filter):
            msg = (
                "restrict is a ragkit.Filter, as Filter(where=(Condition('author', '=', 'Chen'),)),"
                f" not {self.restrict!r:.60}"
            )
            raise InputError(msg)


WHOLE_INDEX = Scope()


def fitting_settings(settings: SearchSettings, store: VectorStore) -> SearchSettings:
    """Settings that an index can be searched by: without vectors, a hybrid search is by words.

    Raises:
        ConfigError: Mode ``dense`` is set, and the index has no vectors.
    """
    if settings.mode == "keyword" or store.embedder:
        return settings
    if settings.mode == "hybrid":
        return replace(settings, mode="keyword")
    msg = (
        f"mode dense searches by vectors, and {store.location} has none: use --mode keyword, or "
        "add them with `ragkit index --embedder NAME`"
    )
    raise ConfigError(msg)
