"""The load stage: a folder's files, one after the other, as documents.

Usage::

    settings = LoadSettings()
    with Parser(settings) as parser:
        for entry in walk_files(root, settings):
            if entry.status == "file":
                document = load_document(entry.path, root=root, settings=settings, parser=parser)
"""

from ragkit.ingest.load.document import (
    Fingerprint,
    LoadedFile,
    LoadedMember,
    fingerprint,
    load_document,
    load_file,
    relative_path,
    root_folder,
)
from ragkit.ingest.load.formats import Format, Formats, Parsed
from ragkit.ingest.load.parser import Parser
from ragkit.ingest.load.walk import WalkEntry, walk_files
from ragkit.records import make_doc_id

__all__ = [
    "Fingerprint",
    "Format",
    "Formats",
    "LoadedFile",
    "LoadedMember",
    "Parsed",
    "Parser",
    "WalkEntry",
    "fingerprint",
    "load_document",
    "load_file",
    "make_doc_id",
    "relative_path",
    "root_folder",
    "walk_files",
]
