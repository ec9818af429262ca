"""Places of documents over a socket: their text, their chunks, and pages of a PDF as pictures."""

from __future__ import annotations

import os
import signal
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from make_files import drawn_pdf, line
from served import make_index, serving

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.serve.page_marks import find_words, line_boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.records import Hit

OWN = "/ragkit/v1"
CHAPTERS = "".join(f"# Chapter {n}\n\n" + f"Chapter {n} is about apples. " * 40 for n in range(6))
UPRIGHT = line(72, 700, "The notice period is three months.") + line(72, 300, "Nothing else.")
TURNED = line(72, 700, "Rail travel is second class")
FILES = {
    "chapters.md": CHAPTERS,
    "staff.pdf": drawn_pdf(UPRIGHT, line(72, 700, "Page two says nothing.")),
    "turned.pdf": drawn_pdf(TURNED, page="/Rotate 90"),
}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    make_index(folder / "library", FILES).close()
    return folder


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes) as address:
        yield address


def get(url: str, path: str, **parameters: Any) -> requests.Response:
    return requests.get(url + OWN + path, params=parameters, timeout=60)


def find(indexes: Path, question: str) -> Hit:
    with Pipeline(indexes / "library", Config()) as rag:
        return rag.search(question, k=1)[0]


def place_of(hit: Hit, words: str) -> dict[str, Any]:
    start = hit.start + hit.text.index(words)
    return {"doc_id": hit.doc_id, "start": start, "end": start + len(words)}


def pixels(png: bytes) -> Any:
    from PIL import Image

    return Image.open(BytesIO(png)).convert("L")


def test_a_passage_is_told_with_its_neighbours(url: str, indexes: Path) -> None:
    hit = find(indexes, "chapter 3 apples")
    with Pipeline(indexes / "library", Config()) as rag:
        content = rag.store.content(hit.doc_id)
    assert content is not None
    chunks = content[1]
    ours = next(chunk for chunk in chunks if chunk.ordinal == 3)

    shown = get(
        url, "/passages", doc_id=hit.doc_id, start=ours.start, end=ours.end, neighbours=1
    ).json()

    assert len(chunks) > 4
    told = {(n["side"], n["chunk_id"], n["text"]) for n in shown["neighbours"]}
    touched = [c for c in chunks if c.start < ours.end and ours.start < c.end]
    before, behind = chunks[touched[0].ordinal - 1], chunks[touched[-1].ordinal + 1]
    assert told == {
        ("before", before.chunk_id, before.text),
        ("behind", behind.chunk_id, behind.text),
    }
    assert shown["chunks"] == [chunk.chunk_id for chunk in touched]


@pytest.mark.parametrize("words", ["three months", "The notice period is three months."])
def test_the_words_of_a_place_are_marked_where_they_are_seen(
    url: str, indexes: Path, words: str
) -> None:
    place = place_of(find(indexes, "notice period"), words)
    (page,) = get(url, "/page-marks", **place).json()["pages"]
    picture = pixels(get(url, "/page-picture", doc_id=place["doc_id"], page=1).content)

    assert (page["number"], page["width"], page["height"]) == (1, 595, 842)
    assert page["is_whole"]
    (box,) = page["boxes"]
    left, top, right, bottom = box
    # The line's foot lies 700 points above the lower edge, and its letters are 11 points high.
    assert top < 1 - 705 / 842 < bottom < 1 - 695 / 842
    assert bottom - top < 20 / 842
    width, height = picture.size
    marked = picture.crop((left * width, top * height, right * width, bottom * height))
    assert marked.getextrema() == (0, 255)
    blank = picture.crop((left * width, bottom * height + 5, right * width, height * 0.5))
    assert blank.getextrema() == (255, 255)


def test_the_page_of_a_turned_sheet_is_marked_as_it_is_seen(url: str, indexes: Path) -> None:
    place = place_of(find(indexes, "rail travel"), "Rail travel is second class")
    (page,) = get(url, "/page-marks", **place).json()["pages"]
    picture = pixels(get(url, "/page-picture", doc_id=place["doc_id"], page=1).content)

    width, height = picture.size
    assert width > height
    ink = picture.point(lambda value: 255 - value).getbbox()
    assert ink is not None
    # All ink of the page lies within the boxes, which follow the letters downwards.
    boxes = page["boxes"]
    around = (
        min(box[0] for box in boxes) * width - 2,
        min(box[1] for box in boxes) * height - 2,
        max(box[2] for box in boxes) * width + 2,
        max(box[3] for box in boxes) * height + 2,
    )
    assert around[0] <= ink[0] < ink[2] <= around[2]
    assert around[1] <= ink[1] < ink[3] <= around[3]


def test_a_picture_is_not_sent_twice(url: str, indexes: Path) -> None:
    doc_id = find(indexes, "notice period").doc_id
    first = get(url, "/page-picture", doc_id=doc_id, page=2)
    again = requests.get(
        f"{url}{OWN}/page-picture?doc_id={doc_id}&page=2",
        headers={"If-None-Match": first.headers["etag"]},
        timeout=10,
    )

    assert first.headers["content-type"] == "image/png"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "question", "more", "status"),
    [
        ("/page-picture", "notice", {"page": 3}, 400),
        ("/page-picture", "notice", {"page": 0}, 400),
        ("/page-picture", "notice", {}, 400),
        ("/page-picture", "apples", {"page": 1}, 415),
        ("/page-marks", "apples", {"start": 0, "end": 9}, 415),
        ("/page-marks", "notice", {"start": 0, "end": 10**9}, 400),
    ],
)
def test_what_has_no_such_page_is_told(
    url: str, indexes: Path, path: str, question: str, more: dict[str, int], status: int
) -> None:
    reply = get(url, path, doc_id=find(indexes, question).doc_id, **more)

    assert reply.status_code == status
    assert reply.json()["error"]["message"]


def test_no_other_file_than_the_indexed_one_is_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "library", {"staff.pdf": FILES["staff.pdf"]}).close()
    file = folder.parent / "library-files/staff.pdf"
    secret = tmp_path / "secret.pdf"
    secret.write_bytes(drawn_pdf(line(72, 700, "Secret.")))
    with serving(folder) as url:
        doc_id = find(folder, "notice").doc_id
        assert get(url, "/page-picture", doc_id=doc_id, page=1).status_code == 200

        file.unlink()
        gone = get(url, "/page-picture", doc_id=doc_id, page=1)
        file.symlink_to(secret)
        other = get(url, "/page-picture", doc_id=doc_id, page=1)
        named = get(url, "/page-picture", doc_id=str(secret), page=1)

    assert (gone.status_code, other.status_code, named.status_code) == (400, 409, 400)
    assert "has changed since it was indexed" in other.json()["error"]["message"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_a_file_that_kills_its_reader_kills_no_server(url: str, indexes: Path) -> None:
    doc_id = find(indexes, "notice period").doc_id
    assert get(url, "/page-picture", doc_id=doc_id, page=1).status_code == 200
    readers = [
        int(pid)
        for children in Path("/proc/self/task").glob("*/children")
        for pid in children.read_text().split()
        if b"ragkit.ingest.load.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    (reader,) = readers
    os.kill(reader, signal.SIGKILL)

    died = get(url, "/page-picture", doc_id=doc_id, page=1)
    again = get(url, "/page-picture", doc_id=doc_id, page=1)

    assert died.status_code in (200, 400)  # it was seen dead before it was asked, or after
    assert (again.status_code, again.content[:4]) == (200, b"\x89PNG")


def test_words_are_found_in_another_readers_order() -> None:
    page = "LeftonerightoneLefttworighttwo"
    found = find_words("Left one\nLeft two", page)

    assert "".join(page[place] for place in found.places) == "LeftoneLefttwo"
    assert found.is_whole
    assert find_words("ﬁve “fees”", "five'fees'").places == [*range(4), *range(5, 9)]
    assert find_words("停止 使用。", "请停止使用").places == [1, 2, 3, 4]
    assert line_boxes([]) == ()


def test_without_pdfium_a_picture_names_what_to_install(
    url: str, indexes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragkit.serve.page_pictures.has_pdfium", lambda: False)
    reply = get(url, "/page-picture", doc_id=find(indexes, "notice").doc_id, page=1)

    assert reply.status_code == 501
    assert "pip install" in reply.json()["error"]["message"]
