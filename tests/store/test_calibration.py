"""What an index measures on itself, with embedders that know words, and none, and languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from commands import Shell, write_files
from hash_embedder import HashEmbedder

from ragkit.config import Config
from ragkit.errors import ModelUnavailableError
from ragkit.pipeline import Pipeline
from ragkit.store.calibration import PROBES, Scale, calibrated, is_due, read_calibration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ragkit.protocols import Embedder, Vectors

OWN = {
    "leave.md": "# Leave\n\nEvery employee has thirty days of paid holiday in a calendar year.\n",
    "notice.md": "# Notice\n\nThe notice period for permanent staff is three months.\n",
    "travel.md": "# Travel\n\nTravel expenses are refunded after the receipts are handed in.\n",
    "lease.md": "# Lease\n\nThe tenant pays a deposit of two rents before moving into the flat.\n",
    "parking.md": "# Parking\n\nParking permits are issued by the reception on the ground floor.\n",
}


class WordEmbedder(HashEmbedder):
    """A text's vector is the sum of its words': equal words bring texts near, in no language."""

    name = "summed-words"

    def __init__(self, digest: str = "words-1") -> None:
        super().__init__(dim=256, digest=digest)
        self.asked: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._sum(text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        self.asked.append(text)
        return self._sum(text)

    def _sum(self, text: str) -> Vectors:
        words = re.findall(r"[a-z]{4,}|[\u4e00-\u9fff]", text.casefold()) or ["?"]
        total = np.sum([super(WordEmbedder, self).embed_query(word) for word in words], axis=0)
        unit: Vectors = (total / np.linalg.norm(total)).astype(np.float32)
        return unit


def opened(folder: Path, embedder: HashEmbedder, files: dict[str, str] = OWN) -> Pipeline:
    docs = write_files(folder / "docs", files)
    config = Config().with_values({"models.chat": "none"})
    rag = Pipeline(folder / "index", config, embedder=embedder)
    rag.index(docs)
    return rag


def test_own_sentences_are_nearer_than_foreign_questions(tmp_path: Path) -> None:
    with opened(tmp_path, WordEmbedder()) as rag:
        kept = read_calibration(rag.store)
    assert kept.chunks == len(OWN)
    assert set(kept.scales) == {"aa"}  # nothing in the index is Chinese
    assert not kept.crosses  # the sum of words knows no translation
    scale = kept.scales["aa"]
    assert scale.low < 0.5 < 0.8 < scale.high


def test_questions_are_answered_and_refused_with_any_embedder(tmp_path: Path) -> None:
    with opened(tmp_path, WordEmbedder()) as rag:
        assert not rag.ask("How long is the notice period for permanent staff?").refused
        assert not rag.ask("Who issues parking permits?").refused
        assert rag.ask("How do volcanoes erupt under glaciers?").refused
        assert rag.ask("Which staff of wizards did Gandalf break?").refused  # one word is shared


def test_what_says_nothing_about_meaning_has_no_scale(tmp_path: Path) -> None:
    with opened(tmp_path, HashEmbedder()) as rag:
        kept = read_calibration(rag.store)
        assert (kept.chunks, kept.scales, kept.crosses) == (len(OWN), {}, False)
        assert not rag.ask("Who issues parking permits?").refused
        assert rag.ask("How do volcanoes erupt under glaciers?").refused


def test_another_script_is_decided_by_words_where_no_embedder_can_tell(tmp_path: Path) -> None:
    files = OWN | {
        "vpn.md": "# VPN\n\nThe VPN client OpenConnect needs a certificate of its own.\n"
    }
    with opened(tmp_path, WordEmbedder(), files) as rag:
        assert rag.ask("停车证由谁签发？").refused
        assert rag.ask("火山为什么会喷发？").refused


def test_an_index_is_measured_again_when_it_has_grown_by_half(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    with opened(tmp_path, embedder) as rag:
        first = len(embedder.asked)
        assert first == 2 * len(PROBES) + len(OWN)
        write_files(tmp_path / "docs", {"more.md": "# More\n\nThe canteen opens at noon.\n"})
        rag.index(tmp_path / "docs")
        assert len(embedder.asked) == first  # six passages are less than half as many more
        write_files(
            tmp_path / "docs", {f"{n}.md": f"# {n}\n\nRoom {n} is let.\n" for n in range(3)}
        )
        assert not is_due(rag.store)
        rag.index(tmp_path / "docs")
        assert len(embedder.asked) > first
        assert read_calibration(rag.store).chunks == 9


def test_a_rebuild_with_another_embedder_is_measured_for_it(tmp_path: Path) -> None:
    with opened(tmp_path, WordEmbedder("words-1")) as rag:
        assert read_calibration(rag.store).scales
    with Pipeline(tmp_path / "index", Config(), embedder=WordEmbedder("words-2")) as rag:
        rag.rebuild()
        kept = read_calibration(rag.store)
        assert kept == calibrated(rag.store, embedder_of(rag))


def embedder_of(rag: Pipeline) -> Embedder:
    assert rag.embedder is not None
    return rag.embedder


class Silent(WordEmbedder):
    """Embeds passages, and answers no question."""

    def embed_query(self, text: str) -> Vectors:
        msg = f"no server answers for {text!r}"
        raise ModelUnavailableError(msg, self.name)


def test_an_index_is_whole_though_its_embedder_fails_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, Silent()) as rag:
        assert len(rag.documents()) == len(OWN)
        assert read_calibration(rag.store).chunks == 0
        assert is_due(rag.store)
    assert "words alone decide" in caplog.text


def test_a_damaged_note_counts_as_none(tmp_path: Path) -> None:
    with opened(tmp_path, WordEmbedder()) as rag:
        rag.store.keep_note("evidence:words-1", {"chunks": 5, "scales": {"aa": {"low": 1}}})
        assert read_calibration(rag.store).chunks == 0


def test_a_scale_is_kept_as_it_was_measured(tmp_path: Path) -> None:
    with opened(tmp_path, WordEmbedder()) as rag:
        again = calibrated(rag.store, embedder_of(rag))
        assert read_calibration(rag.store) == again
        assert isinstance(again.scales["aa"], Scale)


def test_doctor_tells_where_words_alone_decide(tmp_path: Path) -> None:
    for name, embedder in (("words", WordEmbedder()), ("none", HashEmbedder()), ("no", Silent())):
        opened(tmp_path / name, embedder).close()
        (tmp_path / "indexes").mkdir(exist_ok=True)
        (tmp_path / name / "index").rename(tmp_path / "indexes" / name)
    shown = Shell(tmp_path)("doctor", "--set", "models.backend=embedded", "--json").json
    told = {f["what"]: (f["state"], f["detail"], f["todo"]) for f in shown}
    crossing, foreign, unmeasured = (told[f"index {name}"] for name in ("words", "none", "no"))
    assert {crossing[0], foreign[0], unmeasured[0]} == {"note"}
    assert crossing[1].endswith("questions in another script are decided by words alone")
    assert foreign[1].endswith("do not tell what is foreign: words alone decide")
    assert "not measured yet" in unmeasured[1]
    assert "ragkit rebuild" in unmeasured[2]
