"""Which roots a run holds, where a store lets runs of different ones go on at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from memory_store import MemoryStore

from ragkit.config import Config
from ragkit.errors import ModelUnavailableError
from ragkit.ingest.embed import embedder_record
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class HoldingStore(MemoryStore):
    """Tells its writers which roots they hold; `first` is called before the next one begins."""

    held: list[Sequence[str] | None]
    first: Callable[[], Any] | None = None

    @contextmanager
    def writing(self, command: str, *, roots: Sequence[str] | None = None) -> Iterator[Any]:
        call, self.first = self.first, None
        if call:
            call()
        with super().writing(command) as writer:
            self.held.append(roots)
            writer.roots = None if roots is None else tuple(roots)  # type: ignore[assignment]
            yield writer


class BrokenEmbedder(HashEmbedder):
    """A model that is not there."""

    def embed_documents(self, texts: Sequence[str]) -> Any:
        raise ModelUnavailableError(str(len(texts)))


@pytest.fixture
def store() -> HoldingStore:
    splitter = {"chunk_tokens": Config().split.chunk_tokens}
    splitter["overlap_tokens"] = Config().split.overlap_tokens
    made = HoldingStore.create(embedder_record(HashEmbedder()), splitter)
    assert isinstance(made, HoldingStore)
    made.held = []
    return made


@pytest.fixture
def rag(store: HoldingStore) -> Iterator[Pipeline]:
    with Pipeline(store=store, embedder=HashEmbedder()) as opened:
        yield opened


def test_a_run_holds_the_roots_it_was_asked_for(
    tmp_path: Path, store: HoldingStore, rag: Pipeline
) -> None:
    one = write_files(tmp_path / "one", {"a.txt": "pears", "inner/b.txt": "plums"})
    two = write_files(tmp_path / "two", {"c.txt": "cherries"})
    rag.index(one, two / "c.txt")
    write_files(one, {"inner/b.txt": "plums again"})
    rag.index(one / "inner")  # it lies in a folder that is a root
    rag.add("The canteen opens at noon.", id="canteen")
    (one / "a.txt").unlink()
    rag.index(prune=True)
    rag.remove("c.txt")
    assert store.held == [(str(one), str(two)), (str(one),), ("program:",), None, None]


def test_a_run_that_meets_other_roots_than_it_holds_begins_again(
    tmp_path: Path, store: HoldingStore, rag: Pipeline
) -> None:
    """Another one has taken in the folder around it meanwhile."""
    inner = write_files(tmp_path / "docs/inner", {"b.txt": "plums"})
    write_files(tmp_path / "docs", {"a.txt": "pears"})
    with Pipeline(store=store, embedder=HashEmbedder()) as other:
        rag.index(inner)

        def take_in() -> None:
            other.index(tmp_path / "docs")
            write_files(inner, {"c.txt": "cherries"})

        write_files(inner, {"b.txt": "plums again"})
        store.first = take_in
        report = rag.index(inner)
    assert report.added == ("inner/c.txt",)
    docs = str(tmp_path / "docs")
    assert store.held == [(str(inner),), (docs, str(inner)), (str(inner),), (docs,)]
    assert [(d.root, d.path) for d in rag.documents()] == [
        (docs, "a.txt"), (docs, "inner/b.txt"), (docs, "inner/c.txt"),
    ]  # fmt: skip


def test_vectors_are_made_for_the_roots_that_a_run_holds(
    tmp_path: Path, store: HoldingStore, rag: Pipeline
) -> None:
    one = write_files(tmp_path / "one", {"a.txt": "pears"})
    two = write_files(tmp_path / "two", {"b.txt": "plums"})
    with Pipeline(store=store, embedder=BrokenEmbedder()) as broken:
        for folder in (one, two):
            with pytest.raises(ModelUnavailableError):
                broken.index(folder)
    assert sorted(hit.path for _, hit in store.waiting()) == ["a.txt", "b.txt"]
    rag.index(one)
    assert [hit.path for _, hit in store.waiting()] == ["b.txt"]
    rag.index()
    assert list(store.waiting()) == []
