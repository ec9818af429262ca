"""The parts of a Word or PowerPoint file, which name each other by relations (Open XML).

Read here and not by python-docx, which refuses whole files for what Word passes over: a part that
is missing, a relation to ``NULL``, Strict Open XML, the type of a template.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from ragkit.errors import LoadError
from ragkit.ingest.load.readers.document_titles import clean_title
from ragkit.ingest.load.readers.encrypted_office import decrypted, is_encrypted_package
from ragkit.ingest.load.readers.zip_parts import DAMAGE, OLE, ZipParts, parse_xml

if TYPE_CHECKING:
    from lxml.etree import _Element

_OFFICE = "http://schemas.openxmlformats.org/"
_STRICT = "http://purl.oclc.org/ooxml/"
_NAMESPACES = (
    ("wordprocessingml/main", "wordprocessingml/2006/main"),
    ("presentationml/main", "presentationml/2006/main"),
    ("officeDocument/relationships", "officeDocument/2006/relationships"),
    ("officeDocument/math", "officeDocument/2006/math"),
    ("drawingml/wordprocessingDrawing", "drawingml/2006/wordprocessingDrawing"),
    ("drawingml/main", "drawingml/2006/main"),
    ("drawingml/chart", "drawingml/2006/chart"),
    ("drawingml/diagram", "drawingml/2006/diagram"),
)
"""What a Strict file calls the namespaces and relations, and what all others do."""

_REL = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"


class Relation(NamedTuple):
    """What a part refers to: the last word of the relation's type, and the part's name."""

    kind: str
    target: str


class OpenXmlPackage:
    """A file's parts.

    Args:
        data: The file.
        name: What errors call it.
        label: What it should be, ``DOCX`` or ``PPTX``.
        main: The usual name of the main part.

    Attributes:
        main: The name of the main part.
        missing: The parts that something refers to and that are not there or broken.

    Raises:
        LoadError: It is encrypted, no archive, or has no main part.
    """

    def __init__(self, data: bytes, name: str, *, label: str, main: str) -> None:
        if is_encrypted_package(data):
            data = decrypted(data, name)
        elif data.startswith(OLE[:4]):
            msg = (
                f"is an old .{label[:3].lower()} file under the name of a .{label.lower()}, or an "
                "encrypted one that is damaged"
            )
            raise LoadError(msg, name)
        self.missing: list[str] = []
        self._parts = ZipParts(data, name, label)
        relations = self.relations("")
        found = next((r.target for r in relations.values() if r.kind == "officeDocument"), main)
        self.main = found if found in self._parts else main
        if self.main not in self._parts:
            msg = "there is no part with the document's text"
            raise self._parts.broken(ValueError(msg))

    def xml(self, part: str) -> _Element | None:
        """A part as XML; None if it is missing, empty or broken, which `missing` then names.

        Raises:
            LoadError: It is the main part.
        """
        from lxml.etree import XMLSyntaxError

        raw = self.read(part)
        if raw is None:
            return None
        if _STRICT.encode() in raw:
            for strict, usual in _NAMESPACES:
                raw = raw.replace((_STRICT + strict).encode(), (_OFFICE + usual).encode())
        try:
            return parse_xml(raw)
        except XMLSyntaxError as exc:
            if part == self.main:
                raise self._parts.broken(exc) from exc
        self.missing.append(part)
        return None

    def read(self, part: str) -> bytes | None:
        """A part's bytes; None if it is not there or damaged, which `missing` then names.

        Raises:
            LoadError: It is the main part, is encrypted, or unpacks to too much.
        """
        try:
            return self._parts.read(part)
        except DAMAGE as exc:
            if part == self.main:
                raise self._parts.broken(exc) from exc
        self.missing.append(part)
        return None

    def relations(self, part: str) -> dict[str, Relation]:
        """What a part refers to within the file, by id; "" stands for the whole file."""
        folder, base = posixpath.split(part)
        source = posixpath.join(folder, "_rels", f"{base}.rels")
        root = self.xml(source) if source in self._parts else None
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

    def title(self) -> str:
        """The title that the file's properties name, or ""."""
        properties = self.part_of("core-properties", self.relations(""))
        found = properties.find(_TITLE) if properties is not None else None
        return clean_title((found.text or "") if found is not None else "")
