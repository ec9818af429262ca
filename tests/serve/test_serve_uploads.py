"""How many files may be sent at a time, and how much all of them may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from served import half_sent, send_file, serving, until

from ragkit.serve import uploads

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def coming(data: Path) -> int:
    folder = data / "uploads/.incoming"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_only_some_files_are_taken_at_a_time(data: Path) -> None:
    with serving(data / "indexes", allow_index=True, serve__max_uploads=2) as url:
        with half_sent(url, "mine/a.md") as first, half_sent(url, "other/b.md"):
            until(lambda: coming(data) == 2)
            refused = send_file(url, "mine/c.md", b"x")
            first.sendall(b"x" * 46)
            assert first.recv(4096).split()[1] == b"200"
            taken = send_file(url, "mine/c.md", b"x")
        until(lambda: coming(data) == 0)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert "serve.max_uploads" in refused.json()["error"]["message"]
    assert taken.status_code == 200
    assert sorted(p.name for p in (data / "uploads").rglob("*.md")) == ["a.md", "c.md"]


def test_all_files_together_have_a_limit(data: Path) -> None:
    """It counts those that are kept, of whatever index, and those on their way."""
    limits: dict[str, Any] = {"serve__max_uploads_mb": 0.01, "serve__max_upload_mb": 0.005}
    with serving(data / "indexes", allow_index=True, **limits) as url:
        kept = send_file(url, "mine/in/a.md", b"a" * 4000)
        with half_sent(url, "other/b.md", size=4000):
            until(lambda: coming(data) == 1)
            beside = send_file(url, "mine/c.md", b"c" * 2001)
            fits = send_file(url, "mine/c.md", b"c" * 2000)
        until(lambda: coming(data) == 0)
        untold = send_file(url, "mine/d.md", iter([b"d"]))  # it could be 5,000
        again = send_file(url, "mine/d.md", b"d" * 4000)
        (data / "uploads/mine/in/a.md").unlink()
        after = send_file(url, "mine/e.md", b"e" * 4000)

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
        assert send_file(url, "mine/b.md", b"x").status_code == 200

    assert [p.name for p in (data / "uploads/mine").iterdir()] == ["b.md"]
