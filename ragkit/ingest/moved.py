"""Folders that were moved: recognised by the files in them, and taken along without a model."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import LoadError
from ragkit.ingest.load import fingerprint
from ragkit.ingest.load.members import container_of
from ragkit.ingest.named import absolute, storable
from ragkit.ingest.plan import PRUNE_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ragkit.config import HistorySettings
    from ragkit.protocols import VectorStore
    from ragkit.records import DocumentInfo

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderMove:
    """A folder that is missing, and where its files are.

    Attributes:
        old, new: Absolute paths, with ``/``.
        documents: How many there are of the old one.
        found: How many of these lie in the new one, unchanged.
    """

    old: str
    new: str
    documents: int
    found: int

    @property
    def is_certain(self) -> bool:
        """Whether so much was found that the rest may be meant to be gone."""
        return self.documents - self.found <= PRUNE_SHARE * self.documents


def find_moves(
    paths: Sequence[str | Path], known: Sequence[DocumentInfo], sources: Iterable[str]
) -> list[FolderMove]:
    """The folders that were indexed before, are missing, and may be one of the paths now.

    Args:
        paths: What is to be indexed.
        known: The index's documents.
        sources: What was indexed before.
    """
    return [
        max(candidates, key=lambda move: move.found)
        for old in sources
        if not os.path.lexists(old) and (candidates := [*_candidates(old, paths, known)])
    ]


def _candidates(
    old: str, paths: Sequence[str | Path], known: Sequence[DocumentInfo]
) -> Iterator[FolderMove]:
    """Where a missing folder may be, with something of it: a path, or below that by its name."""
    places = [(d, f"{d.root}/{d.path}") for d in known if container_of(d.path) is None]
    below = [(d, place[len(old) + 1 :]) for d, place in places if place.startswith(f"{old}/")]
    for path in map(absolute, paths):
        for new in (path, f"{path}/{Path(old).name}"):
            found = sum(_is_there(document, Path(new, rest)) for document, rest in below)
            if found:
                yield FolderMove(old, new, len(below), found)


def _is_there(document: DocumentInfo, file: Path) -> bool:
    try:
        if not file.is_file() or file.stat().st_size != document.size_bytes:
            return False
        return fingerprint(file).file_sha256 == document.file_sha256
    except (LoadError, OSError):  # it will be told when the folder is read
        return False


def follow_moves(store: VectorStore, moves: Sequence[FolderMove], history: HistorySettings) -> bool:
    """Take the documents of moved folders along; tell of each move, certain or not.

    Returns:
        Whether any were taken along.
    """
    for move in moves:
        told = f"{move.old} is missing, and {move.new} holds {move.found} of its {move.documents}"
        if move.is_certain:
            _log.warning("%s files: it was moved, and its documents with it.", told)
            _carry(store, move.old, move.new, history)
        else:
            _log.warning("%s files. If it was moved: `ragkit move %s %s`", told, move.old, move.new)
    return any(move.is_certain for move in moves)


def move_documents(
    store: VectorStore, old: str | Path, new: str | Path, history: HistorySettings
) -> int:
    """Give the documents of a moved folder or file their new place; see `Pipeline.move`."""
    there, here = absolute(old), storable(new)
    places = [f"{d.root}/{d.path}" for d in store.documents()]
    below = [place[len(there) :] for place in places if f"{place}/".startswith(f"{there}/")]
    if not below:
        msg = f"{there}: the index has no document there; `ragkit info` names its folders"
        raise LoadError(msg, there)
    if os.path.lexists(there):
        msg = f"{there} is still there: `ragkit move` is for what lies somewhere else now"
        raise LoadError(msg, there)
    if not any(os.path.exists(here + rest) for rest in below):  # noqa: PTH110 -- texts
        msg = f"{here} holds none of the {len(below)} documents of {there}: is it the right place?"
        raise LoadError(msg, here)
    return _carry(store, there, here, history)


def _carry(store: VectorStore, old: str, new: str, history: HistorySettings) -> int:
    with store.writing(f"move {old} {new}") as writer:
        moved = writer.move(old, new)
        writer.retain(**asdict(history))
    return moved
