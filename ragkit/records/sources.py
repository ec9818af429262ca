"""Where documents come from, which files count, and the ids of documents and chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin = Literal["file", "program"]
"""Where a document's text comes from: a file, or a program that gave it to `Pipeline.add`."""

PROGRAM_ROOT = "program:"
"""The root of documents that a program gave: no folder. Their paths are their ids."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Which files of an indexed folder count: globs in gitignore syntax, kept with the folder.

    ``include`` names the files to index, every known kind if empty; ``exclude`` leaves files out.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


NO_RULES: Mapping[str, SourceRules] = {}

Decision = Literal["removed", "accepted"]
"""What a person decided on a file: it is not to be indexed, or is known to be unreadable."""


def make_doc_id(root: str, path: str) -> str:
    """The id of a document, 32 hex digits: it names root and relative path."""
    import hashlib  # 3 ms that importing the records need not pay

    return hashlib.sha256(f"{root}\0{path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def make_chunk_id(doc_id: str, start: int, end: int, text: str) -> str:
    """The id of a chunk, 32 hex digits: it names the document, the place and the text."""
    import hashlib  # 3 ms that listing documents need not pay

    named = f"{doc_id}\0{start}\0{end}\0{text}".encode()
    return hashlib.sha256(named).hexdigest()[:32]
