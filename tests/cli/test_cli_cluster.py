"""The command line over an index on a cluster, which is named by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from commands import Shell, write_files

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.store.remote.endpoint import parse_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from engine_nodes import Nodes
    from ollama_double.server import OllamaServer

pytestmark = pytest.mark.long

FILES = {
    "notice.md": "# Notice\n\nThe notice period is three months for permanent staff.\n",
    "travel.txt": "Rail travel is booked by the office, second class.\n",
    "合同.txt": "劳动合同法第十条规定,应当订立书面劳动合同。\n",
}
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
