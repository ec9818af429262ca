"""The parts of a Word file: a ZIP archive of XML whose parts name each other by relations.

Read here and not by python-docx, which refuses whole files for what Word passes over: a part that
is missing, a relation to ``NULL``, Strict Open XML, the type of a template.
"""

from __future__ import annotations

import posixpath
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 -- it is a class

from ragkit.errors import LoadError

if TYPE_CHECKING:
    from lxml.etree import _Element

_OFFICE = "http://schemas.openxmlformats.org/"
_STRICT = "http://purl.oclc.org/ooxml/"
_NAMESPACES = (
    ("wordprocessingml/main", "wordprocessingml/2006/main"),
    ("officeDocument/relationships", "officeDocument/2006/relationships"),
    ("officeDocument/math", "officeDocument/2006/math"),
    ("drawingml/wordprocessingDrawing", "drawingml/2006/wordprocessingDrawing"),
    ("drawingml/main", "drawingml/2006/main"),
)
"""What a Strict file calls the namespaces and relations, and what all others do."""

_MAIN = "word/document.xml"
_OLE = b"\xd0\xcf\x11\xe0"  # the container of old .doc files and of encrypted .docx files
_REL = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class Relation(NamedTuple):
    """What a part refers to: the last word of the relation's type, and the part's name."""

    kind: str
    target: str


class DocxPackage:
    """A Word file's parts.

    Args:
        data: The file.
        name: What errors call it.

    Attributes:
        missing: The parts that something refers to and that are not there or broken.

    Raises:
        LoadError: It is encrypted, no archive, or has no main part.
    """

    def __init__(self, data: bytes, name: str) -> None:
        if data.startswith(_OLE):
            msg = "is encrypted, or an old .doc file under the name of a .docx"
            raise LoadError(msg, name)
        self.missing: list[str] = []
        self._name = name
        try:
            self._zip = ZipFile(BytesIO(data))
        except (BadZipFile, OSError, ValueError, EOFError) as exc:
            raise self._broken(exc) from exc
        self._names = {n.lower().replace("\\", "/"): n for n in self._zip.namelist()}
        relations = self.relations("")
        main = next((r.target for r in relations.values() if r.kind == "officeDocument"), _MAIN)
        self.main = main if main.lower() in self._names else _MAIN
        if self.main not in self._names:
            msg = "there is no part with the document's text"
            raise self._broken(ValueError(msg))

    def xml(self, part: str) -> _Element | None:
        """A part as XML; None if it is missing, empty or broken, which `missing` then names.

        Raises:
            LoadError: It is the main part.
        """
        from lxml import etree

        raw = self.read(part)
        if raw is None:
            return None
        if _STRICT.encode() in raw:
            for strict, usual in _NAMESPACES:
                raw = raw.replace((_STRICT + strict).encode(), (_OFFICE + usual).encode())
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True
        )
        try:
            return etree.fromstring(raw, parser)
        except etree.XMLSyntaxError as exc:
            if "memory" in str(exc).lower():
                raise MemoryError from exc
            if part == self.main:
                raise self._broken(exc) from exc
        self.missing.append(part)
        return None

    def read(self, part: str) -> bytes | None:
        """A part's bytes; None if it is not there or damaged, which `missing` then names.

        Raises:
            LoadError: It is the main part.
        """
        try:
            return self._zip.read(self._names[part.lower()])
        except (KeyError, BadZipFile, ZlibError, EOFError, OSError, ValueError) as exc:
            if part == self.main:
                raise self._broken(exc) from exc
        except (NotImplementedError, RuntimeError) as exc:  # unknown compression; a password
            raise self._broken(exc) from exc
        self.missing.append(part)
        return None

    def relations(self, part: str) -> dict[str, Relation]:
        """What a part refers to within the file, by id; "" stands for the whole file."""
        folder, base = posixpath.split(part)
        source = posixpath.join(folder, "_rels", f"{base}.rels")
        root = self.xml(source) if source.lower() in self._names else None
        found: dict[str, Relation] = {}
        for element in root.iter(_REL) if root is not None else ():
            target = element.get("Target", "")
            if element.get("TargetMode") != "External" and target.upper() != "NULL":
                path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                kind = element.get("Type", "").rpartition("/")[2]
                found[element.get("Id", "")] = Relation(kind, path)
        return found

    def part_of(self, kind: str, relations: dict[str, Relation]) -> _Element | None:
        """The XML of the first part of a kind, such as ``styles``; None if there is none."""
        target = next((r.target for r in relations.values() if r.kind == kind), None)
        return self.xml(target) if target else None

    def _broken(self, exc: Exception) -> LoadError:
        msg = f"not a readable DOCX: {exc}"
        return LoadError(msg, self._name)
