"""`ragkit serve` to clients of npm: the other SDK of MCP, and Ollama's package for JavaScript."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixed_chat import FixedChat
from served import serving

NODE = Path(__file__).with_name("node")
SAID = "The fee is five dollars a day [1]."
TOOLS = [[name, True] for name in ("search", "ask", "read", "list", "verify")]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed"),
    pytest.mark.skipif(
        not (NODE / "node_modules").is_dir(),
        reason="`npm install --prefix tests/serve/node` has not been run",
    ),
]


def node(script: str, *arguments: str) -> dict[str, Any]:
    """What a script of the folder ``node`` prints."""
    command = ["node", str(NODE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def check(told: dict[str, Any], answer: str) -> None:
    assert told["tools"] == TOOLS
    assert told["hits"][0] == "fees.md"
    assert answer in told["text"]
    assert told["wrong"][0] is True
    assert "no document 'none'" in told["wrong"][1]
    assert told["resources"] == ["library/fees.md", "library/hours.md"]
    assert "The fee is five dollars a day." in told["contents"]


def test_the_other_sdk_of_mcp_asks_an_address(indexes: Path) -> None:
    with serving(indexes, chat=FixedChat(SAID), mcp=True) as url:
        check(node("mcp_client.mjs", url + "/mcp"), SAID)


def test_the_other_sdk_of_mcp_starts_ragkit(
    indexes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    command = [sys.executable, "-m", "ragkit", "mcp", "-i", str(indexes / "library")]
    check(node("mcp_client.mjs", *command, "--chat", "none"), "The fee is five dollars a day.")


def test_ollamas_package_for_javascript(indexes: Path) -> None:
    with serving(indexes, chat=FixedChat(SAID)) as url:
        told = node("ollama_client.mjs", url)

    assert told["models"] == ["library:latest"]
    assert told["capabilities"] == ["completion"]
    assert told["whole"].startswith(SAID + "\n\n**Sources**\n- [1] [fees.md](")
    assert told["streamed"] == told["whole"] == told["generated"]
    assert told["count"] == 7
    assert "not managed through this API" in told["refused"]
