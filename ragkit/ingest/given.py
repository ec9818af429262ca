"""Texts that a program gives: checked, made documents, and kept whole."""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import InputError, LoadError, shown_value
from ragkit.ingest.load.formats import normalise
from ragkit.records import (
    EARLIEST_NS,
    LATEST_NS,
    MODIFIED,
    OWN_METADATA,
    PROGRAM_ROOT,
    Document,
    make_doc_id,
)
from ragkit.records import told_metadata as told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ragkit.ingest.prepare import OnPage, Prepared, Preparer, Results, Source
    from ragkit.records import Chunk

MOST_ID_CHARS = 1_000
_BETWEEN = "between"  # the characters between chunks, which a store does not keep


def given_id(name: object) -> str:
    """The id of a document as it is kept: a text, NFC.

    Raises:
        InputError: It is no text, empty or too long, or has white space around it or control
            characters in it.
    """
    if not isinstance(name, str):
        msg = f"an id is a text, not {shown_value(name)}: write id=str(...)"
        raise InputError(msg)
    odd = [c for c in name if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    if not name or odd or name != name.strip() or len(name) > MOST_ID_CHARS:
        msg = (
            f"{shown_value(name)} cannot be an id: it has 1 to {MOST_ID_CHARS:,} characters, none "
            "of them a control character, and no white space around them"
        )
        raise InputError(msg)
    return unicodedata.normalize("NFC", name)


def given_document(document: Document) -> Document:
    """A document of a program as it is stored.

    Raises:
        InputError: Its id is no id, its text is empty, or its metadata are no JSON.
    """
    name = given_id(document.path)
    text = _text(document.text, name)
    if document.pages and text != document.text:
        msg = f"{name!r}: a text with pages has plain line ends, and neither NUL nor surrogates"
        raise InputError(msg)
    title = " ".join(normalise(_title(document.title, name)).split()) or name
    metadata = _json(document.metadata, name)
    data = text.encode("utf-8")
    return Document(
        make_doc_id(PROGRAM_ROOT, name), PROGRAM_ROOT, name, title, document.kind, text,
        hashlib.sha256(data).hexdigest(), len(data), _modified(metadata, name), None,
        document.pages, metadata, "program",
    )  # fmt: skip


def _text(text: object, name: str) -> str:
    if not isinstance(text, str):
        msg = f"{name!r}: a text is a str, not {type(text).__name__}"
        raise InputError(msg)
    made = normalise(text)
    if not made.strip():
        msg = f"{name!r} has no text: nothing of it could be found; `delete` takes a document out"
        raise InputError(msg)
    return made


def _title(title: object, name: str) -> str:
    if not isinstance(title, str):
        msg = f"{name!r}: a title is a text, not {shown_value(title)}"
        raise InputError(msg)
    return title


def _json(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Metadata as they come back from a store.

    Raises:
        InputError: A name is no text, or a value is no JSON.
    """
    if OWN_METADATA in metadata:
        msg = f"{name!r}: metadata cannot be named {OWN_METADATA!r}, which ragkit keeps for itself"
        raise InputError(msg)
    for key, value in metadata.items():
        if not isinstance(key, str) or not _is_text(key):
            msg = f"{name!r}: the names of metadata are texts, not {shown_value(key)}"
            raise InputError(msg)
        try:
            is_json = _is_text(json.dumps(value, allow_nan=False, ensure_ascii=False))
        except (TypeError, ValueError, RecursionError):
            is_json = False
        if not is_json:
            msg = (
                f"{name!r}: the value of {key!r} is no JSON: {shown_value(value)}; give a text, a "
                "number, a bool, None, or a list or dict of these (of a date its isoformat())"
            )
            raise InputError(msg)
    made: dict[str, Any] = json.loads(json.dumps(dict(metadata)))
    return made


def _is_text(text: str) -> bool:
    """Whether a text can be stored: without lone surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else True


def _modified(metadata: Mapping[str, Any], name: str) -> int:
    """When a document was changed, in nanoseconds: as its metadata say, else now."""
    said = metadata.get(MODIFIED)
    if said is None:
        return time.time_ns()
    try:
        moment = datetime.fromisoformat(said)
        modified = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (TypeError, ValueError, OverflowError) as exc:
        msg = (
            f"{name!r}: {MODIFIED!r} is a moment such as 2026-03-31T14:05, not {shown_value(said)}"
        )
        raise InputError(msg) from exc
    if not EARLIEST_NS <= modified * 10**9 <= LATEST_NS:
        msg = f"{name!r}: {MODIFIED!r} lies between 1678 and 2262, not at {shown_value(said)}"
        raise InputError(msg)
    return modified * 10**9


@dataclass(frozen=True, slots=True)
class GivenTexts:
    """Splits the documents of a program; a `ragkit.ingest.prepare.TextSource`.

    Args:
        documents: In the order in which they were planned.
        preparer: Splits them.
    """

    documents: Sequence[Document]
    preparer: Preparer

    def prepare(
        self,
        sources: Sequence[Source],  # noqa: ARG002 -- of the protocol, as are those below
        *,
        size_bytes: int,  # noqa: ARG002
        on_page: OnPage,  # noqa: ARG002
    ) -> Results:
        """Prepare the documents, in order."""
        for document in self.documents:
            try:
                yield self.of_document(document)
            except LoadError as exc:
                yield exc

    def of_document(self, document: Document) -> Prepared:
        """Split a document, and let it keep what stands between its chunks."""
        prepared = self.preparer.of_document(document)
        return prepared._replace(document=with_gaps(prepared.document, prepared.chunks))


def with_gaps(document: Document, chunks: Sequence[Chunk]) -> Document:
    """A program's document that keeps what its chunks leave out, unless that is spaces."""
    left_out = "".join(document.text[start:end] for start, end in _gaps(document.text, chunks))
    if not left_out.strip(" "):
        return document
    metadata = document.metadata | {OWN_METADATA: {_BETWEEN: left_out}}
    return replace(document, metadata=metadata)


def whole_document(document: Document, chunks: Sequence[Chunk]) -> Document:
    """A program's document as it was given, from what a store gives back of it."""
    left_out = document.metadata.get(OWN_METADATA, {}).get(_BETWEEN, "")
    metadata = told(document.metadata, document.origin)
    text, place, at = document.text, 0, 0
    parts = []
    for start, end in _gaps(text, chunks) if left_out else ():
        parts += [text[place:start], left_out[at : at + end - start]]
        place, at = end, at + end - start
    return replace(document, text="".join([*parts, text[place:]]), metadata=metadata)


def _gaps(text: str, chunks: Sequence[Chunk]) -> Iterator[tuple[int, int]]:
    """The places of a text that no chunk holds, in order."""
    end = 0
    for chunk in chunks:
        if chunk.start > end:
            yield end, chunk.start
        end = max(end, chunk.end)
    if end < len(text):
        yield end, len(text)


def no_file() -> Path:
    """Where the documents of programs lie, for a plan: nowhere."""
    return Path(PROGRAM_ROOT)
