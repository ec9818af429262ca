"""Packed files, and files whose names do not tell what they are."""

from __future__ import annotations

import bz2
import gzip
from typing import TYPE_CHECKING

import pytest

from ragkit.config import LoadSettings
from ragkit.errors import LoadError, UnsupportedFormatError
from ragkit.ingest.load import Parser, load_document, walk_files
from ragkit.ingest.load.content import HEAD_BYTES, NOT_TEXT, kind_by_content

if TYPE_CHECKING:
    from pathlib import Path

    from ragkit.records import Document

SETTINGS = LoadSettings(max_file_mb=1)


def load(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    with Parser(SETTINGS) as parser:
        return load_document(path, root=path.parent, settings=SETTINGS, parser=parser)


def test_a_packed_file_is_of_the_kind_of_what_is_packed(tmp_path: Path) -> None:
    found = load(tmp_path / "harbour.LOG.gz", gzip.compress(b"Tide\n") + gzip.compress(b"low\n"))
    assert (found.kind, found.text, found.title) == ("text", "Tide\nlow\n", "harbour.LOG")
    rows = load(tmp_path / "a.csv.gz", gzip.compress(b"craft,fee\nyacht,12\n"))
    assert (rows.kind, rows.text) == ("csv", "craft: yacht; fee: 12")
    with pytest.raises(UnsupportedFormatError, match=r"no reader for \.gz"):
        load(tmp_path / "photo.xyz.gz", gzip.compress(b"x"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(b" " * 2_000_000), "unpacks to more than 1 MB"),
        (gzip.compress(b"Text " * 1000)[:-9], "not a readable gzip file"),
        (b"plain text", "not a readable gzip file"),
        (bz2.compress(b"text"), "not a readable gzip file"),
        (gzip.compress(b"\x89PNG\0\0" * 99), "looks binary"),
    ],
    ids=["bomb", "cut", "plain", "bzip2", "binary"],
)
def test_packed_files_that_are_wrong_fail_clearly(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        load(tmp_path / "a.txt.gz", data)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"Berth 4 is free.\n", "text"),
        ("\ufeffLiegeplatz für vier\n".encode(), "text"),
        ("船位空着 了".encode(), "text"),
        (b"#!/usr/bin/env python3\nprint(1)\n", "code"),
        (b"From a@x.example Tue Mar  5 14:07:00 2024\nSubject: x\n", "mbox"),
        (b"From then on\n", "text"),
        (("é " * HEAD_BYTES).encode()[1:], None),
        (("a" + " é" * HEAD_BYTES).encode(), "text"),
        (b"caf\xe9 in Latin-1\n", None),
        (b"text with a \0 in it", None),
        (b"text with a \x1b in it", "text"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n", None),
        (b"ssh-ed25519 AAAAC3Nz ann@port\n", None),
        (b"d41d8cd98f00b204e9800998ecf8427e", None),
        (b"\x7fELF\x02\x01\x01", None),
        (b"", None),
    ],
)
def test_only_what_is_plainly_text_counts_without_a_suffix(head: bytes, kind: str | None) -> None:
    assert kind_by_content(head) == kind


def test_text_without_a_suffix_is_read_and_told(tmp_path: Path) -> None:
    found = load(tmp_path / "minutes", b"Berth 4 is free.\n")
    assert (found.kind, found.text, found.title) == ("text", "Berth 4 is free.\n", "minutes")
    assert found.notes == ("its name has no suffix: it was read as text, which its content is",)
    with pytest.raises(UnsupportedFormatError, match=NOT_TEXT):
        load(tmp_path / "program", b"\x7fELF\0\0")
    assert load(tmp_path / "Makefile", b"all:\n\techo\n").notes == ()
    (tmp_path / "empty").touch()
    entries = {e.relative: (e.status, e.reason) for e in walk_files(tmp_path, SETTINGS)}
    assert entries == {
        "Makefile": ("file", ""),
        "empty": ("skipped", "no reader for files without a suffix"),
        "minutes": ("file", ""),
        "program": ("skipped", NOT_TEXT),
    }
