"""The guard of `ragkit serve`: who may ask, before any route is looked at."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from served import post, serving, user

from ragkit.config import ServeSettings
from ragkit.errors import ConfigError
from ragkit.serve.server import guard_rules, read_token
from ragkit.serve.token_guesses import MOST_WRONG, WINDOW_S, TokenGuesses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token-of-some-length"  # noqa: S105 -- of this test
PATHS = ["/", "/api/tags", "/v1/models", "/ragkit/v1/indexes", "/nothing/here"]


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    origins = "https://wiki.example,chrome-extension://*"
    with serving(indexes, serve__origins=origins, serve__hosts="box.example") as address:
        yield address


@pytest.fixture(scope="module")
def locked(indexes: Path) -> Iterator[str]:
    with serving(indexes, token=TOKEN) as address:
        yield address


def raw(url: str, head: str) -> int:
    """The status of a request that is written by hand."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as sock:
        sock.sendall(head.encode().replace(b"\n", b"\r\n") + b"\r\n\r\n")
        return int(sock.recv(4096).split()[1])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:11435", "127.0.0.1.evil.example", "192.168.1.7", "[::2]"]
)
def test_a_foreign_host_is_refused_on_every_path(url: str, path: str, host: str) -> None:
    assert raw(url, f"GET {path} HTTP/1.1\nHost: {host}") == 403


@pytest.mark.parametrize("head", ["Host: ", "Host: localhost\nHost: evil.example"])
def test_an_empty_host_and_two_hosts_are_refused(url: str, head: str) -> None:
    assert raw(url, f"GET /api/tags HTTP/1.1\n{head}") in (400, 403)


def test_no_host_at_all_is_refused(url: str) -> None:
    assert raw(url, "GET /api/tags HTTP/1.0") in (400, 403)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("GET /", "a"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "a"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n", "X: a\r\n"),
        (
            "POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            "1\r\na\r\n0\r\n",
            "X: a\r\n",
        ),
    ],
    ids=["line", "header", "headers", "trailers"],
)
def test_a_head_without_end_is_not_read_on(url: str, head: str, piece: str) -> None:
    place = urlsplit(url)
    block, sent = piece.encode() * (1000 // len(piece)), 0
    with socket.create_connection((place.hostname, place.port), timeout=5) as sock:
        sock.sendall(head.encode())
        with suppress(ConnectionError):
            while sent < 10_000_000:
                sock.sendall(block)
                sent += len(block)
    assert 60_000 < sent < 10_000_000
    assert requests.get(url + "/health", timeout=5).status_code == 200


def test_a_long_head_that_ends_is_read(url: str) -> None:
    head = f"GET /api/tags HTTP/1.1\nHost: localhost\nX: {'a' * 60_000}"
    assert raw(url, head) == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:11435", "[::1]:80", "127.9.9.9", "box.example"]
)
def test_own_names_are_let_in(url: str, host: str) -> None:
    assert raw(url, f"GET /api/tags HTTP/1.1\nHost: {host}") == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "moz-extension://abc"]
)
def test_a_foreign_origin_is_refused(url: str, origin: str) -> None:
    reply = requests.get(url + "/api/tags", headers={"Origin": origin}, timeout=5)

    assert reply.status_code == 403
    assert "serve.origins" in reply.json()["error"]
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_loads_is_refused_and_a_link_is_followed(url: str, site: str) -> None:
    loaded = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    followed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}

    assert requests.get(url + "/api/tags", headers=loaded, timeout=5).status_code == 403
    assert requests.get(url + "/", headers=followed, timeout=5).status_code == 200


@pytest.mark.parametrize("origin", ["https://wiki.example", "chrome-extension://abc"])
def test_an_origin_that_was_let_in_may_ask_and_read(url: str, origin: str) -> None:
    asked = requests.options(url + "/api/chat", headers={"Origin": origin}, timeout=5)
    reply = requests.get(url + "/api/tags", headers={"Origin": origin}, timeout=5)

    assert asked.status_code == 204
    assert "authorization" in asked.headers["access-control-allow-headers"]
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == origin


def test_its_own_page_may_ask(url: str) -> None:
    assert requests.get(url + "/api/tags", headers={"Origin": url}, timeout=5).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer"])
def test_without_the_token_nothing_is_told(locked: str, path: str, given: str) -> None:
    reply = requests.get(locked + path, headers={"Authorization": given}, timeout=5)

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "library" not in reply.text


def test_with_the_token_all_is_open(locked: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}

    assert requests.get(locked + "/api/tags", headers=headers, timeout=5).status_code == 200
    assert requests.get(locked + "/health", timeout=5).json() == {"status": "ok"}


def test_a_browser_gets_in_by_typing_the_token_once(locked: str) -> None:
    browser = requests.Session()
    browser.headers.update({"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    refused = browser.get(locked + "/", timeout=5)
    wrong = browser.post(locked + "/login", data={"token": "wrong"}, timeout=5)
    entered = browser.post(locked + "/login", data={"token": TOKEN}, timeout=5)

    assert (refused.status_code, wrong.status_code) == (401, 401)
    assert 'name="token"' in refused.text
    assert entered.status_code == 200
    assert 'id="question"' in entered.text
    set_by = entered.history[0].headers["set-cookie"]
    assert "HttpOnly" in set_by
    assert "SameSite=lax" in set_by
    assert TOKEN not in set_by
    assert browser.get(locked + "/api/tags", timeout=5).status_code == 200


def test_a_foreign_page_cannot_log_in(locked: str) -> None:
    headers = {"Origin": "http://evil.example"}
    reply = requests.post(locked + "/login", data={"token": TOKEN}, headers=headers, timeout=5)

    assert reply.status_code == 403


def test_a_body_must_be_said_to_be_json(url: str) -> None:
    body = '{"model": "library"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        headers = {"Content-Type": kind} if kind else {}
        reply = requests.post(url + "/api/show", data=body, headers=headers, timeout=5)
        assert reply.status_code == 415
    curl = {"User-Agent": "curl/8.5", "Content-Type": "application/x-www-form-urlencoded"}
    assert requests.post(url + "/api/show", data=body, headers=curl, timeout=5).status_code == 200


def test_a_large_body_is_refused_with_and_without_a_length(url: str) -> None:
    question = "x" * 10_000_000
    body = {"model": "library", "messages": user(question)}
    assert post(url, "/api/chat", body).status_code == 413

    pieces = (b'{"model": "' + b"x" * 100_000 for _ in range(60))
    headers = {"Content-Type": "application/json"}
    reply = requests.post(url + "/api/chat", data=pieces, headers=headers, timeout=5)
    assert reply.status_code == 413
    assert "4,000,000 bytes" in reply.json()["error"]


def test_every_reply_tells_browsers_what_not_to_do(url: str) -> None:
    for path in PATHS:
        headers = requests.get(url + path, timeout=5).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "box.example"])  # noqa: S104
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    settings = ServeSettings(host=host)

    with pytest.raises(ConfigError, match="no token is set"):
        guard_rules(settings, "")
    assert guard_rules(settings, TOKEN).token == TOKEN


def test_the_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    monkeypatch.setenv("RAGKIT_TOKEN", "another-token-altogether")

    assert read_token(ServeSettings(token_file=str(file))) == TOKEN
    assert read_token(ServeSettings()) == "another-token-altogether"
    for text, said in (
        ("short", "16 or more"),
        ("", "is empty"),
        ("with spaces in it all", "space"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_token(ServeSettings(token_file=str(file)))


def enter(browser: requests.Session, locked: str, token: str, wanted: str) -> requests.Response:
    return browser.post(
        locked + "/login",
        data={"token": token, "next": wanted},
        timeout=5,
        allow_redirects=False,
    )


def test_a_link_to_a_place_is_followed_after_the_token_was_typed(locked: str) -> None:
    browser = requests.Session()
    browser.headers.update({"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    place = "/view?index=library&doc=%22a%22&start=1&end=2"
    asked = browser.get(locked + place, timeout=5)
    wrong = enter(browser, locked, "wrong", place)
    entered = enter(browser, locked, TOKEN, place)

    shown = 'name="next" value="/view?index=library&amp;doc=%22a%22&amp;start=1&amp;end=2"'
    assert shown in asked.text
    assert shown in wrong.text
    assert (entered.status_code, entered.headers["location"]) == (303, place)


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "evil", "", "/\nSet-Cookie: a"],
)
def test_the_token_leads_to_no_other_server(locked: str, wanted: str) -> None:
    entered = enter(requests.Session(), locked, TOKEN, wanted)

    assert (entered.status_code, entered.headers["location"]) == (303, "/")


def test_what_is_wanted_is_no_part_of_the_page(locked: str) -> None:
    wrong = enter(requests.Session(), locked, "wrong", '/"><script>alert(1)</script>')

    assert "<script>" not in wrong.text


def test_who_tries_many_tokens_has_to_wait(indexes: Path) -> None:
    with serving(indexes, token=TOKEN) as url:
        inside = requests.Session()
        enter(inside, url, TOKEN, "/")

        def status(token: str) -> int:
            head = {"Authorization": f"Bearer {token}"}
            return requests.get(url + "/api/tags", headers=head, timeout=5).status_code

        tried = [status(f"wrong-{number}") for number in range(12)]
        right = requests.get(
            url + "/api/tags", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5
        )
        typed = enter(requests.Session(), url, TOKEN, "/")
        open_still = requests.get(url + "/health", timeout=5).status_code
        by_cookie = inside.get(url + "/api/tags", timeout=5).status_code
        without = requests.get(url + "/api/tags", timeout=5).status_code

    assert tried == [401] * 10 + [429] * 2
    assert (right.status_code, typed.status_code) == (429, 429)
    assert 1 <= int(right.headers["retry-after"]) <= 60
    assert (open_still, by_cookie, without) == (200, 200, 401)


def test_wrong_tokens_are_forgotten_after_a_while() -> None:
    now = [0.0]
    guesses = TokenGuesses(lambda: now[0])
    for _ in range(MOST_WRONG):
        assert guesses.wait_s("a") == 0
        guesses.note("a")
    assert (guesses.wait_s("a"), guesses.wait_s("b")) == (60, 0)
    now[0] = WINDOW_S
    assert guesses.wait_s("a") == 0
    guesses.note("a")
    assert guesses.wait_s("a") == 0
