"""What is struck: the table of commands, the documents they work on, and what is true of them."""

from __future__ import annotations

import random
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from make_files import pdf
from ollama_double.models import vectors_of
from oracle import decode
from plain_reader import read_living

from campaigns.processes import DIM, SETTINGS, Outcome, command, fork, run
from campaigns.shim import Call, Strike, read_log
from ragkit.ingest.split import embedding_text
from ragkit.records import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

State = dict[str, list[list[str]]]  # path to chunks in order: text, row in hex
Files = dict[str, "str | bytes"]
INDEX = "indexes/ix"
BACKUP = "indexes/ix.tar"
LINKED = "far"  # the folder that a linked index really is
QUESTION = "Which harbour pays for the lantern?"
ROW_TOLERANCE, SCORE_TOLERANCE = 2e-3, 1e-5
_WORDS = re.findall(
    r"\w+",
    "harbour lantern ledger winter keeper signal granite tide charter beacon rope mason anchor "
    "storm quarry pilot barley timber chapel ferry copper meadow orchard spindle",
)


@dataclass(frozen=True)
class Case:
    """One command that is struck.

    Attributes:
        words: The command.
        new: It makes the index; else it changes one that holds the older documents.
        first: Commands that are run after the older documents came in, and before the newer ones
            lie on the disk; with `new` they leave no index.
        newer: The newer documents came in too, and let go of the older ones.
        every: A campaign hits each of its fault points.
        again: Commands of which any, run afterwards, completes it; none: the same command.
        again_codes: Exit codes of those that are right.
        partial: Fewer documents are right too, after the command that completes it.
        atomic: It commits all at once. Else each document is as before or as after.
        documents: Which set: "small", "many", "named", "coded" or "rich".
        latency_s: Of the vector server, for each text.
        share: How often it is drawn where points are sampled.
        linked: The index's name is a link to its folder.
    """

    name: str
    words: tuple[str, ...]
    new: bool = False
    first: tuple[tuple[str, ...], ...] = ()
    newer: bool = False
    every: bool = False
    again: tuple[tuple[str, ...], ...] = ()
    again_codes: tuple[int, ...] = (0,)
    partial: bool = False
    atomic: bool = True
    documents: str = "small"
    latency_s: float = 0.0
    share: int = 4
    linked: bool = False

    @property
    def apart(self) -> int:
        """Every how manieth call is hit where all are: cases that take long are hit less often."""
        return 1 if self.share > 1 else 15

    @property
    def exists(self) -> bool:
        """Whether this ragkit has the command."""
        from ragkit.cli.app import COMMANDS

        return self.words[0] in COMMANDS


_INDEX = ("index", "docs", "-i", INDEX)
_REBUILD = ("rebuild", "-i", INDEX)
_OTHER = (*_REBUILD, "--embedder", "all-minilm")
CASES = (
    Case("create", _INDEX, new=True, every=True),
    Case("index", _INDEX),
    Case("remove", ("remove", "c.txt", "docs/sub", "-i", INDEX), again_codes=(0, 1)),
    Case("rebuild", _REBUILD, every=True, again=(_REBUILD, _INDEX)),
    # Once the model has changed, the same command reads the files: another command completes it.
    Case("rebuild-other", _OTHER, again=((*_OTHER, "--from", "text"),), share=2),
    Case("rebuild-linked", _REBUILD, again=(_REBUILD, _INDEX), share=1, linked=True),
    Case("compact", ("compact", "-i", INDEX), newer=True, every=True),
    Case("compact-coded", ("compact", "-i", INDEX), newer=True, documents="coded", share=1),
    Case("backup", ("backup", INDEX, BACKUP), newer=True, every=True, again_codes=(0, 1)),
    Case(
        "restore",
        ("restore", BACKUP, "-i", INDEX),
        new=True,
        first=(("backup", INDEX, BACKUP), ("delete", INDEX, "--yes")),
        every=True,
        again_codes=(0, 1),
    ),
    Case(
        "erase",
        ("remove", "--erase", "c.txt", "-i", INDEX),
        newer=True,
        every=True,
        again_codes=(0, 1),
    ),
    Case("index-many", _INDEX, atomic=False, documents="many", latency_s=0.004, share=1),
    Case(
        "index-named",
        ("index", "docs/n0.txt", "docs/n1.txt", "docs/n2.txt", "-i", INDEX),
        new=True,
        again=(("index", "-i", INDEX),),
        partial=True,
        atomic=False,
        documents="named",
        latency_s=0.003,
        share=1,
    ),
    Case("index-coded", _INDEX, documents="coded", share=1),
)


def prose(seed: object, sentences: int) -> str:
    """Sentences that nothing else says, always the same for a seed."""
    chance = random.Random(str(seed))  # noqa: S311 -- a fixed seed
    made = []
    for i in range(sentences):
        words = " ".join(chance.choices(_WORDS, k=9))
        made.append(f"{words.capitalize()} {seed} number {i}.")
    return " ".join(made)


def older_documents(kind: str) -> Files:
    """The documents that an index is made of before the command runs."""
    files: Files = {
        "a.md": f"# Harbour\n\n{prose('a', 6)}\n\n## Lantern\n\n{prose('a2', 6)}\n",
        "b.txt": prose("b", 5),
        "c.txt": prose("c", 24),
        "zh.md": "# 灯塔\n\n房东知道房客转租，多久不提异议就算同意？港口的灯塔在冬天点亮。\n",
        "sub/d.txt": prose("d", 8),
        "sub/e.md": f"# Ferry\n\n{prose('e', 4)}\n",
        "f.txt": prose("f", 5),
        "g.txt": prose("g", 5),
    }
    if kind == "rich":  # PDF files are parsed in a process of their own, which takes its time
        pages = [prose("p1", 2), "", prose("p3", 2)]
        files["p.pdf"] = pdf(pages, title="Papers of the harbour")
    if kind == "coded":  # so many that the command brings the codes, which begin at 8,192 rows
        files |= {f"k{i}.txt": prose(f"k{i}", 2035) for i in range(12)}
    return files


def newer_documents(kind: str) -> Files:
    """What the older documents have become: changed, moved, deleted, new."""
    files = older_documents(kind)
    files |= {
        "b.txt": prose("b new", 6),
        "c.txt": f"{prose('c', 12)} {prose('c new', 8)}",
        "h.txt": prose("h", 7),
        "sub/moved.txt": files.pop("g.txt"),
    }
    del files["f.txt"]
    if kind == "many":
        files |= {f"m{i:02d}.txt": prose(f"m{i}", 36) for i in range(60)}
    if kind == "named":
        files |= {f"n{i}.txt": prose(f"n{i}", 900) for i in range(3)}
    return files


@dataclass
class Snapshot:
    """What is true of an index at one commit: all that a reader may be told."""

    state: State
    documents: list[dict[str, Any]]
    hits: dict[str, dict[str, Any]]
    scores: dict[str, float]

    def merged(self, other: Snapshot, state: State | None = None) -> Snapshot:
        """What is true of an index of which each document is as here or as there.

        `state` tells how each is; chunks that did not change belong to another file in either.
        """
        theirs = {
            chunk_id: hit
            for chunk_id, hit in other.hits.items()
            if state is None or state.get(hit["path"]) != self.state.get(hit["path"])
        }
        return Snapshot({}, [], self.hits | theirs, other.scores | self.scores)


def plain(hit: Mapping[str, Any]) -> dict[str, Any]:
    """A hit without what depends on the question."""
    return {k: v for k, v in hit.items() if k not in {"rank", "ranks", "score", "pages"}}


def read_state(index: Path) -> State:
    """The living chunks, by the reader that is written from docs/format.md alone."""
    return {p: [[c.text, c.row.hex()] for c in cs] for p, cs in read_living(index).items()}


FEW = 60  # hits: all of the small index, and what the codes of the large one choose
LOOK: dict[str, tuple[str, ...]] = {
    "check": ("check", "--json"),
    "list": ("list", "--json"),
    "dense": ("search", "--json", "--mode", "dense", "-k", "20000", QUESTION),
    "keyword": ("search", "--json", "--mode", "keyword", "-k", "99", "lantern harbour"),
    "hybrid": ("search", "--json", "--mode", "hybrid", "-k", "99", QUESTION),
    "info": ("info", "--json"),
    "nearest": ("search", "--json", "--mode", "dense", "-k", f"{FEW}", QUESTION),
    "earlier": ("search", "--json", "--mode", "dense", "-k", f"{FEW}", "--as-of", "1", QUESTION),
}
"""The commands that look at an index, each followed by ``-i`` and its place."""


def look(
    names: Sequence[str], prefix: str, hand_back: Callable[[Any], None], *, plainly: bool = True
) -> None:
    """Run looking commands in this process and hand back what they said, and the plain state."""
    for name in names:
        outcome = run((*LOOK[name], "-i", INDEX))
        hand_back([prefix + name, outcome.code, outcome.out, outcome.err])
        if name == "check" and plainly and (Path(INDEX) / "catalog.db").exists():
            try:
                hand_back([prefix + "state", 0, read_state(Path(INDEX)), ""])
            except Exception as exc:  # noqa: BLE001 -- a damaged index fails in any way
                hand_back([prefix + "state", 1, "", f"{type(exc).__name__}: {exc}"])


@dataclass
class Scene:
    """A folder in which one case is played again and again.

    Attributes:
        folder: The working folder of all commands; `docs` and `indexes` lie in it.
        case: What is struck.
        before, after: What is true before and after the command; `before` is None for a new index.
        calls: The calls of an undisturbed run that change files.
    """

    folder: Path
    case: Case
    before: Snapshot | None = None
    after: Snapshot = field(default_factory=lambda: Snapshot({}, [], {}, {}))
    calls: list[Call] = field(default_factory=list)

    @property
    def indexes(self) -> Path:
        return self.folder / "indexes"

    @property
    def base(self) -> Path:
        """The `indexes` folder as the command finds it."""
        return self.folder / "base"

    def prepare(self, server: str) -> None:
        """Make the documents and the older index, and see what an undisturbed run does."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.indexes.mkdir(parents=True)
        settings = self.folder / SETTINGS / "ragkit/ragkit.toml"  # the user's own: it is trusted
        settings.parent.mkdir(parents=True)
        settings.write_text(
            f'[models]\nbackend = "ollama"\nollama_host = "{server}"\nchat = "none"\nretries = 1\n'
            'embed_endpoint = "/api/embed"\n[split]\nchunk_tokens = 40\noverlap_tokens = 0\n'
        )
        if self.case.first or not self.case.new:
            self.write_documents(older_documents(self.case.documents))
            self.must(_INDEX)
            for words in self.case.first:
                self.must(words)
        if self.case.newer:
            self.write_documents(newer_documents(self.case.documents))
            self.must((*_INDEX, "--set", "history.last=1", "--set", "history.days=0"))
        if not self.case.new:
            self.before = self.snapshot("nomic-embed-text")
            if self.case.linked:
                (self.indexes / "ix").rename(self.indexes / LINKED)
                (self.indexes / "ix").symlink_to(LINKED)
        shutil.copytree(self.indexes, self.base, symlinks=True)
        self.write_documents(newer_documents(self.case.documents))
        log = self.folder / "calls.log"
        outcome = command(self.case.words, self.folder, Strike(self.indexes, log=log))
        if outcome.code:
            msg = f"{self.case.name} fails undisturbed: {outcome}"
            raise RuntimeError(msg)
        self.calls = list(read_log(log))
        named = self.case.words[-1] if "--embedder" in self.case.words else "nomic-embed-text"
        self.after = self.snapshot(named)

    def reset(self) -> None:
        """Put the older index back."""
        shutil.rmtree(self.indexes)
        shutil.copytree(self.base, self.indexes, symlinks=True)

    def must(self, words: Sequence[str]) -> Outcome:
        """Run a command that has to succeed."""
        outcome = command(words, self.folder)
        if outcome.code:
            msg = f"{words}: {outcome}"
            raise RuntimeError(msg)
        return outcome

    def write_documents(self, files: Files) -> None:
        """Make `docs` hold these files and no others."""
        docs = self.folder / "docs"
        shutil.rmtree(docs, ignore_errors=True)
        for name, content in files.items():
            path = docs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def snapshot(self, model: str) -> Snapshot:
        """What is true now; every row and score is held against the oracle."""
        child = fork(lambda back: look(("check", "list", "dense"), "", back), self.folder)
        _, found = child.end()
        said = {name: (code, out, err) for name, code, out, err in found}
        if [said[name][0] for name in ("check", "state", "list", "dense")] != [0, 0, 0, 0]:
            raise RuntimeError(str(said))
        hits = Outcome(*said["dense"]).json
        made = Snapshot(
            said["state"][1],
            Outcome(*said["list"]).json,
            {hit["chunk_id"]: plain(hit) for hit in hits},
            {hit["chunk_id"]: hit["score"] for hit in hits},
        )
        self._verify(made, model)
        return made

    def _verify(self, made: Snapshot, model: str) -> None:
        marks = ("search_query: ", "search_document: ") if model.startswith("nomic") else ("", "")
        vectors = vectors_of(DIM)
        query = vectors.unit(marks[0] + QUESTION)
        rows = {(path, text): row for path, chunks in made.state.items() for text, row in chunks}
        assert len(made.hits) == sum(map(len, made.state.values()))
        for chunk_id, hit in made.hits.items():
            chunk = Chunk(chunk_id, hit["doc_id"], 0, hit["start"], hit["end"], hit["text"],
                          heading=tuple(hit["heading"]))  # fmt: skip
            is_name = hit["title"] == Path(hit["path"]).stem  # which is not embedded
            text = embedding_text(chunk, "" if is_name else hit["title"])
            expected = vectors.unit(marks[1] + text)
            row = decode(np.frombuffer(bytes.fromhex(rows[hit["path"], hit["text"]]), "<f2"))
            assert np.abs(row - expected).max() < ROW_TOLERANCE, hit
            assert abs(float(row @ query) - made.scores[chunk_id]) < SCORE_TOLERANCE, hit
