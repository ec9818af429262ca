"""A stand-in for text recognition, called in the sandbox: each line of a file is a picture."""

from __future__ import annotations

from pathlib import Path

from ragkit.ingest.load.aids import reading_aids
from ragkit.ingest.load.formats import Parsed
from ragkit.ingest.load.ocr import PICTURES
from ragkit.ingest.load.readers.picture import read_once
from ragkit.ingest.load.recognised import picture_key
from ragkit.records import Page


def read_scan(data: bytes, _name: str) -> Parsed:
    """A page without text for each line."""
    numbers = list(range(1, len(data.splitlines()) + 1))
    return Parsed("", "", None, tuple(Page(n, 0, 0) for n in numbers), {PICTURES: numbers})


def recognise(data: bytes, name: str) -> Parsed:
    """Read a page, and write down that it was read, beside the folder of the file."""
    line = data.splitlines()[reading_aids().page - 1].decode()

    def read() -> str:
        with Path(name).parent.with_name("recognised.log").open("a") as log:
            log.write(f"{line}\n")
        return f"text of {line}"

    return read_once(picture_key(line.encode(), (1, 1), "stand-in"), read)
