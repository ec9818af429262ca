"""What the scores of an index mean: measured on the index itself at the end of an ingest.

The cosines of embedders lie in different ranges, and those of one embedder in another range for
each language and each folder. So three kinds of text are searched for in the index:

- sentences of its own: a question that a passage answers is nearly as near as these;
- questions about everyday things (`PROBES`): so near is what the documents do not speak about;
- the same questions in the other language: if each is nearest to its translation, the embedder can
  tell what a text in another script means.

The index keeps the result under a note, and measures again once it has grown by half.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ragkit.errors import ModelError
from ragkit.protocols import SearchRequest
from ragkit.system import DaemonPool
from ragkit.text.sentences import sentences
from ragkit.text.words import cjk_share, content_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ragkit.protocols import Embedder, Vectors, VectorStore
    from ragkit.records import Hit

_log = logging.getLogger(__name__)

GROWTH = 1.5
"""An index is measured again if it has so many times the passages that it had."""

PROBES = (
    ("How do I bake bread at home?", "怎样在家里烤面包？"),
    ("How often should I water a cactus?", "仙人掌多久浇一次水？"),
    ("Who wrote Romeo and Juliet?", "《罗密欧与朱丽叶》是谁写的？"),
    ("What is the offside rule in football?", "足球的越位规则是什么？"),
    ("How far is the Moon from the Earth?", "月球离地球有多远？"),
    ("How do I teach my dog to sit?", "怎么教我的狗坐下？"),
    ("Which visa do I need for a holiday in Japan?", "去日本度假需要什么签证？"),
    ("How is the area of a circle computed?", "圆的面积怎么算？"),
    ("What helps against a headache?", "头痛怎么办？"),
    ("How do I change a flat tyre?", "轮胎瘪了怎么换？"),
    ("How many strings does a violin have?", "小提琴有几根弦？"),
    ("What should I wear to a wedding?", "参加婚礼该穿什么衣服？"),
    ("How do I remove red wine from a carpet?", "地毯上的红酒渍怎么去除？"),
    ("Which phone has the best camera?", "哪款手机的相机最好？"),
    ("Why do cats purr?", "猫为什么会打呼噜？"),
    ("How do I open a savings account?", "怎样开一个储蓄账户？"),
)
"""English and Chinese questions, each the other's translation."""

_DOCUMENTS, _CHUNKS = 24, 200
"""How many documents sentences are taken from, one of each at least; how many chunks are read."""

_LEAST_OWN, _CHUNKS_A_SENTENCE = 12, 8
"""A small index gives fewer sentences: for a model in this process one takes as long as a chunk of
the same length, and the measurement is not to take longer than the ingest."""

_AT_ONCE = 4
_REACH_CHARS = 8000
_NEAR, _DEPTH = 8, 41
"""How many hits are read first, and at most: to read and check them takes most of the time."""

_SENTENCE_CHARS = {"a": (40, 240), "c": (14, 90)}
_LEAST_SENTENCES = 4
_LEAST_RANGE = 0.02
"""So much nearer to its passage than a foreign question must a sentence be, or cosines say
nothing."""

_LEAST_NEARER = 0.9
"""Share of the pairs of a sentence and a foreign question in which it is nearer."""

_LEAST_FOUND = 0.5
"""Share of the probes that must be nearest to their translation."""

_COMMON_FROM, _COMMON_MOST, _COMMON_CHUNKS = 0.04, 300, 20
_DEFAULT_LEAD = 0.5
"""Of a range of cosines: what a lead ranges over in an index too small to tell."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Cosines, and leads over the background, of what is foreign (``low``) and of one's own."""

    low: float
    high: float
    lead_low: float
    lead_high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the scores of an index mean.

    Attributes:
        chunks: How many it had when it was measured.
        scales: By the script of question and passage, ``a`` for alphabets and ``c`` for CJK: the
            key ``ca`` is that of a Chinese question on an English passage. A pair that the index
            does not have, or whose cosines say nothing, is not there.
        crosses: Whether the embedder tells what a text in another script means.
        common: The share of the passages that have a term, for the terms that many have.
    """

    chunks: int
    scales: Mapping[str, Scale]
    crosses: bool
    common: Mapping[str, float] = field(default_factory=dict)


NO_CALIBRATION = Calibration(0, {}, crosses=False)
"""Of an index without vectors, or one that was not measured: words alone decide."""


def script_of(text: str) -> str:
    """The script of a text as `Calibration.scales` names it: ``c`` if half of it is CJK."""
    return "c" if cjk_share(text) >= 0.5 else "a"


def read_calibration(store: VectorStore) -> Calibration:
    """What an index keeps; `NO_CALIBRATION` if it keeps nothing for the embedder that it has."""
    kept = store.note(_note(store.embedder)) if store.embedder else None
    try:
        if kept is None:
            return NO_CALIBRATION
        scales = {pair: Scale(**scale) for pair, scale in kept["scales"].items()}
        return Calibration(**{**kept, "scales": scales})
    except (AttributeError, KeyError, TypeError):
        _log.info("%s keeps a calibration that cannot be read: words decide", store.location)
        return NO_CALIBRATION


def is_due(store: VectorStore) -> bool:
    """Whether an index should be measured: never yet, or it has grown by half since.

    Not while passages wait for their vectors.
    """
    if not store.embedder:
        return False
    stats = store.stats()
    chunks = 0 if stats.waiting else stats.chunks
    return chunks > 0 and chunks >= GROWTH * read_calibration(store).chunks


def keep_calibration(
    store: VectorStore, embedder_of: Callable[[VectorStore], Embedder | None]
) -> None:
    """Measure an index if that is due and keep the result with it.

    An index is whole without: if the embedder fails, that is a warning and no error.

    Args:
        store: The index.
        embedder_of: Gives its embedder.
    """
    if not is_due(store):
        return
    try:
        embedder = embedder_of(store)
        if embedder is None:
            return
        measured = calibrated(store, embedder)
    except ModelError as exc:
        _log.warning(
            "What is foreign to the index was not measured: %s. Until the next `ragkit index`, "
            "words alone decide which questions are refused.",
            exc,
        )
        return
    store.keep_note(_note(store.embedder), asdict(measured))


def _note(record: Mapping[str, Any]) -> str:
    return f"evidence:{record['digest']}"


def calibrated(store: VectorStore, embedder: Embedder) -> Calibration:
    """Measure an index: about 60 short texts are embedded, each is searched for once.

    Args:
        store: Holds at least one chunk.
        embedder: Its own; errors are those of `Embedder.embed_query`.
    """
    chunks = _sampled(store)
    said = _own_sentences(chunks)
    asked = [pair[i] for i in (0, 1) for pair in PROBES] + [sentence for _, sentence in said]
    vectors = _embedded(asked, embedder)
    count = len(PROBES)
    foreign = {"a": vectors[:count], "c": vectors[count : 2 * count]}
    probes = {s: [_Found(store, vector) for vector in foreign[s]] for s in "ac"}
    own: dict[str, list[tuple[float, float | None]]] = {"a": [], "c": []}
    for (chunk, sentence), vector in zip(said, vectors[2 * count :], strict=True):
        found = _Found(store, vector, least=_DEPTH)
        hit = found.first(partial(_is_chunk, chunk.chunk_id)) or found.hits[-1]
        own[script_of(sentence)].append(_with_lead(hit.score or 0.0, found.hits))
    skill, crosses = _crossing(foreign["a"], foreign["c"])
    scales = {}
    for passage in "ac":
        high = own[passage] if len(own[passage]) >= min(_LEAST_SENTENCES, len(chunks)) else []
        same = _scale(_nearest(probes[passage], passage), high) if high else None
        if same is None:
            continue
        scales[passage * 2] = same
        question = "c" if passage == "a" else "a"
        low = _nearest(probes[question], passage) if crosses else []
        if low:
            scales[question + passage] = _crossed(low, same, skill)
    common = _common([chunk.text for chunk in chunks])
    return Calibration(store.stats().chunks, scales, crosses, common)


def _sampled(store: VectorStore) -> list[Hit]:
    """Chunks from documents all over the index, the same each time."""
    documents = [d for d in store.documents() if d.chunks]
    step = max(1, len(documents) // _DOCUMENTS)
    chosen = documents[::step][: 2 * _DOCUMENTS]
    most = max(1, _CHUNKS // max(1, len(chosen)))
    found: list[Hit] = []
    for number, document in enumerate(chosen):
        places = max(1, document.chunks // most)
        start = (number * 7919) % places * _REACH_CHARS // 8
        chunks = store.chunks_at(document.doc_id, start, start + _REACH_CHARS)
        found += (chunks or store.chunks_at(document.doc_id, 0, _REACH_CHARS))[:most]
    return found


def _own_sentences(chunks: Sequence[Hit]) -> list[tuple[Hit, str]]:
    """Up to `_DOCUMENTS` whole sentences, each from another chunk, as far apart as can be."""
    wanted = min(_DOCUMENTS, max(_LEAST_OWN, len(chunks) // _CHUNKS_A_SENTENCE))
    found = []
    for chunk in chunks:
        said = [chunk.text[start:end] for start, end in sentences(chunk.text)]
        fitting = [s for s in said if _is_fitting(s)]
        if fitting:
            found.append((chunk, max(fitting, key=len)))
    return found[:: max(1, len(found) // wanted)][:wanted]


def _is_fitting(sentence: str) -> bool:
    least, most = _SENTENCE_CHARS[script_of(sentence)]
    return least <= len(sentence) <= most and "\n\n" not in sentence


def _embedded(texts: Sequence[str], embedder: Embedder) -> list[Vectors]:
    """The vectors of questions, several asked for at once, since a server takes some time."""
    pool = DaemonPool(_AT_ONCE)
    try:
        return pool.map(embedder.embed_query, texts)
    finally:
        pool.close()


def _is_chunk(chunk_id: str, hit: Hit) -> bool:
    return hit.chunk_id == chunk_id


class _Found:
    """What a question finds, best first: the `least` nearest, and more once they are asked for."""

    def __init__(self, store: VectorStore, vector: Vectors, *, least: int = _NEAR) -> None:
        self._store, self._vector = store, vector
        self._least, self._depth = least, 0
        self.hits: list[Hit] = []

    def first(self, is_meant: Callable[[Hit], bool]) -> Hit | None:
        """The best hit of which something is true, where there is one."""
        while True:
            found = next(filter(is_meant, self.hits), None)
            if found is not None or self._depth == _DEPTH or len(self.hits) < self._depth:
                return found
            self._depth = _DEPTH if self._depth else self._least
            self.hits = self._search()

    def _search(self) -> list[Hit]:
        embedder = self._store.embedder
        request = SearchRequest(k=self._depth, mode="dense", vector=self._vector, embedder=embedder)
        return self._store.search(request)


def _with_lead(score: float, hits: Sequence[Hit]) -> tuple[float, float | None]:
    background = hits[0].ranks.background
    return score, None if background is None else score - background


def _nearest(found: Sequence[_Found], script: str) -> list[tuple[float, float | None]]:
    """The score, with its lead, of the best hit in a script, where there is one."""
    best = []
    for question in found:
        first = question.first(lambda hit: script_of(hit.text) == script)
        if first is not None and first.score is not None:
            best.append(_with_lead(first.score, question.hits))
    return best


def _scale(
    low: Sequence[tuple[float, float | None]], high: Sequence[tuple[float, float | None]]
) -> Scale | None:
    """The scale of a script on itself; None if the index lacks it or its cosines say nothing."""
    if not low or not high:
        return None
    begin, end = _median([score for score, _ in low]), _median([score for score, _ in high])
    nearer = sum(own > foreign for own, _ in high for foreign, _ in low)
    if end - begin < _LEAST_RANGE or nearer < _LEAST_NEARER * len(high) * len(low):
        return None
    leads = [[lead for _, lead in side if lead is not None] for side in (low, high)]
    if not all(leads) or _median(leads[1]) - _median(leads[0]) < _LEAST_RANGE / 2:
        return Scale(begin, end, 0.0, _DEFAULT_LEAD * (end - begin))
    return Scale(begin, end, _median(leads[0]), _median(leads[1]))


def _crossed(low: Sequence[tuple[float, float | None]], same: Scale, skill: float) -> Scale:
    """The scale between scripts: as far as within one, times what the embedder keeps of it."""
    begin = _median([score for score, _ in low])
    leads = [lead for _, lead in low if lead is not None]
    lead = _median(leads) if leads else 0.0
    return Scale(
        begin,
        begin + skill * (same.high - same.low),
        lead,
        lead + skill * (same.lead_high - same.lead_low),
    )


def _crossing(first: Sequence[Vectors], second: Sequence[Vectors]) -> tuple[float, bool]:
    """What is left of a text's nearness in the other language, and whether that is enough."""
    count = len(first)
    across = [[float(a @ b) for b in second] for a in first]
    right = sum(row.index(max(row)) == i for i, row in enumerate(across)) / count
    pairs = sum(row[i] for i, row in enumerate(across)) / count
    others = [across[i][k] for i in range(count) for k in range(count) if i != k]
    within = [float(first[i] @ first[k]) for i in range(count) for k in range(i)]
    apart, near = sum(others) / len(others), sum(within) / len(within)
    skill = min(1.0, max(0.1, (pairs - apart) / max(1e-6, 1.0 - near)))
    return skill, right >= _LEAST_FOUND


def _common(texts: Sequence[str]) -> dict[str, float]:
    """The commonest terms with the share of the texts that have them."""
    if len(texts) < _COMMON_CHUNKS:
        return {}
    counts = Counter(term for text in texts for term in set(content_terms(text)))
    shares = ((term, count / len(texts)) for term, count in counts.most_common(_COMMON_MOST))
    return {term: round(share, 3) for term, share in shares if share >= _COMMON_FROM}


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
