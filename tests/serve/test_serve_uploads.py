"""How many files may be sent at a time, and how much all of them may take."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from served import serving

from ragkit.serve import uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

PUT = "/ragkit/v1/uploads/"
TYPE = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data/ragkit"


def send(url: str, name: str, content: Any, **parameters: str) -> requests.Response:
    return requests.put(url + PUT + name, data=content, headers=TYPE, params=parameters, timeout=30)


@contextmanager
def half_sent(url: str, name: str, size: int = 50) -> Iterator[socket.socket]:
    """A file whose sender pauses in the middle."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as sock:
        sock.sendall(
            f"PUT {PUT}{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
            "Content-Type: application/octet-stream\r\n\r\nhalf".encode()
        )
        yield sock


def coming(data: Path) -> int:
    folder = data / "uploads/.incoming"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_only_some_files_are_taken_at_a_time(data: Path) -> None:
    with serving(data / "indexes", allow_index=True, serve__max_uploads=2) as url:
        with half_sent(url, "mine/a.md") as first, half_sent(url, "other/b.md"):
            until(lambda: coming(data) == 2)
            refused = send(url, "mine/c.md", b"x")
            first.sendall(b"x" * 46)
            assert first.recv(4096).split()[1] == b"200"
            taken = send(url, "mine/c.md", b"x")
        until(lambda: coming(data) == 0)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert "serve.max_uploads" in refused.json()["error"]["message"]
    assert taken.status_code == 200
    assert sorted(p.name for p in (data / "uploads").rglob("*.md")) == ["a.md", "c.md"]


def test_all_files_together_have_a_limit(data: Path) -> None:
    """It counts those that are kept, of whatever index, and those on their way."""
    limits: dict[str, Any] = {"serve__max_uploads_mb": 0.01, "serve__max_upload_mb": 0.005}
    with serving(data / "indexes", allow_index=True, **limits) as url:
        kept = send(url, "mine/in/a.md", b"a" * 4000)
        with half_sent(url, "other/b.md", size=4000):
            until(lambda: coming(data) == 1)
            beside = send(url, "mine/c.md", b"c" * 2001)
            fits = send(url, "mine/c.md", b"c" * 2000)
        until(lambda: coming(data) == 0)
        untold = send(url, "mine/d.md", iter([b"d"]))  # it could be 5,000
        again = send(url, "mine/d.md", b"d" * 4000)
        (data / "uploads/mine/in/a.md").unlink()
        after = send(url, "mine/e.md", b"e" * 4000)

    replies = (kept, beside, fits, untold, again, after)
    assert [r.status_code for r in replies] == [200, 413, 200, 413, 200, 200]
    assert "serve.max_uploads_mb" in beside.json()["error"]["message"]
    found = {p.name: p.stat().st_size for p in (data / "uploads").rglob("*.md")}
    assert found == {"c.md": 2000, "d.md": 4000, "e.md": 4000}


def test_who_sends_nothing_is_not_waited_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_IDLE_S", 0.2)
    settings: dict[str, Any] = {"allow_index": True, "serve__max_uploads": 1}
    with serving(data / "indexes", **settings) as url, half_sent(url, "mine/a.md") as sock:
        assert sock.recv(4096).split()[1] == b"408"
        assert coming(data) == 0
        assert send(url, "mine/b.md", b"x").status_code == 200

    assert [p.name for p in (data / "uploads/mine").iterdir()] == ["b.md"]
