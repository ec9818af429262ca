"""The command `ragkit serve`, as a process."""

from __future__ import annotations

import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest
import requests
from commands import Shell
from served import QUESTION, make_index, post

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    make_index(tmp_path / "indexes/library").close()
    return Shell(tmp_path, RAGKIT_MODELS_CHAT="none")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(shell: Shell, sign: signal.Signals) -> None:
    with shell.started("serve", "--port", "0") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"serves library at (http://127\.0\.0\.1:\d+); Ctrl-C ends it", said)
        assert found is not None, said
        body = {"question": QUESTION, "stream": False}
        assert "five dollars" in post(found[1], "/ragkit/v1/ask", body).json()["text"]
        assert requests.get(found[1] + "/api/tags", timeout=5).json()["models"]

        process.send_signal(sign)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (0, "", "")


def test_what_it_cannot_serve_is_told(shell: Shell) -> None:
    assert "there are: library" in shell("serve", "-i", "none", code=10).err
    assert "no token is set" in shell("serve", "--host", "0.0.0.0", code=2).err  # noqa: S104
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert (
            f"cannot serve on 127.0.0.1 port {port}" in shell("serve", "--port", port, code=2).err
        )


def test_two_indexes_of_one_name_are_refused(shell: Shell) -> None:
    make_index(shell.folder / "other/indexes/library").close()

    said = shell("serve", "-i", "library", "-i", "other/indexes/library", code=2).err
    assert "both called 'library'" in said
