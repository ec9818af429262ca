"""Pipeline: one index over time, its folders, its models, its writers and readers."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import write_files
from hash_embedder import HashEmbedder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ollama_models import CATALOGUE
from ollama_server import Fault, OllamaServer, Settings

from ragkit.config import Config
from ragkit.errors import (
    ConfigError,
    IndexMismatchError,
    IndexNotFoundError,
    LoadError,
    ModelNotFoundError,
    ModelResponseError,
    ModelUnavailableError,
)
from ragkit.pipeline import Pipeline
from ragkit.records import Answer

if TYPE_CHECKING:
    pass

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "sub/travel.txt": "Rail travel is booked by the office, second class.\n",
    "sub/deep/kitchen.txt": "The kitchen opens at noon and closes at two.\n",
}
CLOSED = {"models.ollama_host": "http://127.0.0.1:9", "models.retries": 0}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_files(tmp_path / "docs", FILES)


def over(server: OllamaServer, **values: object) -> Config:
    fixed = {"models.backend": "ollama", "models.ollama_host": server.url, "models.retries": 0}
    return Config().with_values(fixed | values)


def contents(rag: Pipeline) -> list[tuple[str, str]]:
    """Every document and its chunks' texts, as a search over all of them shows."""
    documents = rag.documents()
    count = sum(document.chunks for document in documents)
    hits = rag.search("anything", k=count) if count else []
    assert len(hits) == count
    return sorted((f"{hit.root}/{hit.path}", hit.text) for hit in hits)


def dense(embedder: HashEmbedder, path: Path) -> Pipeline:
    return Pipeline(path, Config().with_values({"search.mode": "dense"}), embedder=embedder)


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


# Models --------------------------------------------------------------------------------------


def test_another_embedder_is_refused_even_where_nothing_changed(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)
    other = HashEmbedder(digest="hash-2")

    with dense(other, tmp_path / "index") as rag:
        with pytest.raises(IndexMismatchError, match="`ragkit rebuild") as caught:
            rag.index(docs)
        with pytest.raises(IndexMismatchError):
            rag.search("rail")

    assert "hash-1" in caught.value.stored
    assert "hash-2" in caught.value.given
    assert other.sent == []


def test_other_split_settings_are_refused_and_rebuild_takes_them(
    tmp_path: Path, docs: Path
) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)
    small = Config().with_values({"split.chunk_tokens": 100})

    with Pipeline(tmp_path / "index", small, embedder=HashEmbedder()) as rag:
        with pytest.raises(IndexMismatchError, match="chunk_tokens"):
            rag.index(docs)
        rag.rebuild()
        assert rag.stats().splitter["chunk_tokens"] == 100
        assert sorted(rag.index(docs).unchanged) == sorted(FILES)


def test_a_model_that_changed_on_the_server_is_a_mismatch_until_rebuilt(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", over(ollama)) as rag:
        rag.index(docs)
    ollama.faults.append(
        Fault(
            "/api/tags",
            times=None,
            status=200,
            body={"models": [{"name": "nomic-embed-text:latest", "digest": "f" * 64}]},
        )
    )

    with Pipeline(tmp_path / "index", over(ollama)) as rag:
        with pytest.raises(IndexMismatchError, match="ffffffffffff"):
            rag.search("rail")
        rag.rebuild()
        assert rag.search("rail travel")[0].path == "sub/travel.txt"
        assert rag.stats().embedder["digest"] == "f" * 64


def test_a_server_that_is_down_is_reported_as_that_and_keyword_search_still_answers(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", over(ollama)) as rag:
        rag.index(docs)
    down = Config().with_values(CLOSED)

    said = re.escape("nothing answers at http://127.0.0.1:9")
    rag = Pipeline(tmp_path / "index", down)
    with rag, pytest.raises(ModelUnavailableError, match=said):
        rag.search("rail")
    keyword = down.with_values({"search.mode": "keyword"})
    with Pipeline(tmp_path / "index", keyword) as rag:
        assert [hit.path for hit in rag.search("rail")] == ["sub/travel.txt"]


def test_a_model_that_is_not_installed_makes_no_index(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    unknown = over(ollama, **{"models.embedder": "no-such-model"})

    rag = Pipeline(tmp_path / "index", unknown)
    with rag, pytest.raises(ModelNotFoundError, match="ollama pull no-such-model"):
        rag.index(docs)

    assert not (tmp_path / "index").exists()


def test_an_index_of_a_programs_own_embedder_needs_that_program(tmp_path: Path, docs: Path) -> None:
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.index(docs)

    with Pipeline(tmp_path / "index") as rag, pytest.raises(ConfigError, match="hashed-texts"):
        rag.search("rail")


def test_vectors_of_another_length_end_the_run_and_lose_nothing(
    tmp_path: Path, docs: Path, ollama: OllamaServer
) -> None:
    with Pipeline(tmp_path / "index", over(ollama)) as rag:
        rag.index(docs)
        write_files(docs, {"new.md": "Something new.\n"})
    small = tuple(model for model in CATALOGUE if model.embeds)
    with OllamaServer(Settings(dim=128, models=small)) as other:
        rag = Pipeline(tmp_path / "index", over(other))
        with rag, pytest.raises(ModelResponseError, match="vector of length 128, not 256"):
            rag.index(docs)
    with Pipeline(tmp_path / "index", over(ollama)) as rag:
        assert rag.search("rail travel")[0].path == "sub/travel.txt"
        assert [d.path for d in rag.documents()] == sorted(FILES)


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


def test_searches_answer_while_an_index_run_is_writing(tmp_path: Path, docs: Path) -> None:
    server = OllamaServer(Settings(latency_s=0.01))
    with server, Pipeline(tmp_path / "index", over(server)) as rag:
        rag.index(docs)
        write_files(docs, {f"new/{n:03}.txt": f"Matter {n} is settled.\n" for n in range(300)})
        writer = threading.Thread(target=Pipeline(rag.path, over(server)).index, args=(docs,))
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
    with Pipeline(tmp_path / "index", over(ollama)) as rag:
        rag.index(docs)
        *deltas, last = rag.stream("How long is the notice period for permanent staff?")

    assert isinstance(last, Answer)
    assert "".join(getattr(delta, "text", "") for delta in deltas).strip() == last.text
    assert "three months" in last.text
    assert [citation.path for citation in last.citations] == ["notice.md"]


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
    with pytest.raises(IndexNotFoundError, match="one, two; choose one with --index"):
        Pipeline.open("", config)
    with pytest.raises(IndexNotFoundError, match="no index at"):
        Pipeline.open("three", config).search("x")


# Properties ----------------------------------------------------------------------------------

NAMES = st.sampled_from(["a.txt", "b.md", "sub/c.txt", "sub/文.md"])
TEXTS = st.sampled_from(
    ["Alpha one.", "Beta two.\n\n" * 3, "第三条 通知期为三个月。", " ", "x" * 900]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, TEXTS),
        st.tuples(st.just("delete"), NAMES, st.just("")),
        st.tuples(st.just("rename"), NAMES, NAMES),
        st.tuples(st.just("index"), st.just(""), st.just("")),
    ),
    max_size=10,
)


def apply(folder: Path, step: tuple[str, str, str]) -> None:
    what, name, value = step
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if what == "write":
        path.write_text(value, "utf-8")
    elif what == "delete":
        path.unlink(missing_ok=True)
    elif what == "rename" and path.exists():
        (folder / value).parent.mkdir(exist_ok=True)
        path.rename(folder / value)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_any_history_of_a_folder_ends_in_the_index_of_its_last_state(
    tmp_path: Path, steps: list[tuple[str, str, str]]
) -> None:
    folder, grown, fresh = tmp_path / "docs", tmp_path / "grown", tmp_path / "fresh"
    for used in (folder, grown, fresh):
        shutil.rmtree(used, ignore_errors=True)
    folder.mkdir()
    embedder = HashEmbedder()
    with dense(embedder, grown) as rag:
        for step in [*steps, ("index", "", "")]:
            if step[0] == "index":
                rag.index(folder, prune=True)
            else:
                apply(folder, step)
        with dense(HashEmbedder(), fresh) as reference:
            reference.index(folder)
            assert contents(rag) == contents(reference)
        again = rag.index(folder)
        assert (again.added, again.changed, again.moved, again.removed) == ((), (), (), ())
    assert len(embedder.sent) == len(set(embedder.sent))  # each text was paid for once
