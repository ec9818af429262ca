"""Texts that a program gives: added, found, given back, replaced, deleted, and left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from hash_embedder import HashEmbedder, contents, dense

from ragkit.config import Config
from ragkit.errors import InputError
from ragkit.pipeline import Pipeline
from ragkit.records import Condition, Document, FileOutcome, Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


WORDS = Config().with_values({"models.embedder": "none", "search.mode": "keyword"})
POEM = "Roses are red,\n\n   violets are blue.\n\n\nThe end.\n"


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.fixture
def rag(tmp_path: Path) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "index", WORDS) as opened:
        yield opened


def test_a_text_is_found_by_its_id_with_its_title_and_metadata(rag: Pipeline) -> None:
    told = {"author": "Chen", "year": 2024, "tags": ["a", "b"], "deep": {"x": [1, None]}}
    report = rag.add("Rail travel is booked.", id="travel/1", title="Travel", metadata=told)

    (hit,) = rag.search("rail travel")
    assert report.added == ("travel/1",)
    assert (hit.path, hit.title, hit.metadata) == ("travel/1", "Travel", told)
    (document,) = rag.documents()
    assert (document.origin, document.metadata) == ("program", told)
    found = rag.search("rail", restrict=Filter(where=(Condition("tags", "=", "b"),)))
    assert [h.path for h in found] == ["travel/1"]
    assert rag.search("rail", restrict=Filter(where=(Condition("year", "<", 2024),))) == []


def test_many_texts_are_one_run_and_one_without_an_id_is_named_by_itself(rag: Pipeline) -> None:
    texts = [Document.from_text(f"Matter {n}.", id=f"m{n}", metadata={"n": n}) for n in range(3)]
    report = rag.add([*texts, "No name."], metadata={"source": "test"})

    assert report.added[:3] == ("m0", "m1", "m2")
    assert rag.stats().generation == 1
    assert rag.documents()[1].metadata == {"n": 1, "source": "test"}
    again = rag.add(["No name.", "Another."], metadata={"source": "test"})
    assert again.unchanged == report.added[3:]
    assert len(again.added) == 1


def test_an_id_that_is_used_again_replaces_and_is_told(rag: Pipeline) -> None:
    rag.add("The old rule.", id="rule")
    report = rag.add("The new rule.", id="rule")
    same = rag.add("The new rule.", id="rule")
    twice = rag.add([Document.from_text(t, id="x") for t in ("First.", "Second.")])

    assert (report.changed, report.added) == (("rule",), ())
    assert (same.unchanged, same.changed) == (("rule",), ())
    assert same.generation == report.generation  # nothing was written
    assert twice.notes == (FileOutcome("x", "its id was given twice: the last one counts"),)
    assert [text for _, text in contents_of(rag)] == ["The new rule.", "Second."]


def contents_of(rag: Pipeline) -> list[tuple[str, str]]:
    return [(d.path, text.text) for d in rag.documents() if (text := rag.get(d.path))]


def test_other_metadata_or_another_title_alone_is_a_change(rag: Pipeline) -> None:
    rag.add("A rule.", id="rule", metadata={"author": "Chen"})
    assert rag.add("A rule.", id="rule", metadata={"author": "Liu"}).changed == ("rule",)
    assert rag.add("A rule.", id="rule", title="T", metadata={"author": "Liu"}).changed == ("rule",)
    assert rag.search("rule")[0].metadata == {"author": "Liu"}


@pytest.mark.parametrize("metadata", [{}, {"notes": "mine", "hidden": True, "failed_pages": 3}])
def test_a_text_comes_back_as_it_was_given(rag: Pipeline, metadata: dict[str, Any]) -> None:
    long = "\n\n".join(f"# Part {n}\n\n\tBody {n}. " * 40 for n in range(5)) + "\n \n"
    for n, text in enumerate((POEM, long, "x", " y\t")):
        rag.add(Document.from_text(text, id=str(n), kind="markdown", metadata=metadata))
        back = rag.get(str(n))
        assert back is not None
        assert (back.text, back.metadata, back.origin) == (text, metadata, "program")
        assert rag.add(back).unchanged == (str(n),)
    assert [d.notes for d in rag.documents()] == [()] * 4
    assert rag.get("nothing") is None


def test_indexing_folders_and_removing_leave_them_alone(tmp_path: Path) -> None:
    docs = write_files(tmp_path / "docs", {"a.txt": "A file.", "b.txt": "Another file."})
    with dense(HashEmbedder(), tmp_path / "index") as rag:
        rag.add("A text.", id="a.txt")  # as the file is called
        rag.index(docs)
        (docs / "a.txt").unlink()
        report = rag.index()

        assert report.removed == ("a.txt",)
        assert contents(rag) == [(f"{docs}/b.txt", "Another file."), ("program:/a.txt", "A text.")]
        assert rag.index().unchanged == ("b.txt",)
        assert rag.delete("b.txt") == ()  # that is a file


@pytest.mark.parametrize("source", ["text", "files"])
def test_a_rebuild_keeps_them_and_splits_them_anew(tmp_path: Path, source: Any) -> None:
    docs = write_files(tmp_path / "docs", {"b.txt": "A file."})
    text = "\n\n".join(f"Paragraph {n} says something of its own, at length." for n in range(40))
    embedder = HashEmbedder()
    with dense(embedder, tmp_path / "index") as rag:
        rag.index(docs)
        rag.add(text, id="long", metadata={"n": 1})
        before, sent = contents(rag), len(embedder.sent)
        rag.rebuild(source)

        assert contents(rag) == before
        assert len(embedder.sent) == sent
        if source == "files":
            rag.config = rag.config.with_values({"split.chunk_tokens": 64})
            rag.rebuild(source)
            assert len(contents(rag)) > len(before)
        back = rag.get("long")
        assert back is not None
        assert (back.text, back.metadata) == (text, {"n": 1})


@pytest.mark.parametrize("source", ["text", "files"])
def test_what_is_given_anew_while_a_rebuild_waits_to_go_on_is_in_it(
    rag: Pipeline, source: Any
) -> None:
    texts = [Document.from_text(f"Matter {n}.", id=f"m{n}", metadata={"n": n}) for n in range(4)]
    rag.add(texts)

    def stop(progress: Any) -> None:
        if progress.files_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rag.rebuild(source, on_progress=stop)
    rag.add("Matter 0.", id="m0", metadata={"n": "other"})
    rag.delete("m1")
    rag.rebuild(source)

    assert [(d.path, d.metadata["n"]) for d in rag.documents()] == [
        ("m0", "other"),
        ("m2", 2),
        ("m3", 3),
    ]


def test_deleted_texts_are_found_no_more_and_erased_ones_nowhere(rag: Pipeline) -> None:
    rag.add([Document.from_text(f"Matter {n}.", id=f"m{n}") for n in range(4)])
    assert rag.delete("m0", "m3", "m3", "none") == ("m0", "m3")
    assert {hit.path for hit in rag.search("matter")} == {"m1", "m2"}
    assert rag.search("matter", as_of=1, k=9) != []
    assert rag.remove("m1") == ("m1",)
    assert rag.store.decisions() == {}
    assert rag.erase("m2").documents == ("m2",)
    assert rag.add("Matter 1.", id="m1").added == ("m1",)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: r.add(""), "has no text"),
        (lambda r: r.add(" \n\0"), "has no text"),
        (lambda r: r.add(["good", "\t"]), "has no text"),
        (lambda r: r.add(b"bytes"), "not bytes|not int"),
        (lambda r: r.add(None), "a str or a ragkit.Document, not NoneType"),
        (lambda r: r.add("x", title=5), "a title is a text, not 5"),
        (lambda r: r.add("x", metadata=["author"]), r"values by name, as \{'author': 'Chen'\}"),
        (lambda r: r.add([5]), "a str or a ragkit.Document, not int"),
        (lambda r: r.add({"a": "x"}), r"not dict: .* for id, text in texts\.items\(\)"),
        (lambda r: r.add(b"x"), r"not bytes: write bytes\.decode\(\)"),
        (lambda _: Document.from_text(3), "a text is a str, not int"),  # type: ignore[arg-type]
        (lambda r: r.add("x", metadata={"n": nested(5000)}), "no JSON: a list; give"),
        (lambda r: r.add("x", id=5), r"write id=str\("),
        (lambda r: r.add("x", id="a\nb"), "cannot be an id"),
        (lambda r: r.add("x", id="a\ud800"), "cannot be an id"),
        (lambda r: r.add("x", id=" a"), "cannot be an id"),
        (lambda r: r.add("x", id="a" * 1001), "cannot be an id"),
        (lambda r: r.add(["x", "y"], id="a"), r"Document.from_text"),
        (lambda r: r.add("x", metadata={"when": datetime(2024, 1, 1, tzinfo=UTC)}), "isoformat"),
        (lambda r: r.add("x", metadata={"n": float("nan")}), "is no JSON"),
        (lambda r: r.add("x", metadata={"n": {1, 2}}), "is no JSON"),
        (lambda r: r.add("x", metadata={"n": "\ud800"}), "is no JSON"),
        (lambda r: r.add("x", metadata={3: "n"}), "names of metadata are texts"),
        (lambda r: r.add("x", metadata={"ragkit": 1}), "keeps for itself"),
        (lambda r: r.add("x", metadata={"modified": "soon"}), "is a moment"),
        (lambda r: r.get(""), "cannot be an id"),
        (lambda r: r.delete("a", 5), r"write id=str\("),
    ],
)
def test_what_cannot_be_taken_in_is_said_and_nothing_is_written(
    rag: Pipeline, call: Callable[[Any], object], said: str
) -> None:
    rag.add("First.", id="first")
    with pytest.raises(InputError, match=said):
        call(rag)
    assert [d.path for d in rag.documents()] == ["first"]
    assert rag.stats().generation == 1


@pytest.mark.parametrize(
    "name", ["日本/書類 №1", "a!/b", "..", "/etc/passwd", "C:\\x", "'; --", "*"]
)
def test_odd_ids_are_ids(rag: Pipeline, name: str) -> None:
    rag.add("The text.", id=name)
    assert rag.search("text")[0].path == name
    assert rag.get(name) is not None
    assert rag.delete(name) == (name,)


def test_the_same_id_written_in_another_way_is_the_same(rag: Pipeline) -> None:
    rag.add("One.", id="caf\u00e9")
    assert rag.add("Two.", id="cafe\u0301").changed == ("caf\u00e9",)


def test_modified_is_what_the_metadata_say_else_now(rag: Pipeline) -> None:
    rag.add("Then.", id="then", metadata={"modified": "2024-03-31T10:00"})
    rag.add("Then, now.", id="now")
    chosen = Filter(where=(Condition("modified", "<=", "2024-03"),))
    assert [h.path for h in rag.search("then", restrict=chosen)] == ["then"]


def test_a_document_of_a_file_becomes_a_text(rag: Pipeline) -> None:
    file = replace(
        Document.from_text("Read.", id="a/b.pdf", kind="pdf"),
        origin="file",
        root="/docs",
        metadata={"notes": ["odd"], "author": "Chen"},
    )
    rag.add(file)
    (document,) = rag.documents()
    assert (document.root, document.kind, document.notes) == ("program:", "pdf", ())
    assert document.metadata == {"author": "Chen"}


def test_an_answer_from_a_text_is_verified_against_the_text(tmp_path: Path) -> None:
    config = WORDS.with_values({"models.chat": "none"})
    text = "Notes.\n\nThe notice period is three months for permanent staff.\n"
    with Pipeline(tmp_path / "index", config) as rag:
        rag.add(text, id="notice", metadata={"author": "Chen"})
        answer = rag.ask("How long is the notice period for permanent staff?")
        held = rag.verify(answer)
        rag.add(text.replace("three", "six"), id="notice")
        changed = rag.verify(answer)
        rag.delete("notice")
        missing = rag.verify(answer)

    assert answer.citations[0].metadata == {"author": "Chen"}
    states = [[c.state for c in v.citations] for v in (held, changed, missing)]
    assert [set(s) for s in states] == [{"holds"}, {"changed"}, {"missing"}]
    assert held.citations[0].file == "notice"
    assert missing.citations[0].file == ""
