"""What running again costs: nothing changed, one file changed, moved or deleted."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from harness import (
    REPOSITORY,
    SMALL,
    Row,
    Scope,
    absolute,
    fresh,
    index_command,
    interleaved,
    print_rows,
    ragkit,
    seconds,
)
from texts import texts_of

sys.path.insert(0, str(REPOSITORY / "tests"))
from ollama_double.server import OllamaServer, Settings

if TYPE_CHECKING:
    from pathlib import Path

ADDED = "\n\nA paragraph that was not here before, of a length that makes no chunk of its own.\n"


class Watched:
    """A corpus and its index, with a count of what each run sends to the model."""

    def __init__(self, corpus: Path, index: Path, server: OllamaServer) -> None:
        self.corpus = corpus
        self._index = index
        self._server = server

    def sent(self, *, backend: str = "") -> set[str]:
        """Bring the index up to date; returns the texts that were sent."""
        already = len(self._server.bodies("/api/embeddings"))
        ragkit(*index_command(self.corpus, self._index, backend=backend), url=self._server.url)
        bodies = self._server.bodies("/api/embeddings")[already:]
        return {body["prompt"].removeprefix("search_document: ") for body in bodies}

    def stale(self) -> int:
        """Chunks that the index holds beyond those of the files as they are now, or lacks."""
        held = ragkit("list", "--index", self._index, "--json").json
        counts = {document["path"]: document["chunks"] for document in held}
        true = {path: len(texts) for path, texts in texts_of(self.corpus).items()}
        return sum(abs(counts.get(p, 0) - true.get(p, 0)) for p in counts.keys() | true.keys())

    def unchanged_s(self, repeats: int) -> float:
        """Median seconds of a run over unchanged files, whole process."""
        arguments = index_command(self.corpus, self._index, backend="")
        case = {"": lambda: ragkit(*arguments, url=self._server.url)}
        return seconds(interleaved(case, repeats)[""])


def measure(scope: Scope) -> list[Row]:
    """All rows of this question."""
    corpus = scope.work / "corpus-changing"
    shutil.copytree(scope.corpus(SMALL), fresh(corpus))
    with OllamaServer(Settings(dim=768)) as server:
        watched = Watched(corpus, fresh(scope.work / "index-changing"), server)
        watched.sent(backend="ollama")
        time_s = watched.unchanged_s(scope.repeats(7))
        rows = [
            absolute(f"nothing changed in {SMALL} files, whole process", 0.45, "s", ragkit=time_s),
            absolute("nothing changed: texts sent", 0, "texts", ragkit=len(watched.sent())),
        ]
        return rows + _one_file(watched)


def _one_file(watched: Watched) -> list[Row]:
    files = sorted(watched.corpus.rglob("*.md"))
    changed, moved, deleted = files[3], files[70], files[140]
    before = {text for texts in texts_of(watched.corpus).values() for text in texts}
    with changed.open("a", encoding="utf-8") as file:
        file.write(ADDED)
    after = {text for texts in texts_of(watched.corpus).values() for text in texts}
    beyond = watched.sent() - (after - before)
    stale = watched.stale()
    moved.rename(moved.with_name("renamed.md"))
    sent_moved = watched.sent()
    stale += watched.stale()
    deleted.unlink()
    sent_deleted = watched.sent()
    stale += watched.stale()
    return [
        absolute("one file changed: texts sent beyond its changed chunks", 0, "texts",
                 ragkit=len(beyond), changed_chunks=len(after - before)),
        absolute("one file moved: texts sent", 0, "texts", ragkit=len(sent_moved)),
        absolute("one file deleted: texts sent", 0, "texts", ragkit=len(sent_deleted)),
        absolute("chunks too many or too few after each", 0, "chunks", ragkit=stale),
    ]  # fmt: skip


if __name__ == "__main__":
    print_rows(measure, __doc__ or "")
