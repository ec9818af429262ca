"""What a program asks of an index: take texts in that are no files, give one back, delete some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ragkit.errors import IndexExistsError, InputError, shown_value
from ragkit.ingest.account import planned_report
from ragkit.ingest.given import GivenTexts, given_document, given_id, no_file, whole_document
from ragkit.ingest.plan import Plan, PlannedFile
from ragkit.ingest.update import make_embedding, make_preparer, match_embedder, new_index
from ragkit.records import PROGRAM_ROOT, Document, FileOutcome, make_doc_id, told_metadata
from ragkit.store.calibration import keep_calibration
from ragkit.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.config import HistorySettings
    from ragkit.ingest.update import IngestSetup
    from ragkit.protocols import StoreWriter, VectorStore
    from ragkit.records import DocumentInfo, IndexReport

_GIVEN_TWICE = "its id was given twice: the last one counts"


def as_documents(
    texts: str | Document | Iterable[str | Document],
    *,
    name: str,
    title: str,
    metadata: Mapping[str, Any],
) -> list[Document]:
    """The documents that a call of `Pipeline.add` gives.

    Args:
        texts: As there.
        name: The id of a single one; empty: its own.
        title: As there.
        metadata: As there.

    Raises:
        InputError: Many are given one id or title, one is neither a text nor a document, or the
            metadata have no names.
    """
    if isinstance(texts, (Mapping, bytes, bytearray)):
        msg = (
            f"texts are a str, a ragkit.Document or many of them, not {type(texts).__name__}: "
            "write bytes.decode(), or of texts by their ids "
            "add([Document.from_text(text, id=id) for id, text in texts.items()])"
        )
        raise InputError(msg)
    if not isinstance(metadata, Mapping):
        msg = f"metadata are values by name, as {{'author': 'Chen'}}, not {shown_value(metadata)}"
        raise InputError(msg)
    if isinstance(texts, (str, Document)) or not isinstance(texts, Iterable):
        document = _as_document(texts, metadata)
        return [replace(document, path=name or document.path, title=title or document.title)]
    if name or title:
        msg = (
            "an id and a title can be given to one text alone: for many, write "
            "add([Document.from_text(text, id=..., title=...), ...])"
        )
        raise InputError(msg)
    return [_as_document(text, metadata) for text in texts]


def _as_document(text: object, metadata: Mapping[str, Any]) -> Document:
    if isinstance(text, str):
        text = Document.from_text(text)
    if not isinstance(text, Document):
        msg = f"a text is a str or a ragkit.Document, not {type(text).__name__}"
        raise InputError(msg)
    own = text.metadata if text.origin == "program" else told_metadata(text.metadata, "file")
    return replace(text, metadata=own | dict(metadata), origin="program")


def add_documents(setup: IngestSetup, documents: Iterable[Document]) -> IndexReport:
    """Take in the documents of a program; see `Pipeline.add`."""
    given: dict[str, Document] = {}
    notes = []
    for document in map(given_document, documents):
        if given.pop(document.doc_id, None) is not None:
            notes.append(FileOutcome(document.path, _GIVEN_TWICE))
        given[document.doc_id] = document
    report = _add(setup, list(given.values()))
    return replace(report, notes=(*notes, *report.notes))


def _add(setup: IngestSetup, given: Sequence[Document]) -> IndexReport:
    store = setup.store
    if store is not None:
        match_embedder(store, setup.models)
        return _write(store, setup, given)
    try:
        made = new_index(setup)
    except IndexExistsError:  # another run has made it meanwhile
        with closing(open_store(setup.location)) as theirs:
            return _add(replace(setup, store=theirs), given)
    with closing(made):
        return _write(made, setup, given)


def _write(store: VectorStore, setup: IngestSetup, given: Sequence[Document]) -> IndexReport:
    with store.writing(_command(given), roots=(PROGRAM_ROOT,)) as writer:
        report = _ingest(store, setup, given, writer)
    keep_calibration(store, setup.models.embedder_of)
    return report


def _command(given: Sequence[Document]) -> str:
    return f"add {given[0].path}" if len(given) == 1 else f"add {len(given)} texts"


def _ingest(
    store: VectorStore, setup: IngestSetup, given: Sequence[Document], writer: StoreWriter
) -> IndexReport:
    # NumPy and the splitter cost 0.1 s, which deleting needs not.
    from ragkit.ingest.run import Ingest

    known = {d.doc_id: d for d in store.documents() if d.origin == "program"}
    unchanged = {d.doc_id: known[d.doc_id] for d in given if _is_same(d, known.get(d.doc_id))}
    fresh = [d for d in given if d.doc_id not in unchanged]
    load = [
        PlannedFile("", no_file(), d.path, d.doc_id, d.size_bytes, known.get(d.doc_id))
        for d in fresh
    ]
    plan = Plan(load=load, unchanged=list(unchanged.values()))
    if not (load or store.stats().waiting):
        return replace(planned_report(plan), generation=store.generation())
    embedding, max_tokens = make_embedding(store, setup.models)
    preparer = make_preparer(store, setup, max_tokens)
    ingest = Ingest(
        plan,
        store,
        writer,
        embedding=embedding,
        preparer=GivenTexts(fresh, preparer),
        on_progress=setup.on_progress,
    )
    report = ingest.run()
    writer.retain(**asdict(setup.config.history))
    return report


def _is_same(document: Document, known: DocumentInfo | None) -> bool:
    if known is None:
        return False
    asked = (document.file_sha256, document.title, document.kind, document.metadata)
    return asked == (known.file_sha256, known.title, known.kind, known.metadata)


def delete_documents(
    store: VectorStore, ids: Sequence[str], history: HistorySettings
) -> tuple[str, ...]:
    """Take out documents of a program; see `Pipeline.delete`."""
    names = list(dict.fromkeys(map(given_id, ids)))
    there = {d.path: d.doc_id for d in store.documents() if d.origin == "program"}
    chosen = tuple(name for name in names if name in there)
    if chosen:
        told = chosen[0] if len(chosen) == 1 else f"{len(chosen)} texts"
        with store.writing(f"delete {told}") as writer:
            writer.remove([there[name] for name in chosen])
            writer.retain(**asdict(history))
    return chosen


def get_document(store: VectorStore, name: str) -> Document | None:
    """A document of a program as it was given; see `Pipeline.get`."""
    content = store.content(make_doc_id(PROGRAM_ROOT, given_id(name)))
    return None if content is None else whole_document(*content)
