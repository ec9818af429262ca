"""Indexing by clients: files, folders, progress, cancelling, and what is refused."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from commands import write_files
from hash_embedder import HashEmbedder
from served import (
    FILES,
    QUESTION,
    SlowEmbedder,
    half_sent,
    make_index,
    post,
    send_file,
    server_sent,
    serving,
    until,
)

from ragkit.config import Config
from ragkit.pipeline import Pipeline
from ragkit.serve.uploads import uploads_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = "/ragkit/v1"


@contextmanager
def open_server(folder: Path, *named: str, **values: Any) -> Iterator[str]:
    """A server that lets clients index words."""
    settings = {"models__embedder": "none", **values}
    with serving(folder, *named, allow_index=True, **settings) as url:
        yield url


def run_job(url: str, **body: Any) -> dict[str, Any]:
    """Do a job to its end; gives its last state."""
    begun = post(url, OWN + "/jobs", body)
    assert begun.status_code == 202, begun.text
    events = server_sent(requests.get(f"{url}{OWN}/jobs/{begun.json()['id']}/events", timeout=60))
    assert {name for name, _ in events} == {"job"}
    return dict(events[-1][1])


def paths(url: str, index: str, question: str = "dollars a day") -> list[str]:
    body = {"question": question, "index": index}
    return sorted({hit["path"] for hit in post(url, OWN + "/search", body).json()["hits"]})


def test_files_that_are_sent_become_an_index_and_stay(data: Path) -> None:
    with open_server(data / "indexes") as url:
        for name, content in FILES.items():
            sent = send_file(url, f"mine/in/{name}", content.encode())
            assert (sent.status_code, sent.json()["state"]) == (200, "stored")
        job = run_job(url, index="mine")

        assert (job["state"], sorted(job["report"]["added"])) == (
            "done",
            ["in/fees.md", "in/hours.md"],
        )
        assert job["progress"]["files_done"] == 2
        assert paths(url, "mine") == ["in/fees.md"]
        kept = data / "uploads/mine/in"
        assert {p.name: p.read_text() for p in kept.iterdir()} == FILES
        with Pipeline(data / "indexes/mine", Config()) as rag:
            answer = rag.with_settings({"models.chat": "none"}).ask(QUESTION)
            assert rag.verify(answer).proved

        send_file(url, "mine/more.md", b"The sauna costs seven dollars.")
        again = run_job(url, index="mine")
        assert again["report"]["added"] == ["more.md"]
        assert list((data / "uploads/.incoming").iterdir()) == []


def test_without_leave_nothing_is_done(indexes: Path, data: Path) -> None:
    with serving(indexes) as url:
        replies = [
            send_file(url, "library/a.md", b"x"),
            post(url, OWN + "/jobs", {"index": "library"}),
            requests.get(url + OWN + "/jobs", timeout=5),
            requests.get(url + OWN + "/jobs/x", timeout=5),
            requests.get(url + OWN + "/jobs/x/events", timeout=5),
            requests.delete(url + OWN + "/jobs/x", timeout=5),
        ]
        info = requests.get(url + OWN + "/info", timeout=5).json()

    assert [reply.status_code for reply in replies] == [403] * 6
    assert "--allow-index" in replies[0].json()["error"]["message"]
    assert (info["allow_index"], info["roots"]) == (False, [])
    assert not (data / "uploads").exists()


def test_a_second_file_of_a_name_does_not_take_the_firsts_place(data: Path) -> None:
    with open_server(data / "indexes") as url:
        first = send_file(url, "mine/a.md", b"one")
        same = send_file(url, "mine/a.md", b"one")
        other = send_file(url, "mine/a.md", b"two")
        file = data / "uploads/mine/a.md"
        kept = file.read_bytes()
        replaced = send_file(url, "mine/a.md", b"two", replace="true")
        folder = send_file(url, "mine/a.md/b.md", b"x")

    assert [r.status_code for r in (first, same, other, replaced)] == [200, 200, 409, 200]
    assert [r.json()["state"] for r in (first, same, replaced)] == [
        "stored",
        "unchanged",
        "replaced",
    ]
    assert "replace=true" in other.json()["error"]["message"]
    assert (kept, file.read_bytes(), folder.status_code) == (b"one", b"two", 409)


def test_two_files_of_one_name_at_the_same_time_are_one_and_a_refusal(data: Path) -> None:
    replies: list[requests.Response] = []
    with open_server(data / "indexes") as url:

        def slowly(content: bytes) -> None:
            def pieces() -> Iterator[bytes]:
                for _ in range(10):
                    time.sleep(0.01)
                    yield content

            replies.append(send_file(url, "mine/a.md", pieces()))

        threads = [threading.Thread(target=slowly, args=(c,)) for c in (b"1", b"2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(reply.status_code for reply in replies) == [200, 409]
    assert (data / "uploads/mine/a.md").read_bytes() in (b"1" * 10, b"2" * 10)
    assert list((data / "uploads/.incoming").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "mine/..%2F..%2Fevil.md",
        "mine/%2E%2E/evil.md",
        "mine/a/%2E%2E/%2E%2E/evil.md",
        "mine/..%5Cevil.md",
        "mine/%2Fetc%2Fevil.md",
        "mine/C:evil.md",
        "mine/.hidden.md",
        "mine/a%00.md",
        "mine/a%0A.md",
        "mine/con.md",
        "mine/a%20",
        "mine/a.zip!/b.md",
        "mine/" + "x" * 300,
        "mine/" + "x/" * 40 + "y",
        "%2E%2E/evil.md",
        "..%2Fmine/evil.md",
        ".mine/evil.md",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(data: Path, name: str) -> None:
    with open_server(data / "indexes") as url:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port), timeout=5) as sock:
            sock.sendall(
                f"PUT {OWN}/uploads/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
                "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\nx".encode()
            )
            status = int(sock.recv(4096).split()[1])

    assert status in (400, 404, 405)
    assert [p for p in data.parent.parent.rglob("*") if p.is_file()] == []


def test_a_link_among_the_files_leads_nowhere_else(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with open_server(data / "indexes") as url:
        send_file(url, "mine/a.md", b"x")
        (data / "uploads/mine/out").symlink_to(outside)
        reply = send_file(url, "mine/out/b.md", b"x")

    assert reply.status_code == 403
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("is_told", [True, False])
def test_a_file_over_the_limit_leaves_nothing(data: Path, *, is_told: bool) -> None:
    content = b"x" * 20_000
    with open_server(data / "indexes", serve__max_upload_mb=0.01) as url:
        body: Any = content if is_told else iter([content[:8000], content[8000:]])
        reply = send_file(url, "mine/a.md", body)
        wrong = requests.put(
            f"{url}{OWN}/uploads/mine/a.md", data=b"x", headers={"Content-Type": "text/plain"},
            timeout=30,
        )  # fmt: skip

    assert (reply.status_code, wrong.status_code) == (413, 415)
    assert [p for p in data.rglob("*") if p.is_file()] == []


def test_a_client_that_goes_in_the_middle_leaves_nothing(data: Path) -> None:
    with open_server(data / "indexes") as url:
        send_file(url, "mine/first.md", b"x")
        with half_sent(url, "mine/a.md"):
            until(lambda: any((data / "uploads/.incoming").iterdir()))
        until(lambda: not any((data / "uploads/.incoming").iterdir()))

    assert [p.name for p in (data / "uploads/mine").iterdir()] == ["first.md"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a tmpfs")
@pytest.mark.parametrize("is_told", [True, False])
def test_a_full_disk_loses_nothing(data: Path, *, is_told: bool) -> None:
    small = data / "uploads"
    small.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        with open_server(data / "indexes") as url:
            assert send_file(url, "mine/a.md", b"one").status_code == 200
            much = b"x" * 400_000
            body: Any = much if is_told else iter([much])
            full = send_file(url, "mine/a.md", body, replace="true")
            assert (full.status_code, full.json()["error"]["type"]) == (507, "StorageFullError")
            assert (small / "mine/a.md").read_bytes() == b"one"
            assert list((small / ".incoming").iterdir()) == []
            assert send_file(url, "mine/b.md", b"two").status_code == 200
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_folder_is_added_below_a_root_alone(data: Path, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write_files(root / "docs", FILES)
    write_files(outside, FILES)
    (root / "link").symlink_to(outside)
    (tmp_path / "rooted").mkdir()
    with open_server(data / "indexes", serve__roots=str(root)) as url:
        refused = {
            path: post(url, OWN + "/jobs", {"index": "mine", "folders": [path]}).status_code
            for path in (
                str(outside),
                str(root / "link"),
                f"{root}/docs/../../outside",
                str(tmp_path / "rooted"),
                "/no/such/folder",
                "docs",
                "~",
                f"{root}/none",
                f"{root}/docs/fees.md",
            )
        }
        job = run_job(url, index="mine", folders=[str(root / "docs")])
        info = requests.get(url + OWN + "/info", timeout=5).json()

    assert set(refused.values()) == {400, 403}
    assert [path for path, status in refused.items() if status == 400] == [
        "docs",
        "~",
        f"{root}/none",
        f"{root}/docs/fees.md",
    ]
    assert (job["state"], len(job["report"]["added"])) == ("done", 2)
    assert (info["allow_index"], info["roots"]) == (True, [str(root)])


def test_one_job_an_index_at_a_time_and_it_can_be_cancelled(data: Path, tmp_path: Path) -> None:
    files = {f"{n}.md": f"Note {n}: the fee is {n} dollars." for n in range(400)}
    write_files(tmp_path / "root/docs", files)
    embedder = SlowEmbedder()
    settings: dict[str, Any] = {"serve__roots": str(tmp_path / "root"), "models__embed_batch": 4}
    with serving(data / "indexes", embedder=embedder, allow_index=True, **settings) as url:
        body = {"index": "mine", "folders": [str(tmp_path / "root/docs")]}
        begun = post(url, OWN + "/jobs", body).json()
        second = post(url, OWN + "/jobs", body)
        job = f"{url}{OWN}/jobs/{begun['id']}"
        assert embedder.begun.wait(30)
        stopped = requests.delete(job, timeout=10)
        last = server_sent(requests.get(job + "/events", timeout=60))[-1][1]
        jobs = requests.get(url + OWN + "/jobs", timeout=5).json()["jobs"]
        # What was read is kept, and another job goes on from there.
        assert len(paths(url, "mine", "the fee")) > 0

    assert (second.status_code, stopped.status_code) == (409, 202)
    assert begun["id"] in second.json()["error"]["message"]
    assert (last["state"], last["report"]) == ("cancelled", None)
    assert last["finished_at"]
    assert [each["id"] for each in jobs] == [begun["id"]]
    with Pipeline(data / "indexes/mine", Config(), embedder=HashEmbedder()) as rag:
        assert list(rag.store.check()) == []


def test_a_server_that_stops_leaves_a_job_in_order(data: Path, tmp_path: Path) -> None:
    files = {f"{n}.md": f"Note {n}: the fee is {n} dollars." for n in range(200)}
    write_files(tmp_path / "root/docs", files)
    embedder = SlowEmbedder()
    settings: dict[str, Any] = {"serve__roots": str(tmp_path / "root"), "models__embed_batch": 4}
    with serving(data / "indexes", embedder=embedder, allow_index=True, **settings) as url:
        post(url, OWN + "/jobs", {"index": "mine", "folders": [str(tmp_path / "root/docs")]})
        assert embedder.begun.wait(30)

    with Pipeline(data / "indexes/mine", Config(), embedder=HashEmbedder()) as rag:
        assert list(rag.store.check()) == []
        assert rag.stats().chunks > 0
        assert len(rag.index().failed) == 0
        assert len(rag.documents()) == 200


def test_what_cannot_be_done_is_told(data: Path, tmp_path: Path) -> None:
    with open_server(data / "indexes") as url:
        nothing = post(url, OWN + "/jobs", {"index": "mine"})
        unnamed = post(url, OWN + "/jobs", {})
        unknown = requests.get(url + OWN + "/jobs/none/events", timeout=5)
    folder = tmp_path / "a/indexes"
    make_index(folder / "notes").close()
    with open_server(folder, "notes") as url:
        other = post(url, OWN + "/jobs", {"index": "other"})
        sent = send_file(url, "other/a.md", b"x")

    assert [r.status_code for r in (nothing, unnamed, unknown, other, sent)] == [
        400,
        404,
        404,
        404,
        404,
    ]
    assert not (data / "indexes").exists()


def test_a_job_that_fails_says_why_and_keeps_the_index(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "a/indexes"
    make_index(folder / "notes", FILES).close()
    shutil.rmtree(folder.parent / "notes-files")
    with open_server(folder) as url:
        job = run_job(url, index="notes")

        assert (job["state"], job["error"]["type"]) == ("failed", "LoadError")
        assert paths(url, "notes") == ["fees.md"]
    assert not data.exists()


def test_indexes_of_one_name_have_folders_of_their_own(data: Path, tmp_path: Path) -> None:
    usual = uploads_folder("notes", data / "indexes/notes")
    elsewhere = uploads_folder("notes", tmp_path / "b/notes")

    assert usual == data / "uploads/notes"
    assert elsewhere.parent == usual.parent
    assert elsewhere.name.startswith("notes-")
    assert elsewhere != uploads_folder("notes", tmp_path / "c/notes")


def test_a_job_waits_for_another_process_that_writes(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "a/indexes"
    other = make_index(folder / "notes", FILES)
    write_files(folder.parent / "notes-files", {"new.md": "The sauna costs six dollars a day."})
    with open_server(folder) as url:
        with other.store.writing("test") as writer:
            begun = post(url, OWN + "/jobs", {"index": "notes"}).json()
            time.sleep(0.3)
            job = f"{url}{OWN}/jobs/{begun['id']}"
            assert requests.get(job, timeout=5).json()["state"] == "running"
            writer.commit()
        last = server_sent(requests.get(job + "/events", timeout=60))[-1][1]
    other.close()

    assert (last["state"], last["report"]["added"]) == ("done", ["new.md"])
    assert not data.exists()
