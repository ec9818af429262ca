"""The frozen records that travel between the stages.

Offsets are code points in a document's extracted text, half-open: ``document.text[start:end]``.
Records hold plain values only, so each converts to JSON with `to_json`.

A name is loaded when it is first asked for. To make a record's class takes about a millisecond, and
who asks a question needs none of the classes that tell of an ingest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit._late import load_name

if TYPE_CHECKING:
    from ragkit.records.answered import (
        Answer,
        Citation,
        Context,
        Dropped,
        Found,
        Passage,
        Receipt,
        Sentence,
        SentenceStatus,
        Span,
    )
    from ragkit.records.documents import Chunk, Document, DocumentInfo
    from ragkit.records.fields import copy_fields, to_json
    from ragkit.records.filters import NO_FILTER, Condition, Filter, Operator, Scalar
    from ragkit.records.hits import Hit, HitRanks, Mode, Page
    from ragkit.records.metadata import (
        EARLIEST_NS,
        LATEST_NS,
        MEMBERS,
        MODIFIED,
        OWN_METADATA,
        READING_FACTS,
        RECOGNISED,
        failed_pages,
        member_count,
        modified_text,
        read_from_picture,
        reading_facts,
        reading_notes,
        told_metadata,
    )
    from ragkit.records.reports import (
        Compaction,
        DocumentChange,
        Erasure,
        Estimate,
        FileOutcome,
        Generation,
        IndexChanges,
        IndexReport,
        TraceEvent,
        make_changes,
    )
    from ragkit.records.sources import (
        NO_RULES,
        PROGRAM_ROOT,
        Decision,
        Origin,
        SourceRules,
        make_chunk_id,
        make_doc_id,
    )

__all__ = [  # noqa: RUF022 -- grouped by module
    # sources
    "Origin",
    "PROGRAM_ROOT",
    "SourceRules",
    "NO_RULES",
    "Decision",
    "make_doc_id",
    "make_chunk_id",
    # metadata
    "MODIFIED",
    "MEMBERS",
    "RECOGNISED",
    "OWN_METADATA",
    "EARLIEST_NS",
    "LATEST_NS",
    "READING_FACTS",
    "told_metadata",
    "read_from_picture",
    "reading_facts",
    "failed_pages",
    "member_count",
    "reading_notes",
    "modified_text",
    # filters
    "Scalar",
    "Operator",
    "Condition",
    "Filter",
    "NO_FILTER",
    # hits
    "Mode",
    "Page",
    "HitRanks",
    "Hit",
    # answered
    "SentenceStatus",
    "Passage",
    "Dropped",
    "Context",
    "Citation",
    "Sentence",
    "Span",
    "Found",
    "Receipt",
    "Answer",
    # documents
    "Document",
    "Chunk",
    "DocumentInfo",
    # reports
    "FileOutcome",
    "Estimate",
    "IndexReport",
    "Generation",
    "DocumentChange",
    "IndexChanges",
    "make_changes",
    "Compaction",
    "Erasure",
    "TraceEvent",
    # fields
    "copy_fields",
    "to_json",
]

# Where the names live, in the order of a question's way: it gets by without the last two.
_HOMES = ("sources", "metadata", "fields", "filters", "hits", "answered", "documents", "reports")


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any record
    """Load a name when it is first asked for (PEP 562)."""
    return load_name(__name__, name, _HOMES if name in __all__ else ())


def __dir__() -> list[str]:
    """List the names, loaded or not."""
    return list(__all__)
