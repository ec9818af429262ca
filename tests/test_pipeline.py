"""Pipeline: one index over time, its folders, its models, its writers and readers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from commands import write_files
from hash_embedder import HashEmbedder, contents, dense
from ollama_double.server import OllamaServer, Settings
from ollama_helpers import settings_for

from ragkit.config import Config
from ragkit.errors import (
    ConfigError,
    IndexCorruptError,
    IndexNotFoundError,
    InputError,
    LoadError,
)
from ragkit.pipeline import Pipeline
from ragkit.protocols import QuotedDelta, TextDelta
from ragkit.records import Answer

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
    "sub/deep/kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}
CLOSED = {"models.ollama_host": "http://127.0.0.1:9", "models.retries": 0}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(tmp_path / "docs", FILES)


# Folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("docs", "docs/sub"), ("docs/sub", "docs")])
def test_nested_folders_hold_each_file_once(
    tmp_path: Path, docs: Path, order: tuple[str, str]
) -> None:
    embedder = HashEmbedder()
    with dense(embedder, tmp_path / "index") as rag:
        for folder in order:
            rag.index(tmp_path / folder)

        assert [path for path, _ in contents(rag)] == sorted(f"{docs}/{name}" for name in FILES)
        assert {d.root for d in rag.documents()} == {str(docs)}
        assert len(embedder.sent) == len(FILES)


def test_a_path_given_twice_or_within_another_counts_once(tmp_path: Path, docs: Path) -> None:
    file = docs / "sub/travel.txt"
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        report = rag.index(file, docs, docs, file)

        assert sorted(report.added) == sorted(FILES)
        assert len(contents(rag)) == len(FILES)
        file.unlink()
        gone = rag.index(docs, docs, docs / "sub/deep")

    assert gone.removed == ("sub/travel.txt",)
    assert sorted(gone.unchanged) == ["notice.md", "sub/deep/kitchen.txt"]


def test_a_single_file_is_indexed_alone_and_stays_alone(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs / "notice.md")
        again = rag.index()
        rebuilt = rag.rebuild()

        assert [d.path for d in rag.documents()] == ["notice.md"]
    assert again.unchanged == ("notice.md",)
    assert rebuilt.added == ("notice.md",)


def test_index_without_paths_brings_every_known_folder_up_to_date(
    tmp_path: Path, docs: Path
) -> None:
    other = write_files(tmp_path / "other", {"x.txt": "One."})
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs, other)
        write_files(docs, {"new.md": "New."})
        write_files(other, {"y.txt": "Two."})

        assert sorted(rag.index().added) == ["new.md", "y.txt"]


def test_removed_documents_are_found_no_more_and_their_files_stay(
    tmp_path: Path, docs: Path
) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)

        assert rag.remove("notice.md") == ("notice.md",)
        assert rag.remove(docs / "sub") == ("sub/deep/kitchen.txt", "sub/travel.txt")
        assert rag.remove("nothing.md") == ()
        assert contents(rag) == []
    assert (docs / "notice.md").exists()


def test_dry_run_makes_no_index_and_asks_no_model(tmp_path: Path, docs: Path) -> None:
    with Pipeline(tmp_path / "index", Config().with_values(CLOSED)) as rag:
        report = rag.index(docs, dry_run=True)

    assert report.dry_run
    assert sorted(report.added) == sorted(FILES)
    assert not (tmp_path / "index").exists()


# Writers and readers -------------------------------------------------------------------------


def test_rebuild_answers_under_the_old_name_and_until_then_from_the_old_index(
    tmp_path: Path, docs: Path
) -> None:
    config = Config().with_values({"indexes": tmp_path / "indexes", "search.mode": "dense"})
    embedder = HashEmbedder()
    seen: list[int] = []

    def look(_: object) -> None:
        with Pipeline.open("", config, embedder=HashEmbedder()) as reader:  # the only index
            seen.append(len(reader.search("anything")))

    with Pipeline.open("handbook", config, embedder=embedder) as rag:
        rag.index(docs)
        report = rag.rebuild(on_progress=look)

        assert sorted(report.added) == sorted(FILES)
        assert len(rag.search("anything")) == 3
    assert seen == [3, 3, 3]
    assert [path.name for path in (tmp_path / "indexes").iterdir()] == ["handbook"]


def test_a_rebuild_from_what_there_is_not_is_refused_and_loses_nothing(
    tmp_path: Path, docs: Path
) -> None:
    source: Any = "file"
    with Pipeline(tmp_path / "index", Config(), embedder=HashEmbedder()) as rag:
        added = rag.index(docs).added
        with pytest.raises(InputError, match="rebuilt from text or files, not 'file'"):
            rag.rebuild(source)
        assert tuple(d.path for d in rag.documents()) == added


def test_a_rebuild_embeds_only_what_the_old_index_has_not(tmp_path: Path, docs: Path) -> None:
    embedder = HashEmbedder()
    with dense(embedder, tmp_path / "index") as rag:
        rag.index(docs)
        write_files(docs, {"new.md": "A new rule."})
        before, sent = contents(rag), len(embedder.sent)

        report = rag.rebuild()

        assert embedder.sent[sent:] == ["A new rule."]
        assert (report.embedded, report.reused) == (1, len(before))
        assert [c for c in contents(rag) if c in before] == before


@pytest.mark.parametrize(("damage", "again"), [("flip", 1), ("cut", 3), ("remove", 3)])
def test_a_rebuild_embeds_again_whatever_rows_are_damaged(
    tmp_path: Path, docs: Path, damage: str, again: int
) -> None:
    embedder = HashEmbedder()
    with dense(embedder, tmp_path / "index") as rag:
        rag.index(docs)
        (rows,) = (tmp_path / "index/vectors").glob("*.f16")
        data = bytearray(rows.read_bytes())
        data[0] ^= 0xFF
    if damage == "remove":
        rows.unlink()
    else:
        rows.write_bytes(data if damage == "flip" else data[:50])
    with dense(embedder, tmp_path / "index") as rag:
        with pytest.raises(IndexCorruptError, match="build it anew with `ragkit rebuild`"):
            rag.search("rail travel", k=3)

        assert rag.rebuild().embedded == again
        assert rag.search("rail travel", k=3)[0].rank == 1


def test_a_rebuild_killed_between_its_renames_loses_no_index(tmp_path: Path, docs: Path) -> None:
    config = Config().with_values({"indexes": tmp_path / "indexes"})
    with Pipeline.open("handbook", config, embedder=HashEmbedder()) as rag:
        rag.index(docs)
    for name in ("", "handbook", str(tmp_path / "indexes/handbook")):
        (tmp_path / "indexes/handbook").rename(tmp_path / "indexes/.handbook.replaced")
        with Pipeline.open(name, config, embedder=HashEmbedder()) as rag:
            assert len(rag.search("rail")) == 3


def test_a_rebuild_that_fails_leaves_the_old_index(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)
        before = contents(rag)
        docs.rename(tmp_path / "elsewhere")
        with pytest.raises(LoadError, match="no such file or folder"):
            rag.rebuild()
        assert contents(rag) == before
    assert not list(tmp_path.glob(".*"))


def test_an_emptied_index_is_rebuilt_empty(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "indexes/handbook") as rag:
        rag.index(docs)
        rag.remove(*FILES)

        rag.rebuild()

        assert contents(rag) == []
        write_files(docs, {"new.md": "A new rule."})
        assert "new.md" in rag.index(docs).added
    assert [path.name for path in (tmp_path / "indexes").iterdir()] == ["handbook"]


def test_searches_answer_while_an_index_run_is_writing(tmp_path: Path, docs: Path) -> None:
    server = OllamaServer(Settings(latency_s=0.01))
    with server, Pipeline(tmp_path / "index", settings_for(server)) as rag:
        rag.index(docs)
        write_files(docs, {f"new/{n:03}.txt": f"Matter {n} is settled.\n" for n in range(300)})
        writer = threading.Thread(
            target=Pipeline(rag.path, settings_for(server)).index, args=(docs,)
        )
        writer.start()
        answers = []
        while writer.is_alive():
            answers.append(rag.search("rail travel booked", k=1)[0].path)
        writer.join()

        assert len(answers) > 3
        assert set(answers) == {"sub/travel.txt"}
        assert len(rag.documents()) == 303


# Answers -------------------------------------------------------------------------------------


def test_stream_ends_with_the_answer_whose_text_was_streamed(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama)) as rag:
        rag.index(docs)
        *deltas, last = rag.stream("How long is the notice period for permanent staff?")

    assert isinstance(last, Answer)
    assert "".join(getattr(delta, "text", "") for delta in deltas).strip() == last.text
    assert "three months" in last.text
    assert [citation.path for citation in last.citations] == ["notice.md"]


@pytest.mark.parametrize(
    ("question", "values", "said"),
    [
        ("How long is the notice period?", {"answer.strict": True}, "three months"),
        ("谁发明了电话？", {}, "文档中没有说明。"),
    ],
    ids=["strict", "refused"],
)
def test_what_no_model_writes_word_by_word_is_streamed_at_once(
    tmp_path: Path, docs: Path, ollama: OllamaServer, question: str, values: Any, said: str
) -> None:
    config = settings_for(ollama, **values)
    with Pipeline(tmp_path / "index", config) as rag:
        rag.index(docs)
        delta, last = rag.stream(question)

    assert isinstance(last, Answer)
    assert delta == TextDelta(last.text)
    assert said in last.text


def test_a_quotation_is_streamed_with_its_closest_sentence_apart(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama, **{"models.chat": "none"})) as rag:
        rag.index(docs)
        *deltas, last = rag.stream("How long is the notice period?")

    assert isinstance(last, Answer)
    assert "".join(delta.text for delta in deltas if isinstance(delta, QuotedDelta)) == last.text
    marked = [d.text for d in deltas if isinstance(d, QuotedDelta) and d.is_closest]
    assert marked == [last.text[span.start : span.end] for span in last.closest]
    assert "three months" in marked[0]


def test_settings_are_read_where_the_commands_read_them(
    tmp_path: Path, docs: Path, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write_files(tmp_path, {"ragkit.toml": '[models]\nbackend = "ollama"\n[search]\nk = 1\n'})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    with Pipeline.open("handbook") as rag:
        rag.index(docs)
        assert rag.stats().embedder["name"] == "nomic-embed-text:latest"
        assert len(rag.search("anything")) == 1
    monkeypatch.setenv("RAGKIT_SEARCH_K", "many")
    with pytest.raises(ConfigError, match="environment RAGKIT_SEARCH_K"):
        Pipeline.open("handbook")


def test_an_index_is_opened_by_name_by_path_or_as_the_only_one(tmp_path: Path, docs: Path) -> None:
    config = Config().with_values({"indexes": tmp_path / "indexes"})
    with pytest.raises(IndexNotFoundError, match="there is no index in"):
        Pipeline.open("", config)
    for name in ("one", "two"):
        with Pipeline.open(name, config, embedder=HashEmbedder()) as rag:
            rag.index(docs)
        assert Pipeline.open(str(tmp_path / "indexes/one"), config).path == rag.path.with_name(
            "one"
        )
    with pytest.raises(IndexNotFoundError, match="one, two; name one with `--index NAME`"):
        Pipeline.open("", config)
    with pytest.raises(IndexNotFoundError, match="no index at"):
        Pipeline.open("three", config).search("x")


def test_an_open_pipeline_sees_a_rebuild_with_another_model_at_its_next_question(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", settings_for(ollama)) as reader:
        reader.index(docs)
        before = reader.search("rail travel")
        other = settings_for(ollama).with_values({"models.embedder": "bge-m3:latest"})
        with Pipeline(tmp_path / "index", other) as writer:
            writer.rebuild()
        after = reader.search("rail travel")

        assert reader.store.embedder["name"].startswith("bge-m3")
        assert [hit.path for hit in after] == [hit.path for hit in writer.search("rail travel")]
        assert [hit.score for hit in after] != [hit.score for hit in before]
