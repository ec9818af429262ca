"""A program that uses all of the library part: a test runs `mypy --strict` over it, and it runs."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit import (
    Answer,
    AsyncPipeline,
    ChatDone,
    Condition,
    Config,
    Document,
    Filter,
    Format,
    InputError,
    Parsed,
    Pipeline,
    TextDelta,
    from_json,
    to_json,
)
from ragkit.store.open import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ragkit import ChatRequest, Hit, Splitter, StoreDriver, TraceEvent, VectorStore

WORDS = Config().with_values({"models.embedder": "none", "search.mode": "keyword"})
ENTRY_POINTS = """
[ragkit.readers]
memo = library_script:MEMO
[ragkit.splitters]
whole = library_script:WHOLE
[ragkit.stores]
shelf = library_script:SHELF
"""


class Letters:
    """An embedder: how often each letter stands in a text."""

    backend, name, digest, dim, max_tokens = "own", "letters", "1", 26, 512
    options: Mapping[str, str] = {}

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [self.embed_query(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        row = np.array([1e-3 + text.lower().count(chr(97 + i)) for i in range(26)], np.float32)
        unit: NDArray[np.float32] = row / np.linalg.norm(row)
        return unit


class Parrot:
    """A chat model: it says one sentence."""

    name, digest, context_tokens = "parrot", "1", 4096

    def chat(self, request: ChatRequest) -> Iterator[TextDelta | ChatDone]:
        yield TextDelta("The fee is five dollars [1]." if request.messages else "")
        yield ChatDone("stop", None, None)


class Shortest:
    """A reranker: short passages first."""

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        return sorted(hits, key=lambda hit: (len(hit.text), question))


def read_fee(data: bytes, name: str) -> Parsed:
    return Parsed(data.decode(), title=name)


def whole(document: Document) -> Iterable[tuple[int, int]]:
    return [(0, len(document.text))]


class Shelf:
    """Keeps the stores of URLs such as ``shelf:///srv/memos`` in folders."""

    def exists(self, location: str) -> bool:
        return Path(self.folder(location)).exists()

    def open(self, location: str) -> VectorStore:
        return open_store(self.folder(location))

    def create(
        self, location: str, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any]
    ) -> VectorStore:
        return create_store(self.folder(location), embedder=embedder, splitter=splitter)

    def folder(self, location: str) -> str:
        return location.removeprefix("shelf://")


MEMO = Format("memo", (".memo",), "library_script:read_fee")
WHOLE: Splitter = whole
SHELF: StoreDriver = Shelf()


def use_installed(folder: Path) -> list[str]:
    """Use what a package names in its entry points."""
    (folder / "own-1.dist-info").mkdir()
    (folder / "own-1.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "own-1.dist-info/METADATA").write_text("Name: own\nVersion: 1\n")
    (folder / "memos").mkdir()
    (folder / "memos/lunch.memo").write_text("Lunch is at noon.\n\nThe desk opens at one.")
    sys.path.insert(0, str(folder))
    try:
        with Pipeline.open(f"shelf://{folder}/shelf", WORDS, splitter="whole") as rag:
            added = rag.index(folder / "memos").added
            return [*added, *(hit.kind for hit in rag.search("lunch")), str(rag.stats().chunks)]
    finally:
        sys.path.remove(str(folder))


def use(folder: Path) -> list[str]:
    """Use every verb once."""
    events: list[TraceEvent] = []
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "files/a.fee").write_text("The fee is five dollars.")
    with Pipeline(
        str(folder / "index"),
        Config().with_values({"search.k": 3}),
        embedder=Letters(),
        chat=Parrot(),
        reranker=Shortest(),
        readers=[Format("fee", (".fee",), read_fee)],
        splitter=whole,
        prompt="Be brief.",
        on_event=events.append,
    ) as rag:
        told = [*rag.index(folder / "files").added]
        told += rag.add("Lunch is at noon.", id="lunch", title="Lunch", metadata={"n": 1}).added
        rag.add([Document.from_text("One.", id="one"), "Two."])
        document = rag.get("lunch")
        told.append(document.text if document else "")
        chosen = Filter(paths=("*",), kinds=("text",), where=(Condition("n", "in", (1, 2)),))
        told += [str(hit.metadata["n"]) for hit in rag.search("lunch", k=2, restrict=chosen)]
        answer: Answer = rag.ask("What is the fee in dollars?")
        told.append(str(answer))
        told.append(str(from_json(Answer, to_json(answer)) == answer))
        told.append(str(rag.verify(answer).citations[0].state))
        for event in rag.stream("What is the fee in dollars?"):
            if isinstance(event, Answer):
                told.append(event.citations[0].path)
        told.append(rag.chat().ask("What is the fee in dollars?").text)
        told.append(rag.why_not("What is the fee?", "a.fee").stage)
        told += rag.delete("one", "none")
        told += rag.remove("a.fee")
        told.append(str(rag.diff(1).documents_removed))
        rag.rebuild("files")
        told += [str(len(rag.documents())), str(rag.stats().documents), str(len(rag.log(2)))]
        told.append(str(rag.backup(folder / "copy.tar") > 0))
        rag.compact()
        told += rag.erase("lunch").documents
        try:
            rag.ask("")
        except InputError as error:
            told.append(str(error))
    told += sorted({event.stage for event in events})
    asyncio.run(use_awaited(folder, told))
    return told + use_installed(folder)


async def use_awaited(folder: Path, told: list[str]) -> None:
    """Use the awaited verbs."""
    rag = Pipeline(folder / "awaited", embedder=Letters(), chat=Parrot())
    async with AsyncPipeline(rag) as waiting:
        report = await waiting.add("The fee is five dollars.", id="fee", metadata={"n": [1, None]})
        hits = await waiting.search("fee", k=1)
        told += [*report.added, hits[0].text, (await waiting.ask("What is the fee?")).text]
        async for event in waiting.stream("What is the fee in dollars?"):
            if isinstance(event, TextDelta):
                told.append(event.text)
        told += await waiting.delete("fee")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.stdout.write("\n".join(use(Path(made))) + "\n")
