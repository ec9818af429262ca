"""`ragkit mcp` and `ragkit serve --mcp` to the SDK's own client, over pipes and over a socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import requests
from commands import write_files
from fixed_chat import FixedChat
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent, TextResourceContents
from served import FILES, QUESTION, SlowChat, serving

from ragkit.serve import mcp_server
from ragkit.serve.mcp_calls import TOOLS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from mcp_types import CallToolResult

SAID = "The fee is five dollars a day [1]. The moon is cheese [1]."
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"},
    },
}
BOTH = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID), mcp=True) as address:
        yield address


def talk(url: str, said: Callable[[Client], Awaitable[Any]], **options: Any) -> Any:
    """What a client of a server does."""

    async def run() -> Any:
        async with Client(url + "/mcp", **options) as client:
            return await said(client)

    return asyncio.run(run())


def refusal(url: str, said: Callable[[Client], Awaitable[Any]]) -> str:
    """The error that a server's protocol has for what a client does."""

    async def refused(client: Client) -> str:
        with pytest.raises(MCPError) as found:
            await said(client)
        return found.value.message

    told: str = talk(url, refused)
    return told


def values_of(result: CallToolResult, name: str) -> Any:
    """The structured output of a tool, which its schema describes."""
    assert not result.is_error, result.content
    jsonschema.validate(result.structured_content, TOOLS[name].gives)
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def call(url: str, name: str, **arguments: Any) -> CallToolResult:
    found: CallToolResult = talk(url, lambda client: client.call_tool(name, arguments))
    return found


@pytest.mark.parametrize("name", TOOLS)
def test_the_schema_of_a_tool_has_the_fields_of_its_record(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(TOOLS[name].takes)
    jsonschema.Draft202012Validator.check_schema(TOOLS[name].gives)
    assert list(TOOLS[name].takes["properties"]) == [f.name for f in fields(TOOLS[name].call)]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_tools_only_read_and_say_so(url: str, mode: str) -> None:
    tools = talk(url, lambda client: client.list_tools(), mode=mode).tools

    assert [tool.name for tool in tools] == ["search", "ask", "read", "list", "verify"]
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert not tool.annotations.open_world_hint
        assert tool.output_schema == TOOLS[tool.name].gives


def test_what_is_found_is_read_and_verified(url: str) -> None:
    """A model's own way: search, read around it, draft, have the draft checked."""

    async def work(client: Client) -> tuple[Any, ...]:
        found = values_of(
            await client.call_tool("search", {"question": QUESTION, "k": 1}), "search"
        )
        (hit,) = found["hits"]
        place = {name: hit[name] for name in ("doc_id", "start", "end")}
        read = values_of(await client.call_tool("read", place | {"around": 5}), "read")
        draft = {
            "text": "The fee is five dollars a day [1]. The fee is nine euros a week [1].",
            "citations": [place | {"number": 1}],
        }
        return hit, read, values_of(await client.call_tool("verify", draft), "verify")

    hit, read, verified = talk(url, work)
    assert (hit["path"], hit["number"], hit["heading"]) == ("fees.md", 1, ["Fees"])
    assert "The fee is five dollars a day." in hit["text"]
    assert hit["text"] in read["text"]
    assert (read["start"], read["next"]) == (max(0, hit["start"] - 5), None)
    assert [s["status"] for s in verified["sentences"]] == ["quoted", "unsupported"]
    assert not verified["proved"]
    assert [c["state"] for c in verified["citations"]] == ["holds"]


def test_a_quote_that_does_not_stand_at_its_place_proves_nothing(url: str) -> None:
    hit = values_of(call(url, "search", question=QUESTION, k=1), "search")["hits"][0]
    place = {"number": 1, "doc_id": hit["doc_id"], "start": hit["start"], "end": hit["end"]}
    forged = place | {"quote": "The fee is nothing."}
    found = values_of(
        call(url, "verify", text="The fee is nothing [1].", citations=[forged]), "verify"
    )

    assert not found["proved"]
    assert found["sentences"][0]["status"] == "unsupported"
    assert found["citations"][0]["state"] == "differs"


def test_an_answer_comes_with_its_proof(url: str) -> None:
    result = call(url, "ask", question=QUESTION)
    values = values_of(result, "ask")

    assert values["text"] == SAID
    assert [s["status"] for s in values["sentences"]] == ["quoted", "unsupported"]
    assert values["citations"][0]["quote"] == "The fee is five dollars a day"
    assert "Not shown to be in the documents: The moon is cheese [1]." in text_of(result)
    assert "Closest passages" not in text_of(result)


def test_indexes_and_documents_are_listed(url: str) -> None:
    told = values_of(call(url, "list"), "list")
    assert told["indexes"] == [{"name": "library", "documents": 2, "passages": 2, "error": ""}]
    assert [d["path"] for d in told["documents"]] == ["fees.md", "hours.md"]

    few = values_of(call(url, "list", path="HOURS"), "list")
    assert ([d["path"] for d in few["documents"]], few["total"]) == (["hours.md"], 1)
    assert values_of(call(url, "list", offset=2), "list")["documents"] == []


def test_documents_are_resources(url: str) -> None:
    async def work(client: Client) -> tuple[Any, Any, Any]:
        listed = await client.list_resources()
        templates = await client.list_resource_templates()
        return listed, templates, await client.read_resource(listed.resources[0].uri)

    listed, templates, read = talk(url, work)
    assert [r.name for r in listed.resources] == ["library/fees.md", "library/hours.md"]
    assert listed.next_cursor is None
    assert templates.resource_templates[0].uri_template == "ragkit://{index}/doc/{doc_id}"
    (contents,) = read.contents
    assert isinstance(contents, TextResourceContents)
    assert "The fee is five dollars a day." in contents.text


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("search", {}, "question"),
        ("search", {"question": 7}, "question"),
        ("search", {"question": "x", "k": 0}, "k must be from 1 to 50"),
        ("search", {"question": "x", "index": "none"}, "no index 'none'"),
        ("search", {"question": "x", "unknown": 1}, "unknown"),
        ("ask", {"question": " "}, "question"),
        ("read", {"doc_id": "../../etc/passwd"}, "no document"),
        ("verify", {"text": "x", "citations": [{"number": 1}]}, "doc_id"),
    ],
)
def test_what_cannot_be_done_is_told_to_the_model(
    url: str, name: str, arguments: dict[str, Any], told: str
) -> None:
    result = call(url, name, **arguments)

    assert result.is_error
    assert told in text_of(result)


@pytest.mark.parametrize("uri", ["ragkit://library/doc/none", "file:///etc/passwd", "ragkit://x"])
def test_a_resource_that_is_not_there_is_told(url: str, uri: str) -> None:
    assert "no document" in refusal(url, lambda client: client.read_resource(uri))


def test_an_unknown_tool_and_cursor_are_protocol_errors(url: str) -> None:
    assert "there are: search, ask" in refusal(url, lambda client: client.call_tool("delete", {}))
    assert "no cursor" in refusal(url, lambda client: client.list_resources(cursor="-1"))


def test_the_guard_stands_before_mcp(indexes: Path) -> None:
    with serving(indexes, mcp=True, token="a-token-of-some-length") as url:  # noqa: S106 -- a test's

        def status(**headers: str) -> int:
            sent = BOTH | headers
            return requests.post(
                url + "/mcp", json=INITIALIZE, headers=sent, timeout=10
            ).status_code

        known = {"Authorization": "Bearer a-token-of-some-length"}
        assert status() == 401
        assert status(**known) == 200
        assert status(**known, Host="evil.example") == 403
        assert status(**known, Origin="http://evil.example") == 403
        listening = requests.get(url + "/mcp", headers=known | BOTH, timeout=10)
        assert listening.status_code == 405  # no session: nothing to listen to


def test_broken_messages_are_refused(url: str) -> None:
    headers = BOTH | {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b'{"jsonrpc": "2.0"}', b"\xff\xfe"):
        reply = requests.post(url + "/mcp", data=body, headers=headers, timeout=10)
        assert 400 <= reply.status_code < 500, body
    large = requests.post(url + "/mcp", data=b" " * 4_100_000, headers=headers, timeout=10)
    assert large.status_code == 413


def test_a_client_that_goes_stops_the_model(indexes: Path) -> None:
    chat = SlowChat()
    asked = INITIALIZE | {
        "method": "tools/call",
        "params": {"name": "ask", "arguments": {"question": QUESTION}},
    }
    with serving(indexes, chat=chat, mcp=True) as url:
        with pytest.raises(requests.Timeout):
            requests.post(url + "/mcp", json=asked, headers=BOTH, timeout=1.5)
        assert chat.begun.is_set()
        assert chat.stopped.wait(5)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_that_asks_hears_that_a_long_call_is_at_work(
    indexes: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(mcp_server, "_TELL_S", 0.1)
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 -- the SDK's names
        heard.append((progress, message))

    async def ask(client: Client) -> tuple[CallToolResult, CallToolResult]:
        told = await client.call_tool("ask", {"question": QUESTION}, progress_callback=hear)
        return told, await client.call_tool("list", {})

    with serving(indexes, chat=SlowChat(words=40), mcp=True) as url:
        told, listed = talk(url, ask, mode=mode)

    assert values_of(told, "ask")["text"].startswith("The fee is five dollars [1].")
    assert values_of(listed, "list")["total"] == 2
    times = [seconds for seconds, _ in heard]
    assert len(times) >= 2
    assert times == sorted(set(times))
    assert heard[0][1] == "at work for 0 s"


def test_with_leave_a_tool_indexes_folders_below_a_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write_files(root / "docs", FILES)
    write_files(outside, FILES)
    settings: dict[str, Any] = {"models__embedder": "none", "serve__roots": str(root)}

    async def work(client: Client) -> tuple[Any, ...]:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        refused = await client.call_tool("index", {"index": "mine", "folders": [str(outside)]})
        folder = {"index": "mine", "folders": [str(root / "docs")]}
        made = await client.call_tool("index", folder)
        (root / "docs" / "fees.md").write_text("# Fees\n\nThe fee is seven dollars a day.\n")
        (root / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
        again = await client.call_tool("index", {"index": "mine"})
        found = await client.call_tool("search", {"question": "seven dollars", "index": "mine"})
        return tools, refused, made, again, found

    with serving(tmp_path / "indexes", mcp=True, allow_index=True, **settings) as url:
        tools, refused, made, again, found = talk(url, work)

    assert list(tools) == ["search", "ask", "read", "list", "verify", "index"]
    assert [name for name, tool in tools.items() if not tool.annotations.read_only_hint] == [
        "index"
    ]
    assert refused.is_error
    assert "serve.roots" in text_of(refused)
    first, second = values_of(made, "index"), values_of(again, "index")
    assert (first["added"], first["changed"], first["failed"]) == (len(FILES), 0, [])
    assert (second["added"], second["changed"]) == (0, 1)
    assert [f["path"] for f in second["failed"]] == ["broken.pdf"]
    assert "failed: broken.pdf: " in text_of(again)
    assert "seven dollars" in values_of(found, "search")["hits"][0]["text"]


def test_without_leave_there_is_no_tool_that_indexes(url: str) -> None:
    assert "'index'" in refusal(url, lambda client: client.call_tool("index", {"index": "mine"}))


def test_a_client_that_gives_up_stops_the_indexing_and_what_was_read_is_kept(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    write_files(root / "docs", {f"{i:04d}.txt": f"Text {i}.\n" for i in range(5000)})
    settings: dict[str, Any] = {"models__embedder": "none", "serve__roots": str(root)}
    folder = {"index": "mine", "folders": [str(root / "docs")]}

    async def give_up(client: Client) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.call_tool("index", folder), 1.0)

    async def wait_for_its_end(client: Client) -> Any:
        while (told := await client.call_tool("index", {"index": "mine"})).is_error:
            assert "being brought up to date" in text_of(told) or "nothing to make" in text_of(told)
            await asyncio.sleep(0.1)
        return told

    with serving(tmp_path / "indexes", mcp=True, allow_index=True, **settings) as url:
        talk(url, give_up)
        again = values_of(talk(url, wait_for_its_end), "index")
    assert 0 < again["added"] < 5000
    assert again["added"] + again["unchanged"] == 5000


def test_a_server_without_mcp_has_no_such_path(indexes: Path) -> None:
    with serving(indexes) as url:
        reply = requests.post(url + "/mcp", json=INITIALIZE, headers=BOTH, timeout=10)
    assert reply.status_code == 404


def test_a_client_starts_ragkit_and_speaks_over_pipes(indexes: Path, tmp_path: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "ragkit", "mcp", "-i", str(indexes / "library"), "--chat", "none"],
        env={"XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )

    async def run() -> tuple[Any, Any]:
        async with Client(stdio_client(command)) as client:
            found = await client.call_tool("search", {"question": QUESTION})
            return found, await client.call_tool("ask", {"question": QUESTION})

    found, answer = asyncio.run(run())
    assert values_of(found, "search")["hits"][0]["path"] == "fees.md"
    assert values_of(answer, "ask")["chat_model"] is None
    assert "The fee is five dollars a day." in text_of(answer)
    assert text_of(answer).startswith("Closest passages (no chat model was asked")


def test_ctrl_c_ends_it_though_its_client_holds_the_pipe(indexes: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ragkit", "mcp", "-i", str(indexes / "library")]
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(INITIALIZE) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "ragkit"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == "ragkit: interrupted\n"
