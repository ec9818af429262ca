"""The history of an index and its upkeep, as its users run them."""

from __future__ import annotations

import re
import shutil
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from commands import Shell, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Run
    from ollama_double.server import OllamaServer

FILES: dict[str, str | bytes] = {
    "key.txt": "The warden keeps the brass key.\n",
    "boats.txt": "Boats leave at seven.\n",
    "tides.txt": "The tide turns at noon.\n",
}


@pytest.fixture
def ragkit(tmp_path: Path, ollama: OllamaServer, request: pytest.FixtureRequest) -> Shell:
    """A folder that was indexed, changed, and indexed again."""
    shell = Shell(tmp_path, ollama.url)
    write_files(tmp_path / "docs", FILES)
    shell("index", "docs", "-q")
    write_files(tmp_path / "docs", {"boats.txt": "Boats leave at eight.\n", "new.txt": "New.\n"})
    (tmp_path / "docs/tides.txt").unlink()
    if request.node.name == "test_as_of_takes_a_run_a_day_or_a_time":
        time.sleep(1.1)  # the runs end in different seconds
    shell("index", "docs", "-q")
    return shell


def found(run: Run) -> str:
    return " ".join(re.findall(r"leave at (\w+)", run.out))


def boats(ragkit: Shell, *words: str, code: int = 0) -> Run:
    return ragkit("search", "--mode", "keyword", "boats leave", *words, code=code)


def test_log_lists_the_runs_newest_first(ragkit: Shell) -> None:
    lines = ragkit("log").out.splitlines()
    assert lines[0].split() == ["run", "date", "documents", "passages", "build", "state", "command"]
    assert re.match(r"2 +\S+ \S+ +\+1 ~1 -1 +\+2 -2 +1 +done +index docs", lines[1])
    assert re.match(r"1 +\S+ \S+ +\+3 +\+3 +1 +done +index docs", lines[2])
    (newest,) = ragkit("log", "--limit", "1", "--json").json
    assert (newest["id"], newest["documents_changed"], newest["chunks_added"]) == (2, 1, 2)
    ragkit("index", "docs")
    assert len(ragkit("log", "--json").json) == 2  # a run that changed nothing makes none


def test_diff_names_what_came_went_and_changed(ragkit: Shell) -> None:
    assert ragkit("diff", "1").out.splitlines() == [
        "~ boats.txt  (+1 -1 passages)",
        "+ new.txt  (+1 passage)",
        "- tides.txt  (-1 passage)",
        "Run 1 to 2: +1 ~1 -1 documents, +2 -2 passages",
    ]
    assert ragkit("diff", "1", "2", "--summary").out.count("\n") == 1
    told = ragkit("diff", "2", "1", "--json").json
    assert [(d["path"], d["change"]) for d in told["documents"]] == [
        ("boats.txt", "changed"), ("new.txt", "removed"), ("tides.txt", "added"),
    ]  # fmt: skip
    assert "no finished run 7" in ragkit("diff", "7", code=1).err


def test_as_of_takes_a_run_a_day_or_a_time(ragkit: Shell) -> None:
    first = datetime.fromisoformat(ragkit("log", "--json").json[1]["finished_at"]).astimezone()
    then = first + timedelta(milliseconds=500)
    assert found(boats(ragkit)) == "eight"
    assert found(boats(ragkit, "--as-of", "1")) == "seven"
    assert found(boats(ragkit, "--as-of", then.isoformat())) == "seven"
    assert found(boats(ragkit, "--as-of", f"{then:%Y-%m-%dT%H:%M:%S.%f}")) == "seven"
    tomorrow = first + timedelta(days=1)
    assert found(boats(ragkit, "--as-of", f"{tomorrow:%Y-%m-%d}")) == "eight"
    asked = ragkit("ask", "When do the boats leave?", "--extractive", "--as-of", "1", "--json")
    assert "seven" in asked.json["text"]
    assert asked.json["generation"] == 1
    yesterday = first - timedelta(days=1)
    refused = boats(ragkit, "--as-of", f"{yesterday:%Y-%m-%d}", code=1)
    assert "the oldest is 1, finished" in refused.err
    assert "expected the number of a run" in boats(ragkit, "--as-of", "then", code=2).err


def test_retention_and_compact_give_space_back(ragkit: Shell, tmp_path: Path) -> None:
    write_files(tmp_path / "docs", {"boats.txt": "Boats leave at nine.\n"})
    ragkit("index", "docs", "-q", "--set", "history.last=1", "--set", "history.days=0")
    assert [g["id"] for g in ragkit("log", "--json").json] == [3]
    told = boats(ragkit, "--as-of", "1", code=1).err
    assert "run 1 of" in told
    assert "no longer kept" in told
    done = ragkit("compact", "--json").json
    assert (done["documents"], done["chunks"]) == (3, 3)
    assert found(boats(ragkit)) == "nine"
    assert "every invariant holds" in ragkit("check").out
    assert "0 old documents, 0 passages taken out" in ragkit("compact").out


def test_remove_says_how_long_the_text_stays_and_erase_takes_it_out(
    ragkit: Shell, tmp_path: Path
) -> None:
    removed = ragkit("remove", "key.txt")
    assert removed.out == "key.txt\n"
    assert "the last 10, and one a day for 30 days" in removed.err
    index = tmp_path / "indexes/docs"
    assert any(b"brass key" in f.read_bytes() for f in index.rglob("*") if f.is_file())
    erased = ragkit("remove", "--erase", "key.txt")  # removed already, but not its text
    assert "erased: 1 version, 1 passage, " in erased.err
    assert not any(b"brass key" in f.read_bytes() for f in index.rglob("*") if f.is_file())
    ragkit("remove", "--erase", "key.txt", code=1)
    told = ragkit("remove", "--erase", "docs/boats.txt", "--json").json
    assert told == {"documents": ["boats.txt"], "versions": 2, "chunks": 2, "is_complete": True}
    assert "every invariant holds" in ragkit("check").out


def test_erasing_a_document_erases_what_it_was_before_it_moved(
    ragkit: Shell, tmp_path: Path
) -> None:
    (tmp_path / "docs").rename(tmp_path / "papers")
    ragkit("move", "docs", "papers")
    ragkit("remove", "--erase", "papers/key.txt")
    index = tmp_path / "indexes/docs"
    assert not any(b"brass key" in f.read_bytes() for f in index.rglob("*") if f.is_file())


def test_backup_and_restore(ragkit: Shell, tmp_path: Path) -> None:
    assert "indexes/docs is in ix.tar" in ragkit("backup", "docs", "ix.tar").out
    assert "is there already" in ragkit("backup", "docs", "ix.tar", code=1).err
    assert "already" in ragkit("restore", "ix.tar", code=1).err
    told = ragkit("restore", "ix.tar", "-i", "copy", "--json").json
    assert told == {"index": str(tmp_path / "indexes/copy"), "documents": 3}
    assert found(boats(ragkit, "-i", "copy", "--as-of", "1")) == "seven"
    shutil.rmtree(tmp_path / "indexes")
    assert "has 3 documents" in ragkit("restore", "ix.tar").out
    assert (tmp_path / "indexes/docs").is_dir()
    assert (
        "no backup that can be restored" in ragkit("restore", "docs/key.txt", "-i", "x", code=1).err
    )


def test_a_moved_folder_is_followed_without_a_model(
    ragkit: Shell, tmp_path: Path, ollama: OllamaServer
) -> None:
    ollama.requests.clear()
    told = ragkit("move", "docs", "papers", code=1).err
    assert "docs is still there" in told
    (tmp_path / "docs").rename(tmp_path / "papers")
    assert "holds none of the 3 documents" in ragkit("move", "docs", "nowhere", code=1).err
    assert "the index has no document there" in ragkit("move", "elsewhere", "papers", code=1).err
    assert ragkit("move", "docs", "papers").out == "3 documents moved to papers\n"
    assert ragkit("info", "--json").json["roots"] == [str(tmp_path / "papers")]
    report = ragkit("index", "--json").json
    assert len(report["unchanged"]) == 3
    assert not ollama.bodies("/api/embeddings")


def test_indexing_the_new_place_follows_the_folder_and_says_so(
    ragkit: Shell, tmp_path: Path
) -> None:
    (tmp_path / "docs").rename(tmp_path / "papers")
    write_files(tmp_path / "papers", {"later.txt": "Later.\n"})
    run = ragkit("index", "papers", "-i", "docs", "--json")
    assert "docs is missing, and" in run.err
    assert "it was moved, and its documents with it" in run.err
    assert (run.json["added"], len(run.json["unchanged"])) == (["later.txt"], 3)
    assert len(ragkit("list", "--json").json) == 4


def test_the_new_place_is_followed_into_the_index_of_the_old(ragkit: Shell, tmp_path: Path) -> None:
    (tmp_path / "docs").rename(tmp_path / "papers")
    run = ragkit("index", "papers", "--json")  # no index is named, and none is made
    assert "it was moved, and its documents with it" in run.err
    assert len(run.json["unchanged"]) == 3
    assert [row["name"] for row in ragkit("indexes", "--json").json] == ["docs"]
    write_files(tmp_path / "other", {"a.txt": "Alpha.\n"})
    ragkit("index", "other", "-q")
    assert [row["name"] for row in ragkit("indexes", "--json").json] == ["docs", "other"]


def test_a_place_with_few_of_its_files_is_only_offered(ragkit: Shell, tmp_path: Path) -> None:
    write_files(tmp_path / "papers", {"key.txt": FILES["key.txt"], "other.txt": "Other.\n"})
    shutil.rmtree(tmp_path / "docs")
    run = ragkit("index", "papers", "-i", "docs", "-q")
    where = f"{tmp_path / 'docs'} {tmp_path / 'papers'}"
    assert f"holds 1 of its 3 files. If it was moved: `ragkit move {where}`" in run.err
    assert len(ragkit("list", "--json").json) == 5


def test_one_missing_folder_does_not_stop_the_others(ragkit: Shell, tmp_path: Path) -> None:
    write_files(tmp_path / "more", {"a.txt": "Alpha.\n"})
    ragkit("index", "more", "-i", "docs", "-q")
    (tmp_path / "docs").rename(tmp_path / "away")
    write_files(tmp_path / "more", {"b.txt": "Beta.\n"})
    run = ragkit("index", "--json", code=3)
    assert run.json["added"] == ["b.txt"]
    (missing,) = run.json["unreadable"]
    assert missing["path"] == str(tmp_path / "docs")
    assert "its documents were kept: if it was moved, `ragkit move OLD NEW`" in missing["reason"]
    assert len(ragkit("list", "--json").json) == 5
