"""The web page's files: whole, from here alone, and not in the way of Ollama's clients."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import requests
from served import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes) as address:
        yield address


def test_a_browser_gets_the_page_and_a_client_the_text_of_ollama(url: str) -> None:
    page = requests.get(url, headers=BROWSER, timeout=10)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<main" in page.text
    assert requests.get(url, timeout=10).text == "Ollama is running"


def test_the_page_and_its_modules_name_only_files_that_are_served(url: str) -> None:
    found: set[str] = set()
    unread = ["/"]
    while unread:
        path = unread.pop()
        reply = requests.get(url + path, headers=BROWSER, timeout=10)
        assert reply.status_code == 200, path
        assert "script-src" not in reply.headers["content-security-policy"]  # 'self' for all
        assert not re.search(r"https?://(?!www\.w3\.org/)", reply.text), path  # no foreign address
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", reply.text), path
        named = re.findall(r'(?:src|href)="(/page/[^"]+)"', reply.text)
        named += [f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', reply.text)]
        unread += sorted(set(named) - found)
        found.update(named)
    kinds = {name.rpartition(".")[2] for name in found}
    assert kinds == {"css", "js", "svg"}
    assert "/page/passage.js" in found


def test_a_file_that_the_browser_has_is_not_sent_again(url: str) -> None:
    first = requests.get(f"{url}/page/main.js", timeout=10)
    known = {"If-None-Match": first.headers["etag"]}
    again = requests.get(f"{url}/page/main.js", headers=known, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
    assert requests.get(f"{url}/page/other.js", timeout=10).status_code == 404
    assert requests.get(f"{url}/page/..%2Fguard.py", timeout=10).status_code == 404
