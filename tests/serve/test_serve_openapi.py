"""The OpenAPI document: it names every route of ragkit's own, and replies are as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fixed_chat import FixedChat
from served import QUESTION, make_index, post, server_sent, serving
from starlette.routing import Route

from ragkit.config import Config
from ragkit.serve.application import own_operations
from ragkit.serve.index_jobs import IndexJobs
from ragkit.serve.page_pictures import PagePictures
from ragkit.serve.registry import IndexRegistry
from ragkit.serve.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = "/ragkit/v1"
jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")


@pytest.fixture(scope="module")
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("XDG_DATA_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, data_home: Path) -> Iterator[str]:
    from make_files import drawn_pdf, line

    assert data_home.is_dir()
    folder = tmp_path_factory.mktemp("served") / "indexes"
    files = {
        "fees.md": "# Fees\n\nThe fee is five dollars a day.\n",
        "staff.pdf": drawn_pdf(line(72, 700, "The notice period is three months.")),
        "x.unknown": b"\0\1",
    }
    make_index(folder / "library", files).close()
    (folder / "bad").mkdir()
    (folder / "bad/catalog.db").write_bytes(b"no database" * 100)
    chat = FixedChat("The fee is five dollars a day [1].")
    with serving(folder, chat=chat, allow_index=True) as address:
        yield address


@pytest.fixture(scope="module")
def told(url: str) -> dict[str, Any]:
    return dict(requests.get(url + OWN + "/openapi.json", timeout=10).json())


def check(told: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    whole = {**schema, "components": told["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)
    assert schema


def reply_schema(told: dict[str, Any], method: str, path: str, status: int = 200) -> dict[str, Any]:
    responses = told["paths"][OWN + path][method]["responses"]
    return dict(responses[str(status)]["content"]["application/json"]["schema"])


def test_the_document_names_every_route_and_no_other(told: dict[str, Any], tmp_path: Path) -> None:
    config = Config().with_values({"indexes": tmp_path})
    serving = Serving(IndexRegistry(config), config.serve)
    operations = own_operations(serving, IndexJobs(serving), PagePictures(config.load))
    routes = [operation.route() for operation in operations]
    there = {
        (method.lower(), route.path.replace(":path}", "}"))
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    named = {(method, path) for path, item in told["paths"].items() for method in item}

    assert named == there
    assert len(named) > 15


def test_the_documentation_names_every_route(told: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs/serve.md").read_text("utf-8")
    shown = {
        (method.lower(), re.sub(r"[?].*", "", path))
        for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/ragkit/v1/[^`]*)`", page)
    }

    assert shown == {(method, path) for path, item in told["paths"].items() for method in item}


def test_the_document_is_sound(told: dict[str, Any]) -> None:
    assert told["openapi"] == "3.1.0"
    names = [item[method]["operationId"] for item in told["paths"].values() for method in item]
    assert len(names) == len(set(names))
    for schema in told["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(told))
    assert set(references) <= set(told["components"]["schemas"])
    for path, item in told["paths"].items():
        for operation in item.values():
            inside = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert set(re.findall(r"{(\w+)}", path)) == inside


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/info", {}),
        ("/indexes", {}),
        ("/openapi.json", {}),
        ("/documents", {"index": "library"}),
        ("/jobs", {}),
    ],
)
def test_what_is_read_is_as_described(
    url: str, told: dict[str, Any], path: str, parameters: dict[str, str]
) -> None:
    reply = requests.get(url + OWN + path, params=parameters, timeout=30)

    assert reply.status_code == 200
    check(told, reply_schema(told, "get", path), reply.json())


def test_places_are_as_described(url: str, told: dict[str, Any]) -> None:
    body = {"question": "notice period", "index": "library", "k": 1}
    found = post(url, OWN + "/search", body).json()
    check(told, reply_schema(told, "post", "/search"), found)
    (hit,) = found["hits"]
    place = {"index": "library", **{key: hit[key] for key in ("doc_id", "start", "end")}}
    for path in ("/passages", "/page-marks"):
        reply = requests.get(url + OWN + path, params={**place, "neighbours": 2}, timeout=60)
        assert reply.status_code == 200, reply.text
        check(told, reply_schema(told, "get", path), reply.json())


def test_answers_and_what_checks_them_are_as_described(url: str, told: dict[str, Any]) -> None:
    asked = {"question": QUESTION, "index": "library"}
    answer = post(url, OWN + "/ask", {**asked, "stream": False}).json()
    check(told, reply_schema(told, "post", "/ask"), answer)
    checked = post(url, OWN + "/verify", {"index": "library", "answer": answer}).json()
    check(told, reply_schema(told, "post", "/verify"), checked)
    why = post(url, OWN + "/why-not", {**asked, "path": "fees.md"}).json()
    check(told, reply_schema(told, "post", "/why-not"), why)

    responses = told["paths"][OWN + "/ask"]["post"]["responses"]
    events = responses["200"]["content"]["text/event-stream"]["x-events"]
    came = server_sent(post(url, OWN + "/ask", asked))
    assert {name for name, _ in came} == {"text", "answer"}
    for name, value in came:
        check(told, events[name], value)


def test_jobs_and_files_are_as_described(url: str, told: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    address = f"{url}{OWN}/uploads/new/a.md"
    sent = requests.put(address, data=b"The pool opens at nine.", headers=headers, timeout=30)
    check(told, reply_schema(told, "put", "/uploads/{index}/{name}"), sent.json())
    begun = post(url, OWN + "/jobs", {"index": "new"})
    assert begun.status_code == 202, begun.text
    check(told, reply_schema(told, "post", "/jobs", 202), begun.json())
    job = f"{url}{OWN}/jobs/{begun.json()['id']}"
    events = server_sent(requests.get(job + "/events", timeout=60))
    kinds = told["paths"][OWN + "/jobs/{job}/events"]["get"]["responses"]["200"]["content"]
    for name, value in events:
        check(told, kinds["text/event-stream"]["x-events"][name], value)
    assert events[-1][1]["state"] == "done", events[-1][1]
    check(told, reply_schema(told, "get", "/jobs/{job}"), requests.get(job, timeout=9).json())
    stopped = requests.delete(job, timeout=9)
    check(told, reply_schema(told, "delete", "/jobs/{job}", 202), stopped.json())


@pytest.mark.parametrize(
    ("method", "path", "address", "body", "status"),
    [
        ("post", "/search", "/search", {"question": 1}, 400),
        ("post", "/search", "/search", {"question": "x", "index": "none"}, 404),
        ("post", "/jobs", "/jobs", {"index": "../x"}, 400),
        ("get", "/jobs/{job}", "/jobs/none", None, 404),
        ("get", "/documents", "/documents?index=bad", None, 500),
    ],
)
def test_failures_are_as_described(
    url: str,
    told: dict[str, Any],
    method: str,
    path: str,
    address: str,
    body: object,
    status: int,
) -> None:
    reply = requests.request(method, url + OWN + address, json=body, timeout=30)

    assert reply.status_code == status
    check(told, reply_schema(told, method, path, status), reply.json())
