"""The paths that a user names, as an index has them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import LoadError
from ragkit.ingest.load.document import document_path, printable
from ragkit.store.locate import place_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_log = logging.getLogger(__name__)


def absolute(path: str | Path) -> str:
    """A path as documents have it: absolute, with ``/``; links stay in the name."""
    return Path(os.path.abspath(path)).as_posix()  # noqa: PTH100 -- absolute() would keep `..`


def storable(path: str | Path) -> str:
    """A path as `absolute` has it, if an index can keep it.

    Raises:
        LoadError: There are bytes in it that are no UTF-8.
    """
    there = absolute(path)
    if (shown := printable(there)) != there:
        msg = (
            f"{shown}: its path has bytes that are no UTF-8, which an index cannot keep: rename "
            "it, or name a link to it that has none (`ln -s`)"
        )
        raise LoadError(msg, shown)
    return there


def known_paths(paths: Sequence[str | Path], sources: Iterable[str]) -> list[str | Path]:
    """What is to be indexed: each path, or the name by which it was indexed before.

    So a folder that was indexed by a link is not there twice once it is named itself.

    Args:
        paths: As the user gave them.
        sources: What was indexed before, absolute.

    Raises:
        LoadError: As for `storable`.
    """
    before = list(sources)
    return [_known(path, before) for path in paths]


def _known(path: str | Path, sources: Sequence[str]) -> str | Path:
    there = absolute(path)
    place = place_in(there, sources) if os.path.lexists(there) else None
    if place is None or place == there:
        storable(there)
        return path
    _log.info("%s was indexed as %s", path, place)
    return place


def comparable(path: str | Path, sources: Iterable[str]) -> str:
    """A path that names documents, in the spelling of `Choices`.

    Args:
        path: As the user gave it; it need not exist.
        sources: What was indexed before, absolute.
    """
    return document_path(place_in(path, sources) or absolute(path))
