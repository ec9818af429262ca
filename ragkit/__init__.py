"""ragkit: ask your own documents, on your own machine.

The names below are the library's front door; each is loaded when it is first used, so that
``import ragkit`` costs nothing. The stages have their own: ``ragkit.ingest``, ``ragkit.query``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit._late import load_name
from ragkit._version import __version__

if TYPE_CHECKING:
    from ragkit.async_pipeline import AsyncPipeline
    from ragkit.config import Config
    from ragkit.decoding import from_json
    from ragkit.errors import (
        CitationError,
        ConfigError,
        EmbeddingFailedError,
        FilterError,
        ForeignFilesError,
        FormatVersionError,
        IndexChangedError,
        IndexCorruptError,
        IndexExistsError,
        IndexLockedError,
        IndexMismatchError,
        IndexNotFoundError,
        InputError,
        LoadError,
        ModelError,
        ModelNotFoundError,
        ModelResponseError,
        ModelUnavailableError,
        PromptTruncatedError,
        RagkitError,
        ServerError,
        StorageFullError,
        StoreError,
        StoreUnavailableError,
        UnsupportedByStoreError,
        UnsupportedFormatError,
    )
    from ragkit.ingest.load.formats import Format, Parsed
    from ragkit.ingest.load.members import Member
    from ragkit.models.vectors import cosine_similarity
    from ragkit.pipeline import Pipeline
    from ragkit.protocols import (
        ChatDone,
        ChatMessage,
        ChatModel,
        ChatRequest,
        Embedder,
        QuotedDelta,
        Reranker,
        SearchRequest,
        Splitter,
        StoreDriver,
        StoreStats,
        StoreWriter,
        TextDelta,
        ThinkingDelta,
        VectorStore,
        Violation,
    )
    from ragkit.records import (
        Answer,
        Chunk,
        Citation,
        Compaction,
        Condition,
        Context,
        Document,
        DocumentChange,
        DocumentInfo,
        Dropped,
        Erasure,
        Estimate,
        FileOutcome,
        Filter,
        Found,
        Generation,
        Hit,
        HitRanks,
        IndexChanges,
        IndexReport,
        Page,
        Passage,
        Receipt,
        Sentence,
        SourceRules,
        Span,
        TraceEvent,
        to_json,
    )
    from ragkit.remote.remote_index import RemoteIndex, connect
    from ragkit.verify.answers import SentenceCheck, Verification
    from ragkit.verify.resolver import CitationCheck

__all__ = [  # noqa: RUF022 -- grouped by stage
    "__version__",
    # the pipeline and its settings
    "Pipeline",
    "AsyncPipeline",
    "Config",
    "TraceEvent",
    # the same over a server
    "connect",
    "RemoteIndex",
    # ingest
    "Format",
    "Parsed",
    "Member",
    "Document",
    "Page",
    "Chunk",
    "FileOutcome",
    "IndexReport",
    "Estimate",
    "DocumentInfo",
    "SourceRules",
    "Splitter",
    # embed and chat: what a model of your own has to offer
    "Embedder",
    "ChatModel",
    "ChatMessage",
    "ChatRequest",
    "TextDelta",
    "QuotedDelta",
    "ThinkingDelta",
    "ChatDone",
    "Reranker",
    "cosine_similarity",
    # store and search
    "VectorStore",
    "StoreWriter",
    "StoreDriver",
    "StoreStats",
    "Violation",
    "Generation",
    "IndexChanges",
    "DocumentChange",
    "Compaction",
    "Erasure",
    "SearchRequest",
    "Filter",
    "Condition",
    "Hit",
    "HitRanks",
    # ground and answer
    "Passage",
    "Dropped",
    "Context",
    "Citation",
    "Sentence",
    "Span",
    "Found",
    "Receipt",
    "Answer",
    "to_json",
    "from_json",
    "Verification",
    "CitationCheck",
    "SentenceCheck",
    # errors
    "RagkitError",
    "ConfigError",
    "InputError",
    "LoadError",
    "UnsupportedFormatError",
    "ModelError",
    "ModelUnavailableError",
    "ModelNotFoundError",
    "ModelResponseError",
    "EmbeddingFailedError",
    "PromptTruncatedError",
    "StoreError",
    "StoreUnavailableError",
    "IndexNotFoundError",
    "IndexExistsError",
    "IndexLockedError",
    "IndexMismatchError",
    "IndexChangedError",
    "IndexCorruptError",
    "ForeignFilesError",
    "FormatVersionError",
    "StorageFullError",
    "UnsupportedByStoreError",
    "ServerError",
    "CitationError",
    "FilterError",
]

# What most programs begin with, looked for nowhere else.
_FIRST = {"Pipeline": "pipeline", "AsyncPipeline": "async_pipeline", "Config": "config"}
# Where the other names live, light modules first: the pipeline is loaded for nothing else.
_HOMES = (
    "errors",
    "records.sources",
    "records.filters",
    "records.hits",
    "records.answered",
    "records.documents",
    "records.reports",
    "records.fields",
    "config",
    "protocols",
    "decoding",
    "models.vectors",
    "pipeline",
    "verify.resolver",
    "verify.answers",
    "ingest.load.formats",
    "ingest.load.members",
    "async_pipeline",
    "remote.remote_index",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any public name
    """Load a public name when it is first asked for (PEP 562)."""
    homes = (_FIRST[name],) if name in _FIRST else _HOMES
    return load_name(__name__, name, homes if name in __all__ else ())


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return list(__all__)
