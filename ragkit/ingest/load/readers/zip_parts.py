"""The parts of a file that is a ZIP archive of XML, under limits: such a file may be a bomb."""

from __future__ import annotations

import posixpath
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 -- it is a class

from ragkit.errors import LoadError

if TYPE_CHECKING:
    from lxml.etree import _Element

MOST_MEMBERS = 50_000
MOST_BYTES = 500_000_000
"""What all parts of a file that are read may hold together."""

MOST_RATIO = 250
"""Bytes to which one byte of a part may unpack; XML of long runs of alike cells comes to 100."""

_SMALL = 1_000_000  # bytes up to which any ratio is harmless
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How older office files begin, and newer ones that are encrypted."""

DAMAGE = (KeyError, BadZipFile, ZlibError, EOFError, OSError, ValueError)
"""What reading a part fails with if it is not there or damaged."""


class ZipParts:
    """A file's parts by name, whatever the case of the letters.

    Args:
        data: The file.
        name: What errors call it.
        label: What it should be, e.g. ``DOCX``.

    Attributes:
        names: Of all parts as the archive has them, by their lower-case spelling with ``/``.

    Raises:
        LoadError: It is no archive, or one of too many members.
    """

    def __init__(self, data: bytes, name: str, label: str) -> None:
        self._name, self._label = name, label
        self._unpacked = 0
        try:
            self._zip = ZipFile(BytesIO(data))
        except (BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as exc:
            raise self.broken(exc) from exc
        if len(self._zip.filelist) > MOST_MEMBERS:
            msg = f"holds {len(self._zip.filelist):,} parts, more than {MOST_MEMBERS:,}"
            raise LoadError(msg, name)
        self.names = {n.lower().replace("\\", "/"): n for n in self._zip.namelist()}

    def __contains__(self, part: str) -> bool:
        return part.lower() in self.names

    def size(self, part: str) -> int:
        """The bytes of a part that is there, as the archive states them."""
        return self._zip.getinfo(self.names[part.lower()]).file_size

    def read(self, part: str) -> bytes:
        """A part's bytes.

        Raises:
            KeyError: There is no such part; see `DAMAGE` for what else a damaged one raises.
            LoadError: It is encrypted, packed in an unknown way, or unpacks to too much.
        """
        info = self._zip.getinfo(self.names[part.lower()])
        self.allow(part)
        try:
            return self._zip.read(info)
        except (NotImplementedError, RuntimeError) as exc:
            raise self.broken(exc) from exc

    def allow(self, part: str) -> None:
        """Count a part as read.

        Raises:
            LoadError: All that is read would be too much, or the part is packed like a bomb.
        """
        info = self._zip.getinfo(self.names[part.lower()])
        self._unpacked += info.file_size
        is_dense = info.file_size > max(_SMALL, MOST_RATIO * info.compress_size)
        if is_dense or self._unpacked > MOST_BYTES:
            msg = (
                f"unpacks to {self._unpacked / 1e6:,.0f} MB and more, like a zip bomb: at most "
                f"{MOST_BYTES / 1e6:,.0f} MB, and {MOST_RATIO} times what is packed, are read"
            )
            raise LoadError(msg, self._name)

    def xml(self, part: str) -> _Element:
        """A part that is there as XML.

        Raises:
            LoadError: It is damaged or no XML.
        """
        from lxml.etree import XMLSyntaxError

        try:
            return parse_xml(self.read(part))
        except (*DAMAGE, XMLSyntaxError) as exc:
            raise self.broken(exc) from exc

    def xml_if_any(self, part: str) -> _Element | None:
        """A part as XML; None where it is missing or broken."""
        from lxml.etree import XMLSyntaxError

        try:
            return parse_xml(self.read(part)) if part in self else None
        except (*DAMAGE, XMLSyntaxError):
            return None

    def broken(self, exc: Exception) -> LoadError:
        """The error of a file that is not what it should be."""
        return LoadError(f"not a readable {self._label}: {exc}", self._name)


def parse_xml(raw: bytes) -> _Element:
    """Parse XML; entities of its own are not resolved, and nothing is fetched.

    Raises:
        lxml.etree.XMLSyntaxError: It is not well-formed.
        MemoryError: There is no memory for it.
    """
    from lxml import etree

    # huge_tree: a document of one paragraph of 10 MB is rare and sound; `MOST_BYTES` bounds it.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True
    )
    try:
        return etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as exc:
        if ran_out_of_memory(exc):
            raise MemoryError from exc
        raise


def ran_out_of_memory(exc: Exception) -> bool:
    """Whether libxml2 had no memory left, of which it may say nothing at all."""
    said = str(exc).lower()
    return "memory" in said or said.startswith("unknown error")


def part_path(base: str, reference: str) -> str:
    """The name of the part that a part refers to.

    >>> part_path("OEBPS/text/one.xhtml", "../img/a%20b.png#top")
    'OEBPS/img/a b.png'
    """
    target = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(base), target)).lstrip("/")
