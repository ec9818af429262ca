"""The seams: what an embedder, a chat model, a reranker and a vector store promise.

A class satisfies a seam by having its methods; nothing needs to be inherited or registered.
The suites ``tests/models/test_model_contract.py`` and ``tests/store/test_store_contract.py`` check
every promise made here against each implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ragkit.errors import InputError
from ragkit.records import NO_FILTER, NO_RULES, Filter, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ragkit.records import (
        Chunk,
        Compaction,
        Decision,
        Document,
        DocumentInfo,
        Erasure,
        Generation,
        Hit,
        IndexChanges,
        SourceRules,
    )

    Vectors: TypeAlias = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def backend(self) -> str:
        """Which implementation, e.g. ``ollama``; an index is opened again by it."""

    @property
    def name(self) -> str:
        """The model's name as its user knows it."""

    @property
    def digest(self) -> str:
        """Identifies the weights; equal digests give equal vectors."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def max_tokens(self) -> int:
        """Longest text, in the model's tokens, that is embedded in one piece."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Whatever else changes a vector (prefixes, load options), as JSON values."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed passages.

        Args:
            texts: Non-empty texts; the model's document prefix is added here, not by callers.
                A text over ``max_tokens`` is split and its parts' vectors averaged.

        Returns:
            float32, shape (len(texts), dim), rows of unit length, in the order given. Row i
            does not depend on the other texts, to float32 tolerance. No texts: shape (0, dim).

        Raises:
            EmbeddingFailedError: Some texts failed for good (a vector that is empty, zero or not
                finite among them); the others are in ``.vectors``.
            ModelUnavailableError: Nothing answers, after retries.
            ModelNotFoundError: The model is not installed.
            ModelResponseError: A vector of the wrong length, or a reply of the wrong shape.
        """

    def embed_query(self, text: str) -> Vectors:
        """Embed a question with the model's query prefix.

        Returns:
            float32, shape (dim,), unit length. Errors as `embed_documents`.
        """


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a chat model is asked.

    ``num_ctx`` is the window in tokens, ``num_predict`` the most tokens to generate; the
    prompt must fit ``num_ctx - num_predict``. ``schema`` is a JSON schema for the reply.
    """

    messages: tuple[ChatMessage, ...]
    num_ctx: int
    num_predict: int
    temperature: float = 0.0
    seed: int = 0
    think: bool = False
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class QuotedDelta(TextDelta):
    """A piece of an answer that quotes; ``is_closest``: the sentence that answers best."""

    is_closest: bool = False


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the model's reasoning; never part of an answer.

    ``retracts``: all that came as text before was reasoning too. Some templates open the reasoning
    themselves, so that a reply holds only its end.
    """

    text: str
    retracts: bool = False


@dataclass(frozen=True, slots=True)
class ChatDone:
    """The last event. Counts are tokens, None where the server does not say.

    ``done_reason`` is ``stop`` or ``length`` or the server's own word.
    """

    done_reason: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


ChatEvent: TypeAlias = TextDelta | ThinkingDelta | ChatDone


class ChatModel(Protocol):
    """Continues a conversation."""

    @property
    def name(self) -> str:
        """The model's name as its user knows it."""

    @property
    def digest(self) -> str:
        """Identifies the weights."""

    @property
    def context_tokens(self) -> int:
        """The largest window, in tokens, that the model was trained for."""

    def chat(self, request: ChatRequest) -> Iterator[ChatEvent]:
        """Stream a reply: any number of deltas, then exactly one `ChatDone`.

        Closing the iterator cancels the generation at the model. Reasoning that comes within the
        text, as ``<think>...</think>``, is handed on as text.

        Raises:
            ModelUnavailableError: Nothing answers, or the stream ended without its last event.
            ModelNotFoundError: The model is not installed.
            ModelResponseError: The request is refused (over-long prompt, wrong kind of model).
        """


class Reranker(Protocol):
    """Orders what a search found anew."""

    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """Order hits, the best first.

        Args:
            question: As it was searched for.
            hits: Best first by the search, at least one.

        Returns:
            The same hits, each once; those left out follow in the order given. Their ranks need
            not be changed: the search gives them the ranks of the new order, and keeps the old
            ones in ``ranks.before_rerank``. Hits in the order given, nothing changed, stay as
            they are.
        """


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a store is asked for.

    Attributes:
        k: Most hits to return, at least 1.
        mode: ``dense`` needs ``vector``, ``keyword`` needs ``text``, ``hybrid`` needs both.
        vector: float32, shape (dim,), unit length.
        embedder: The record of the embedder that made `vector`, as `VectorStore.embedder` gave
            it; None: whichever the index has.
        text: The question's words for the keyword index.
        filter: Applied inside the search, not to its result.
        as_of: A closed generation, or None for the newest commit.
        depth: Candidates that each side of a hybrid search contributes.
        keyword_weight: Share of the words in a hybrid score, in [0, 1].
        diversity: How much hits are kept from saying the same, in [0, 1]; they are chosen from
            the best ``depth``.
    """

    k: int
    mode: Mode
    vector: Vectors | None = None
    embedder: Mapping[str, Any] | None = None
    text: str = ""
    filter: Filter = NO_FILTER
    as_of: int | None = None
    depth: int = 100
    keyword_weight: float = 0.65
    diversity: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no store can answer: an `InputError`."""
        if self.k < 1:
            msg = f"k must be at least 1, not {self.k}"
            raise InputError(msg)
        if self.mode != "keyword" and self.vector is None:
            msg = f"mode {self.mode!r} needs the question's vector"
            raise InputError(msg)


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The size and state of an index at one moment.

    ``waiting`` are the chunks that have no vector yet; none in an index without an embedder.
    """

    generation: int
    documents: int
    chunks: int
    vectors: int
    dim: int
    size_bytes: int
    segments: int
    embedder: Mapping[str, Any]
    splitter: Mapping[str, Any]
    stale: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which an index is broken; what `VectorStore.check` finds.

    Attributes:
        invariant: The name of what does not hold; those of the local store are in docs/format.md.
        severity: ``must``: data is lost or wrong; ``should``: something derived is.
        detail: What is broken, and where.
        repair: What to do.
    """

    invariant: str
    severity: Literal["must", "should"]
    detail: str
    repair: str


class StoreWriter(Protocol):
    """One run that changes a store; see `VectorStore.writing`.

    Nothing is visible to readers before `commit`; what was committed stays, whatever follows.
    After a step that raised, each further one raises a `StoreError`, and so does leaving the block:
    nothing is committed that may be half of something.
    """

    @property
    def generation(self) -> int:
        """The generation that this run writes, above every earlier one."""

    @property
    def roots(self) -> tuple[str, ...] | None:
        """The roots to which the run is held, since others may run beside it; None: to none."""

    @property
    def commits(self) -> int:
        """`VectorStore.commits` when the run began: a plan made before another is out of date."""

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """The cache keys (32 bytes) among `keys` whose vector is stored already."""

    def add_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors under their cache keys; chunks that wait for them get theirs.

        Args:
            keys: Distinct 32-byte keys, none of them `known`.
            vectors: float32, shape (len(keys), dim), unit rows.

        Raises:
            IndexMismatchError: They are not as long as the store's.
        """

    def add(self, document: Document, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        """Replace a document: its old chunks leave and these enter, in the same commit.

        Args:
            document: Its ``doc_id`` decides what it replaces.
            chunks: In order, possibly none.
            keys: The cache key of each chunk's vector. A chunk whose key is not `known` is found
                by its words, and waits for the vector: `add_vectors` brings it. A store without
                an embedder takes none.

        Raises:
            ValueError: There are fewer or more keys than chunks.
        """

    def remove(self, doc_ids: Sequence[str]) -> int:
        """Remove documents; unknown ids are passed over. Returns how many there were."""

    def mark_stale(self, doc_id: str, reason: str | None) -> None:
        """Note that a document's file changed but could not be loaded; None takes it back."""

    def account(self, report: Mapping[str, Any]) -> None:
        """Keep the run's account, JSON values, with its generation."""

    def ask_for(self, sources: Sequence[str], rules: Mapping[str, SourceRules] = NO_RULES) -> None:
        """Note the folders and files that the index is about, in place of those noted before.

        Called at the beginning of a run, so that a killed one is known by what it was asked for.

        Args:
            sources: All of them, absolute.
            rules: Which files of some of them count; the others' rules stay.
        """

    def decide(self, locations: Sequence[str], decision: Decision | None) -> None:
        """Note what a person decided on files or folders, by their absolute paths; None: nothing.

        `move` takes decisions along.
        """

    def move(self, old: str, new: str) -> int:
        """Give the documents of a folder or file that was moved their new place, with their chunks.

        No vector is made anew. A document that lives at the new place already stays as it is,
        and the moved one leaves. What was asked for at the old place is asked for at the new one.

        Args:
            old: The absolute path where they were.
            new: The absolute path where they are.

        Returns:
            How many documents there were at the old place.
        """

    def retain(self, *, last: int, days: int) -> int:
        """Keep the newest generations alone; what the others alone can see is let go.

        A run that wrote nothing lets nothing go. The space comes back with
        `VectorStore.compact`; until then the text of what is let go may lie in the files.

        Args:
            last: How many closed generations to keep, at least 1, this run's counted.
            days: Of how many days, today's counted, to keep the last closed generation too.

        Returns:
            How many generations were let go.
        """

    def commit(self) -> None:
        """Make everything so far visible; nothing to do where nothing was written."""


class Splitter(Protocol):
    """Says where documents are cut: any function of this shape will do."""

    def __call__(self, document: Document, /) -> Iterable[tuple[int, int]]:
        """The chunks of a document: half-open offsets in its text, by their beginnings.

        They may overlap. What is in none of them is not found. A chunk longer than the embedding
        model's window is found by its beginning, or as the model has it.
        """


class StoreDriver(Protocol):
    """Makes and opens the stores of a URL scheme; packages offer one in ``ragkit.stores``."""

    def exists(self, location: str) -> bool:
        """Whether there is an index at a URL."""

    def open(self, location: str) -> VectorStore:
        """Open an index.

        Raises:
            IndexNotFoundError: There is none.
        """

    def create(
        self, location: str, *, embedder: Mapping[str, Any], splitter: Mapping[str, Any]
    ) -> VectorStore:
        """Make an empty index.

        Raises:
            IndexExistsError: There is one already.
        """


class VectorStore(Protocol):
    """Holds documents, chunks and vectors, and finds chunks.

    A reader sees the state before or after a commit, never between. One writer at a time, or
    several of different roots; any number of readers, also in other processes.
    """

    @property
    def location(self) -> str:
        """The path or URL by which the store is opened again; for messages and answers."""

    @property
    def embedder(self) -> Mapping[str, Any]:
        """The embedder of its vectors: ``backend``, ``name``, ``digest``, ``dim``, ``options``.

        Empty for an index without vectors, which is searched in mode ``keyword``. A rebuild may
        change it between two calls.
        """

    @property
    def splitter(self) -> Mapping[str, int]:
        """The settings that its chunks were made with."""

    def generation(self) -> int:
        """The newest generation, 0 if nothing was ever written."""

    def commits(self) -> int:
        """A number that goes up with each commit, by whichever process."""

    def fields(self) -> tuple[str, ...]:
        """The names of all fields of metadata that a `Condition` can ask for, in order."""

    def writing(
        self, command: str, *, roots: Sequence[str] | None = None
    ) -> AbstractContextManager[StoreWriter]:
        """Begin a run that changes the store; one generation.

        Leaving the block commits and closes the generation; leaving it by an exception keeps
        what was committed and closes the generation as interrupted.

        Args:
            command: What runs, for the list of generations.
            roots: The run changes documents of these roots, or of folders below them, and no
                others: a store may let runs of other roots go on meanwhile. None: it may change
                all, and runs alone.

        Raises:
            IndexLockedError: Another process is writing; it names that process.
            IndexChangedError: Another index took this one's place.
        """

    def search(self, request: SearchRequest) -> list[Hit]:
        """Find chunks, best first; at most ``request.k``, fewer where there are fewer.

        In mode ``dense`` hits are ordered by cosine similarity, ties by age.

        Raises:
            FilterError: The filter names a field that no document has.
            IndexMismatchError: The vector's length is not the index's.
            IndexChangedError: The index was rebuilt with another embedder than the request's.
            IndexCorruptError: A row or a text does not match its checksum.
            StoreError: `as_of` is no closed generation, or the store was closed.
        """

    def neighbours(self, hit: Hit, count: int) -> list[Hit]:
        """The living chunks within `count` places of a hit in its document, nearest first.

        They have rank 0 and no score. None if the document has changed since the hit was found.
        """

    def chunks_at(self, doc_id: str, start: int, end: int) -> list[Hit]:
        """The living chunks that touch characters `start` to `end` of a document, in order.

        They have rank 0 and no score. None if there is no such document.
        """

    def waiting(self) -> Iterator[tuple[bytes, Hit]]:
        """The living chunks that wait for a vector, oldest first, each with its cache key.

        They have rank 0 and no score. They are read some at a time: a chunk that gets its vector
        before it is reached is left out.
        """

    def content(self, doc_id: str) -> tuple[Document, list[Chunk]] | None:
        """A living document with its chunks, as they were added; None if there is none.

        White space between chunks was not kept: the document's text has spaces there, and its
        length.

        Raises:
            IndexCorruptError: What is stored does not match its checksums.
        """

    def give_embedder(self, embedder: Mapping[str, Any], key_of: Callable[[Hit], bytes]) -> None:
        """Let the chunks of a store without an embedder wait for vectors of one, in one commit.

        Args:
            embedder: The record that `embedder` is to give from then on.
            key_of: Makes the cache key of a chunk.

        Raises:
            IndexMismatchError: It has an embedder, and that is another one.
            IndexLockedError: Another process is writing; it names that process.
        """

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The committed vectors under those cache keys: float32, shape (dim,), unit length.

        Keys that are not known, or whose vector is damaged, are left out.
        """

    def documents(
        self, *, root: str | None = None, ever: bool = False, whole_only: bool = False
    ) -> list[DocumentInfo]:
        """The documents of the newest commit by path.

        Args:
            root: Only those of this root; None: of all.
            ever: Those too that no longer live, each version that is still stored.
            whole_only: Leave out what is damaged, for one who makes it anew from files.

        Raises:
            IndexCorruptError: One of them is not what was written, or is missing; with
                `whole_only` only one that a program gave.
        """

    def sources(self) -> list[str]:
        """The folders and files that ingests were asked for; none before the first."""

    def rules(self) -> dict[str, SourceRules]:
        """Which files of each source count, by its absolute path."""

    def decisions(self) -> dict[str, Decision]:
        """What persons decided on files and folders, by their absolute paths."""

    def runs(self) -> list[dict[str, Any]]:
        """The generations, newest first.

        Each has ``id``, ``command``, ``started_at`` and ``finished_at`` (ISO 8601, the latter None
        until its end), ``state`` (``open``, ``closed`` or ``interrupted``) and ``report`` (its
        account, or None).
        """

    def log(self, limit: int | None = None) -> list[Generation]:
        """The generations that are kept, newest first, with what each changed; at most `limit`."""

    def diff(self, before: int, after: int | None = None) -> IndexChanges:
        """What came, went and changed from one generation to another.

        Args:
            before: A closed generation.
            after: A closed generation; None: the newest closed one.

        Raises:
            StoreError: One is no closed generation that can be searched.
        """

    def generation_at(self, when: datetime) -> int:
        """The last generation that was closed at or before a moment, which knows its time zone.

        Raises:
            StoreError: None that is kept is so old; it names the oldest.
        """

    def stats(self) -> StoreStats:
        """The size and state now."""

    def compact(self, on_progress: Callable[[int, int], None] | None = None) -> Compaction:
        """Give back the space of what no generation can see: documents, chunks, vectors, keywords.

        Nothing that a reader can see changes, of no generation. It may be ended at any moment;
        what was done is kept, and the next call goes on.

        Args:
            on_progress: Called now and then with the steps done and the steps there are.

        Raises:
            IndexLockedError: Another process is writing; it names that process.
            UnsupportedByStoreError: The store has nothing to give back.
        """

    def erase(
        self,
        doc_ids: Sequence[str],
        command: str,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Erasure:
        """Take documents out of every generation: text, keywords, vectors and cache entries.

        Afterwards nothing that the store keeps holds their text, unless another document does.
        If it was ended halfway, the next call goes on, whatever documents that one names.

        Args:
            doc_ids: Which; unknown ids are passed over.
            command: What runs, for the list of generations.
            on_progress: As for `compact`.

        Raises:
            IndexLockedError: Another process is writing; it names that process.
            UnsupportedByStoreError: The store cannot promise that.
        """

    def backup(self, file: Path, on_progress: Callable[[int, int], None] | None = None, /) -> int:
        """Write the newest commit, with all generations, to one file; a writer may go on meanwhile.

        Args:
            file: It must not exist; it gets its name when it is whole.
            on_progress: Called now and then with the bytes done and the bytes there are.

        Returns:
            The bytes written.

        Raises:
            StoreError: The file exists, or cannot be written.
            UnsupportedByStoreError: The store is backed up by other means.
        """

    def sentence_vectors(self, keys: Sequence[bytes]) -> Mapping[bytes, Vectors]:
        """The vectors that `keep_sentence_vectors` kept under these keys, as far as it still does.

        They are as they were given: float32, unit length.
        """

    def keep_sentence_vectors(
        self, vectors: Mapping[bytes, Vectors], sources: Mapping[str, str]
    ) -> None:
        """Keep vectors of sentences, so that they need not be made again; a store may decline.

        They are no part of the index. A compaction or `erase` takes out what was made from texts
        that it takes out, and nothing is kept of a text that is gone already. Nothing is raised
        where the store cannot be written.

        Args:
            vectors: By key, 32 bytes that name the model and the text; of the dimension that the
                index's vectors have.
            sources: The documents that the sentences stand in, by id, and the hash of the file of
                the version that was read.
        """

    def note(self, name: str) -> Any:  # noqa: ANN401 -- any JSON value
        """The JSON value that was kept under a name, None if there is none.

        Notes are no part of the index: all are None again after they were lost.
        """

    def keep_note(self, name: str, value: Any) -> None:  # noqa: ANN401 -- any JSON value
        """Keep a small JSON value; the others stay.

        Nothing is raised for an index that cannot be written: the value is then not kept.
        """

    def recover(self) -> None:
        """Put right what a killed run left: a generation that stays open, files of no use.

        Nothing to do where nothing was left, where another process is writing, or where the store
        cannot be written. Each run that writes does so too; this is for one that has nothing to
        write.
        """

    def check(self, *, quick: bool = False, keywords: bool = False) -> Iterator[Violation]:
        """Find what is broken; nothing is changed. None: all is right.

        Args:
            quick: Only what takes no time; else the whole index is read.
            keywords: Compare the keyword index with each text, analysed again; else with a sample
                where there are many.

        Raises:
            UnsupportedByStoreError: The store has no such check; raised before the first one.
        """

    def repair(self) -> list[Violation]:
        """Make anew what is broken and can be derived from what is not; no model is needed.

        What is not derived (texts, vectors, what documents are called) stays as it is, broken or
        not. Readers see the state before or after, as with any commit; a kill leaves a store that
        can be repaired.

        Returns:
            What was broken and was made anew; `check` tells what is broken still.

        Raises:
            IndexLockedError: Another process is writing; it names that process.
            IndexCorruptError: The damage lies deeper: nothing can be derived.
            UnsupportedByStoreError: The store derives nothing, or cannot make it anew.
        """

    def rebuilding(
        self, *, embedder: Mapping[str, Any], splitter: Mapping[str, int]
    ) -> AbstractContextManager[VectorStore]:
        """A new store beside this one, which answers meanwhile and cannot be written.

        Leaving the block puts the new store in this one's place, in one commit: this one and
        every other reader see it from their next call on. Leaving it by an exception keeps this
        one as it is; what was committed to the new store is there again at the next rebuilding
        with the same embedder and splitter. The new store is closed at the end.

        Args:
            embedder: The new store's, as `embedder`.
            splitter: The new store's, as `splitter`.

        Raises:
            IndexLockedError: Another process is writing; it names that process.
            UnsupportedByStoreError: The store cannot be replaced as a whole.
        """

    def close(self) -> None:
        """Release files; calling it again does nothing."""
