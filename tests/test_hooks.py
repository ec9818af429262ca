"""What a program hangs into a pipeline: a splitter, a prompt, events, stores of its own."""

from __future__ import annotations

import os
import re
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from fixed_chat import FixedChat
from hash_embedder import HashEmbedder, contents, dense
from memory_store import MemoryStore

from ragkit.config import Config
from ragkit.errors import IndexNotFoundError, InputError, StoreError
from ragkit.ingest.child import APART_BYTES
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ragkit.protocols import VectorStore
    from ragkit.records import Document, Hit, TraceEvent

TEXT = "# Fees\n\nThe fee is five dollars.\n\n# Hours\n\nThe desk opens at noon.\n"
WORDS = Config().with_values({"models.embedder": "none", "search.mode": "keyword"})


def lines(document: Document) -> Iterable[tuple[int, int]]:
    return [found.span() for found in re.finditer(r"[^\n]*\n", document.text)]


def test_a_splitter_says_where_documents_are_cut(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": TEXT})
    embedder = HashEmbedder()
    with Pipeline(tmp_path / "index", WORDS, splitter=lines) as rag:
        rag.index(docs)
        rag.add("One.\n\nTwo.\n", id="t")
        (hit,) = rag.search("desk")
        back = rag.get("t")

        assert hit.text == "The desk opens at noon."
        assert hit.heading == ("Hours",)
        assert rag.stats().chunks == 6
        assert back is not None
        assert back.text == "One.\n\nTwo.\n"
    assert embedder.sent == []


BY_LINES = """
import os, re
from pathlib import Path

def lines(document):
    Path(__file__).with_name("pids").open("a").write(f"{os.getpid()}\\n")
    return [found.span() for found in re.finditer(r"[^\\n]*\\n", document.text)]
"""


@pytest.mark.parametrize("name", ["own_lines:lines", "by-lines"])
def test_a_named_splitter_runs_in_the_process_that_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    package = {
        "own_lines.py": BY_LINES,
        "own-1.dist-info/METADATA": "Name: own\nVersion: 1\n",
        "own-1.dist-info/entry_points.txt": "[ragkit.splitters]\nby-lines = own_lines:lines\n",
    }
    monkeypatch.syspath_prepend(str(write_files(tmp_path / "package", package)))
    docs = write_files(tmp_path / "docs", {"a.md": TEXT, "b.txt": f"{'x' * APART_BYTES}\n"})
    with Pipeline(tmp_path / "index", WORDS, splitter=name) as rag:
        report = rag.index(docs)
        (hit,) = rag.search("desk")
    ran = set((tmp_path / "package/pids").read_text().split())

    assert (report.added, report.chunks) == (("a.md", "b.txt"), 5)
    assert hit.text == "The desk opens at noon."
    assert len(ran) == 1
    assert str(os.getpid()) not in ran


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("by-page", "no installed package has a splitter 'by-page'"),
        ("nowhere:split", "cannot be imported: ModuleNotFoundError"),
        ("os:nothing", "cannot be imported: AttributeError"),
    ],
)
def test_a_splitter_that_is_not_there_is_told_before_anything_is_made(
    tmp_path: Path, name: str, said: str
) -> None:
    with Pipeline(tmp_path / "index", WORDS, splitter=name) as rag:
        with pytest.raises(InputError, match=said):
            rag.add("One.")
        assert not rag.exists


@pytest.mark.parametrize(
    ("spans", "said"),
    [([(0, 999)], "0 to 999 are no chunk"), ([(5, 9), (1, 4)], "1 to 4"), ([(3, 1)], "3 to 1")],
)
def test_a_splitter_that_is_wrong_fails_the_document_alone(
    tmp_path: Path, spans: list[tuple[int, int]], said: str
) -> None:
    docs = write_files(tmp_path / "docs", {"a.md": TEXT, "b.txt": "x"})

    def wrong(document: Document) -> Iterable[tuple[int, int]]:
        return spans if document.path == "a.md" else lines(document)

    with Pipeline(tmp_path / "index", WORDS, splitter=wrong) as rag:
        report = rag.index(docs)
    assert report.added == ("b.txt",)
    assert said in report.failed[0].reason


def test_a_splitter_that_raises_fails_the_document_and_the_run_goes_on(tmp_path: Path) -> None:
    def broken(document: Document) -> Iterable[tuple[int, int]]:
        raise KeyError(document.path)

    with Pipeline(tmp_path / "index", WORDS, splitter=broken) as rag:
        report = rag.add(["One.", "Two."])
    assert [f.reason for f in report.failed] == [
        f"cannot be split: KeyError: '{f.path}'" for f in report.failed
    ]
    assert len(report.failed) == 2


def test_a_prompt_stands_behind_the_rules_in_answers_and_conversations(tmp_path: Path) -> None:
    chat = FixedChat()
    with Pipeline(tmp_path / "index", WORDS, chat=chat, prompt="Be formal.") as rag:
        rag.add(TEXT, id="fees")
        answer = rag.ask("What is the fee in dollars?")
        rag.chat().ask("What is the fee in dollars?")
        rag.chat(system="Be brief.").ask("What is the fee in dollars?")
    said = [request.messages[0].content for request in chat.requests]

    assert answer.sentences[0].status == "quoted"
    assert all(text.startswith("You answer questions from passages") for text in said)
    assert ["Be formal." in text for text in said] == [True, True, False]


def test_events_tell_of_each_stage_with_its_counts(tmp_path: Path) -> None:
    events: list[TraceEvent] = []
    chat, embedder = FixedChat(), HashEmbedder()
    config = Config()
    with Pipeline(
        tmp_path / "index", config, chat=chat, embedder=embedder, on_event=events.append
    ) as rag:
        rag.add(TEXT, id="fees")
        rag.ask("What is the fee in dollars?")
    told = {event.stage: event.counts for event in events}

    assert list(told) == ["add", "embed", "search", "context", "chat", "prove"]
    assert told["add"] == {
        "added": 1, "changed": 0, "removed": 0, "failed": 0, "chunks": 1, "embedded": 1,
    }  # fmt: skip
    assert told["search"]["hits"] == 1
    assert told["chat"]["answer_tokens"] == 7
    assert told["prove"] == {"sentences": 1, "citations": 1}
    assert all(event.seconds >= 0 and not event.error for event in events)


def test_a_stage_that_fails_is_told_with_its_error(tmp_path: Path) -> None:
    events: list[TraceEvent] = []
    with Pipeline(tmp_path / "index", WORDS, on_event=events.append) as rag:
        rag.add("x")
        with pytest.raises(InputError):
            rag.add("")
        with pytest.raises(StoreError):
            rag.search("x", as_of=9)
    assert [(e.stage, e.error) for e in events[1:]] == [
        ("add", "InputError"),
        ("search", "StoreError"),
    ]


class MemoryDriver:
    """Keeps the stores of a test by their URLs."""

    def __init__(self) -> None:
        self.stores: dict[str, MemoryStore] = {}

    def exists(self, location: str) -> bool:
        return location in self.stores

    def open(self, location: str) -> VectorStore:
        if location not in self.stores:
            raise IndexNotFoundError(location, location)
        return self.stores[location].view()

    def create(
        self, location: str, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any]
    ) -> VectorStore:
        self.stores[location] = MemoryStore.create(embedder, splitter)
        return self.stores[location].view()


DRIVER = MemoryDriver()


def test_a_url_is_opened_by_the_store_of_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = EntryPoints(
        [
            EntryPoint("ram", "test_hooks:DRIVER", "ragkit.stores"),
            EntryPoint("bad", "test_hooks:NOTHING", "ragkit.stores"),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", installed.select)
    docs = write_files(tmp_path / "docs", {"a.md": TEXT})
    with Pipeline.open("ram://one", WORDS) as rag:
        rag.index(docs)
        rag.add("A text.", id="t")
    with Pipeline("RAM://one", WORDS) as upper, pytest.raises(IndexNotFoundError):
        upper.search("fee")
    with Pipeline("ram://one", WORDS) as rag:
        assert rag.search("fee")[0].path == "a.md"
        assert rag.delete("t") == ("t",)
        assert "ram://one" in repr(rag)
    with pytest.raises(StoreError, match="test_hooks:NOTHING cannot be loaded"):
        Pipeline("bad://x").search("fee")
    with pytest.raises(StoreError, match=r"no store for s3 URLs.*ragkit\.stores"):
        Pipeline.open("s3://x").search("fee")


def test_a_given_order_of_hits_counts(tmp_path: Path) -> None:
    class Backwards:
        def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
            assert question == "anything"
            return [*reversed(hits)]

    docs = write_files(tmp_path / "docs", {"a.md": TEXT, "b.txt": "Other."})
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)
        before = [hit.path for hit in rag.search("anything")]
        assert len(contents(rag)) == len(before)
    with Pipeline(
        tmp_path / "index", rag.config, embedder=HashEmbedder(), reranker=Backwards()
    ) as other:
        assert [hit.path for hit in other.search("anything")] == before[::-1]
