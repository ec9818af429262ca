"""What goes wrong while folders are indexed: each command ends in words, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import make_files
import pytest
from commands import Shell, write_files
from ollama_double.server import Fault, OllamaServer

from ragkit import Config, Pipeline

if TYPE_CHECKING:
    from pathlib import Path

UNSUPPORTED_NAN = {"error": "failed to encode response: json: unsupported value: NaN"}


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        ({"status": 404, "body": {"error": 'model "m" not found'}}, 13, "try: ragkit models pull"),
        ({"status": 500, "body": {"error": "no luck"}}, 3, "cannot be embedded: no luck"),
        ({"status": 503, "body": {"error": "server busy"}}, 13, "server busy (HTTP 503)"),
        ({"vector": [0.5] * 100}, 13, "a vector of length 100, not 256"),
        ({"status": 500, "body": UNSUPPORTED_NAN}, 3, "unsupported value: NaN"),
        ({"vector": []}, 3, "cannot be embedded: the model gave an empty vector"),
        ({"vector": [0.0] * 256}, 3, "a zero vector"),
        ({"drop_after": 0}, 13, "the connection ended before the reply was complete"),
    ],
    ids=["404", "500", "503", "dimension", "nan", "empty", "zero", "drop"],
)
def test_an_ingest_that_the_server_fails_ends_in_words_and_loses_nothing(
    tmp_path: Path, ollama: OllamaServer, reply: dict[str, Any], code: int, said: str
) -> None:
    old = {"travel.txt": "Rail travel is booked by the office.\n", "kitchen.txt": "Open at noon.\n"}
    docs = write_files(tmp_path / "docs", old)
    config = Config().with_values({"models.backend": "ollama", "models.ollama_host": ollama.url})
    with Pipeline(tmp_path / "indexes/docs", config) as rag:
        rag.index(docs)
        write_files(docs, {"travel.txt": "Here is a new rule.\n", "new.txt": "Is a new rule.\n"})
        ollama.faults.append(Fault("/api/embeddings", times=None, match="a new rule", **reply))

        run = Shell(tmp_path, ollama.url, RAGKIT_MODELS_RETRIES="0")("index", "docs", code=code)

        assert said in run.out + run.err
        assert "Traceback" not in run.err
        assert [d.path for d in rag.documents()] == ["kitchen.txt", "new.txt", "travel.txt"]
        words = Config().with_values({"search.mode": "keyword"})
        with Pipeline(rag.path, words) as reader:
            found = [(hit.path, hit.text) for hit in reader.search("new rule")]
        assert sorted(found) == [
            ("new.txt", "Is a new rule."),
            ("travel.txt", "Here is a new rule."),
        ]
        assert sorted(hit.path for _, hit in rag.store.waiting()) == ["new.txt", "travel.txt"]
        ollama.faults.clear()
        report = rag.index(docs)
        assert rag.stats().waiting == 0
    assert (report.added, report.changed, report.embedded) == ((), (), 2)
    assert sorted(report.unchanged) == ["kitchen.txt", "new.txt", "travel.txt"]


def test_a_model_that_gives_no_vectors_is_said_once_and_loses_nothing(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    docs = write_files(tmp_path / "docs", {"travel.txt": "Rail travel is booked.\n"})
    shell = Shell(tmp_path, ollama.url, RAGKIT_MODELS_RETRIES="0")
    shell("index", "docs")
    write_files(docs, {f"{n}.txt": f"Matter number {n}.\n" for n in range(3)})
    ollama.faults.append(Fault("/api/embeddings", times=None, vector=[]))

    update = shell("index", "docs", code=13)
    create = shell("index", "docs", "-i", "new", code=13)

    for run in (update, create):
        assert (
            "ragkit: nomic-embed-text:latest gave an empty vector for every text: it is no "
            "embedding model, or its server cannot run it; choose another with models.embedder "
            "or --embedder"
        ) in run.err.splitlines()
    assert not (tmp_path / "indexes/new").exists()
    listed = shell("list", "-i", "docs", "--json").json
    assert [d["path"] for d in listed] == ["0.txt", "1.txt", "2.txt", "travel.txt"]
    assert "vectors of 3 of 4 passages are not made yet" in shell("list", "-i", "docs").err


def test_files_that_cannot_be_read_are_named_and_their_older_text_stays(
    tmp_path: Path, ollama: OllamaServer
) -> None:
    kinds = ("locked.pdf", "torn.pdf", "binary.txt", "torn.json")
    good = make_files.pdf(["Rail travel is booked."])
    old = {name: good if name.endswith("pdf") else '"Rail travel is booked."' for name in kinds}
    docs = write_files(tmp_path / "docs", old)
    shell = Shell(tmp_path, ollama.url)
    shell("index", "docs")
    write_files(
        docs,
        {
            "locked.pdf": make_files.pdf(["Secret."], password="x"),  # noqa: S106 -- of a test file
            "torn.pdf": b"%PDF-1.7 torn off",
            "binary.txt": bytes(range(256)) * 20,
            "torn.json": '{"rail": ',
        },
    )
    (docs / "dangling.txt").symlink_to("nowhere.txt")

    run = shell("index", "docs", code=3)
    shown = shell("index", "docs", "--files", code=3)

    told = [line for line in run.out.splitlines() if line.startswith("  ")]
    lines = {line.split()[1].rstrip(":"): line for line in told}
    assert sorted(lines) == sorted(kinds)
    assert all(line.startswith("  stale ") and "old text kept: " in line for line in lines.values())
    for name, reason in zip(kinds, ("password", "PDF", "binary", "line 1"), strict=True):
        assert reason in lines[name]
    assert "Traceback" not in run.err
    assert "  skipped    dangling.txt: broken symbolic link" in shown.out
    hits = shell("search", "rail travel", "--mode", "keyword", "--json").json
    assert sorted(hit["path"] for hit in hits) == sorted(kinds)
