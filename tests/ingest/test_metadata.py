"""What files say of themselves: front matter, properties of PDF and office files."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from pypdf import PdfWriter

from ragkit.config import Config
from ragkit.ingest.load.readers.docx import read_docx
from ragkit.ingest.load.readers.markdown_source import read_markdown
from ragkit.ingest.load.readers.properties import pdf_properties
from ragkit.pipeline import Pipeline
from ragkit.records import Condition, Filter

if TYPE_CHECKING:
    from pathlib import Path

YAML = """---
title: Fees
author: [Chen, Lee]
date: 2024-03-31
at: 2024-03-31T08:00:00Z
year: 2024
draft: false
empty:
notes: mine
deep: {a: [1, .nan]}
3: three
---
# Fees

The fee is five dollars.
"""


def metadata_of(text: str) -> dict[str, Any]:
    return read_markdown(text.encode(), "a.md").metadata


def test_yaml_front_matter_becomes_json_values() -> None:
    assert metadata_of(YAML) == {
        "title": "Fees",
        "author": ["Chen", "Lee"],
        "date": "2024-03-31",
        "at": "2024-03-31T08:00:00+00:00",
        "year": 2024,
        "draft": False,
        "notes_": "mine",
        "deep": {"a": [1, "nan"]},
        "3": "three",
    }


def test_toml_front_matter_becomes_json_values() -> None:
    text = '+++\ntitle = "T"\ndate = 2024-03-31\n[extra]\nn = [1, 2]\n+++\nBody.'
    assert metadata_of(text) == {"title": "T", "date": "2024-03-31", "extra": {"n": [1, 2]}}


@pytest.mark.parametrize(
    "text",
    ["", "---", "Body.", "---\nA rule above,\n---\nand below.", "---\n- a\n- b\n---\n", "--- a"],
)
def test_what_is_no_front_matter_is_text(text: str) -> None:
    assert metadata_of(text) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\ntitle: a: b\n---\n", "mapping values are not allowed"),
        ("+++\ntitle = \n+++\n", "Invalid value"),
        ("---\na: &x [1]\nb: *x\n---\n", "aliases"),
        ("---\na: " + "[" * 30 + "]" * 30 + "\n---\n", "too deeply"),
        ("---\na: " + "[" * 5000 + "]" * 5000 + "\n---\n", "too deeply|maximum recursion"),
        ("---\ndate: 2024-13-45\n---\n", "month must be in"),
        ("---\na: !!python/object/apply:os.system [ls]\n---\n", "could not determine"),
    ],
)
def test_front_matter_that_cannot_be_read_is_noted_and_the_text_stays(text: str, said: str) -> None:
    parsed = read_markdown(f"{text}Body.".encode(), "a.md")
    assert parsed.text.endswith("Body.")
    ((note,),) = parsed.metadata.values()
    assert note.startswith("its front matter cannot be read")
    assert json.dumps(note)
    assert re.search(said, note)


def test_properties_of_a_pdf() -> None:
    from pypdf import PdfReader

    writer = PdfWriter()
    writer.add_blank_page(10, 10)
    dates = {"/CreationDate": "D:20240331080000Z", "/ModDate": "nonsense"}
    writer.add_metadata({"/Author": "Chen  Wei", "/Keywords": "a, b", "/Subject": ""} | dates)
    data = io.BytesIO()
    writer.write(data)

    said = pdf_properties(PdfReader(data))
    assert said == {
        "author": "Chen Wei",
        "keywords": "a, b",
        "created": datetime(2024, 3, 31, 8, tzinfo=UTC).isoformat(),
    }


def test_properties_of_a_word_file() -> None:
    docx = pytest.importorskip("docx")
    document, data = docx.Document(), io.BytesIO()
    document.add_paragraph("Text.")
    document.core_properties.author = "Chen"
    document.core_properties.keywords = "a, b"
    document.core_properties.created = datetime(2024, 3, 31, 8)  # noqa: DTZ001 -- as it wants it
    document.save(data)

    said = read_docx(data.getvalue(), "a.docx").metadata
    assert (said["author"], said["keywords"]) == ("Chen", "a, b")
    assert said["created"].startswith("2024-03-31T08:00")


def test_metadata_of_files_are_on_hits_and_in_filters(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"fees.md": YAML, "b.md": "The fee is ten dollars."})
    config = Config().with_values({"models.embedder": "none", "models.chat": "none"})
    with Pipeline(tmp_path / "index", config) as rag:
        rag.index(docs)
        chosen = Filter(where=(Condition("author", "=", "Lee"), Condition("date", ">=", "2024")))
        (hit,) = rag.search("fee", restrict=chosen)
        answer = rag.ask("What is the fee?", restrict=chosen)

    assert hit.path == "fees.md"
    assert hit.metadata["author"] == ["Chen", "Lee"]
    assert answer.citations[0].metadata == hit.metadata
