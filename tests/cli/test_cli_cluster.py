"""The command line over an index on a cluster, which is named by its URL."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import requests
from commands import Shell, wait_until, write_files
from served import NO_MODELS, make_index, post, serving
from tcp_proxy import proxy_of

from ragkit.config import Config
from ragkit.ingest.watch import WatchTimes
from ragkit.pipeline import Pipeline
from ragkit.serve.index_watch import IndexWatch
from ragkit.store.open import delete_store
from ragkit.store.remote.endpoint import parse_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from engine_nodes import Nodes
    from ollama_double.server import OllamaServer

    from ragkit.serve.registry import IndexRegistry

pytestmark = [pytest.mark.long, pytest.mark.engine]

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "travel.txt": "Rail travel is booked by the office, second class.\n",
    "合同.txt": "劳动合同法第十条规定,应当订立书面劳动合同。\n",
}
OWN = "/ragkit/v1"
QUESTION = "How long is the notice period for permanent staff?"


@pytest.fixture
def url(one_node: Nodes) -> str:
    one_node.clear()
    return one_node.url("handbook")


def test_a_folder_is_indexed_asked_checked_and_deleted(
    tmp_path: Path, url: str, ollama: OllamaServer
) -> None:
    shell = Shell(tmp_path, ollama.url, RAGKIT_MODELS_BACKEND="ollama")
    docs = write_files(tmp_path / "docs", FILES)
    on = ("-i", url)
    assert "no index at" in shell("list", *on, code=10).err
    assert shell("index", docs, *on, "--json").json["added"] == sorted(FILES)
    assert shell("index", *on, "--json").json["unchanged"] == sorted(FILES)
    assert shell("search", "notice period", *on, "--json").json[0]["path"] == "notice.md"
    found = shell("search", "劳动合同", "--mode", "keyword", *on, "--json").json
    assert [hit["path"] for hit in found] == ["合同.txt"]
    answer = shell("ask", QUESTION, "--extractive", *on, "--json").json
    assert "three months" in answer["text"]
    assert {row["path"] for row in shell("list", *on, "--json").json} == set(FILES)
    info = shell("info", *on, "--json").json
    assert (info["path"], info["documents"], info["waiting"]) == (url, 3, 0)
    (docs / "travel.txt").write_text("Rail travel is booked by each one, first class.\n", "utf-8")
    assert shell("index", *on, "--json").json["changed"] == ["travel.txt"]
    assert [g["id"] for g in shell("log", *on, "--json").json] == [2, 1]
    assert shell("remove", "travel.txt", *on).code == 0
    assert shell("check", *on).out == f"{url}: every invariant holds\n"
    assert "snapshots" in shell("backup", url, "x.tar", code=1).err
    assert shell("compact", *on).code == 0
    assert shell("delete", url, "--yes").out == f"{url} is deleted\n"
    assert "no index at" in shell("list", *on, code=10).err
    assert not (tmp_path / "indexes").exists()


def test_the_library_opens_it_and_rebuilds_it(
    tmp_path: Path, url: str, ollama: OllamaServer
) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    config = Config().with_values({"models.backend": "ollama", "models.ollama_host": ollama.url})
    with Pipeline.open(url, config) as rag:
        rag.index(docs)
        assert rag.location == url
        assert rag.search(QUESTION)[0].path == "notice.md"
        rag.rebuild()
        assert rag.search(QUESTION)[0].path == "notice.md"
        assert rag.add("The canteen opens at noon.", id="canteen").added == ("canteen",)
        assert rag.search("canteen")[0].path == "canteen"


def test_bad_access_is_told(tmp_path: Path, one_node: Nodes) -> None:
    shell = Shell(tmp_path)
    for url, told in {
        "opensearch-http://127.0.0.1:9/x": "127.0.0.1:9 does not answer",
        "opensearch-http://127.0.0.1:9/No": "is refused",
        one_node.url("x").replace("opensearch-http", "opensearch"): "does not speak TLS",
    }.items():
        error = shell("list", "-i", url, code=2 if url.endswith("No") else 1).err
        assert told in error
        assert "Traceback" not in error
    name = parse_endpoint(one_node.url("other")).name
    requests.put(f"{one_node.nodes[0].url}/{name}", timeout=60).raise_for_status()
    assert "is not ragkit's" in shell("list", "-i", one_node.url("other"), code=1).err


def test_an_answer_is_verified_and_a_conversation_held(
    tmp_path: Path, url: str, ollama: OllamaServer
) -> None:
    shell = Shell(tmp_path, ollama.url, RAGKIT_MODELS_BACKEND="ollama")
    docs = write_files(tmp_path / "docs", FILES)
    shell("index", docs, "-i", url)
    shell.folder.joinpath("answer.json").write_text(
        shell("ask", QUESTION, "--extractive", "-i", url, "--json").out, "utf-8"
    )
    found = shell("verify", "answer.json", "--json").json  # the answer names the index
    assert (found["holds"], found["proved"]) == (True, True)
    (docs / "notice.md").write_text("# Notice\n\nThere is none.\n", "utf-8")
    shell("index", "-i", url)
    assert shell("verify", "answer.json", "--json", code=1).json["holds"] is False
    ollama.script("Rail travel is booked by the office [1].")
    talk = shell.piped(b"Who books rail travel?\n", "chat", "-i", url)
    assert talk.returncode == 0, talk.stderr
    assert "booked by the office" in talk.stdout.decode()
    assert "travel.txt" in talk.stdout.decode()


def test_it_follows_its_folders(tmp_path: Path, url: str) -> None:
    shell = Shell(tmp_path)
    docs = write_files(tmp_path / "docs", FILES)
    words = ("watch", "--embedder", "none", "--poll", "0.2", docs, "-i", url)
    with shell.started(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline()[9:].startswith("3 added")
        write_files(docs, {"new.md": "Parking costs two dollars."})
        assert process.stdout.readline().rstrip().endswith(": new.md")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[0] == f"Index {url}"
    assert next(d["path"] for d in shell("list", "-i", url, "--json").json) == "new.md"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("opensearch")]


def test_it_is_served_beside_others_also_when_it_is_away_or_made_anew(
    tmp_path: Path, one_node: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_node.clear()
    monkeypatch.setattr("ragkit.store.remote.cluster.PATIENCE_S", 0.5)
    make_index(tmp_path / "a/indexes/library").close()
    docs = write_files(tmp_path / "docs", FILES)
    config = Config().with_values(NO_MODELS)
    with proxy_of(one_node.nodes[0].port) as node:
        url = f"opensearch-http://127.0.0.1:{node.port}/handbook"
        with Pipeline(url, config) as rag:
            rag.index(docs)
        with serving(tmp_path / "a/indexes", "library", url) as server:

            def asked(index: str, question: str) -> Any:
                return post(server, OWN + "/search", {"question": question, "index": index})

            def paths(reply: Any) -> list[str]:
                return [hit["path"] for hit in reply.json()["hits"]]

            assert paths(asked("handbook", "notice period")) == ["notice.md"]
            assert requests.get(server + "/ready", timeout=30).status_code == 200
            node.cut()
            away = asked("handbook", "notice period")
            assert (away.status_code, away.json()["error"]["type"]) == (
                503, "StoreUnavailableError",
            )  # fmt: skip
            assert paths(asked("library", "the fee a day"))[0] == "fees.md"
            assert requests.get(server + "/ready", timeout=30).status_code == 503
            node.mend()
            assert paths(asked("handbook", "notice period")) == ["notice.md"]
            delete_store(url)
            assert asked("handbook", "notice period").status_code == 404
            with Pipeline(url, config) as rag:
                rag.index(write_files(tmp_path / "other", {"new.md": "The notice is short."}))
            assert paths(asked("handbook", "notice period")) == ["new.md"]


def test_a_server_keeps_it_up_to_date(tmp_path: Path, url: str) -> None:
    docs = write_files(tmp_path / "docs", FILES)
    with Pipeline(url, Config().with_values(NO_MODELS)) as rag:
        rag.index(docs)
    updated: list[tuple[str, ...]] = []
    times = WatchTimes(quiet=0.1, longest=1.0, poll=0.3)

    def watch(indexes: IndexRegistry) -> IndexWatch:
        told = updated.append
        return IndexWatch(indexes, print, lambda _, report: told(report.added), times=times)

    with serving(tmp_path, url, watch=watch, models__embedder="none"):
        wait_until(lambda: bool(updated), seconds=60)
        write_files(docs, {"new.md": "Parking costs two dollars."})
        wait_until(lambda: ("new.md",) in updated, seconds=60)
    assert [d["path"] for d in Shell(tmp_path)("list", "-i", url, "--json").json][0:1] == ["new.md"]
