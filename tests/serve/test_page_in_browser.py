"""The web page in a real browser: asked, read, used by keyboard alone, and looked at."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import write_files
from fixed_chat import FixedChat
from hash_embedder import HashEmbedder
from make_files import drawn_pdf, line
from packages import need
from served import QUESTION, SlowChat, SlowEmbedder, make_index, serving

from ragkit.config import Config
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BROWSER = os.environ.get("RAGKIT_CHROMIUM") or shutil.which("chromium")
AXE = Path(__file__).with_name("node") / "node_modules/axe-core/axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EVIL = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>'
FILLING = "".join(f"Rule {n} of the house is of no import here.\n\n" for n in range(60))
FILES = {
    "fees.md": f"# Fees\n\n{FILLING}😀𠮷 The fee is five dollars a day.\n\n{FILLING}{EVIL}\n",
    "empty.txt": " ",
    "<img src=x onerror=evil=1>.md": f"# Evil\n\nThe evil price is seven dollars. {EVIL}\n",
}
SAID = (
    f"😀 The **fee** is five dollars a day [1]. The evil {EVIL} moon is cheese [1]. Nothing else."
)
STATUSES = ["quoted", "unsupported", "uncited"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not BROWSER, reason="Debian's chromium is not installed"),
]


class Browsing:
    """A page in a browser, and what must not have happened on it.

    Attributes:
        page: Playwright's page.
        wrong: Errors and warnings of the console, and requests to others.
    """

    def __init__(self, page: Any, url: str, ready: str) -> None:
        self.page, self.url = page, url
        self.wrong: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._asked)
        page.goto(url)
        page.wait_for_selector(ready, state="attached")

    def ask(self, question: str = QUESTION) -> None:
        """Ask, and wait for the answer."""
        self.page.fill("#question", question)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".sources")

    def check(self) -> None:
        """Nothing of a document ran, no one else was asked, and the console has no complaint."""
        assert self.page.evaluate("window.evil ?? null") is None
        assert self.wrong == []

    def is_too_wide(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.wrong.append(request.url)


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "indexes"
    make_index(folder / "library", FILES).close()
    return folder


@pytest.fixture(scope="module")
def url(indexes: Path) -> Iterator[str]:
    with serving(indexes, chat=FixedChat(SAID)) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    need("playwright", "playwright is not installed (the group `browser`)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Callable[..., Browsing]]:
    contexts = []

    def opened(
        url: str, *, width: int = 1200, ready: str = "#index option", **options: Any
    ) -> Browsing:
        context = chromium.new_context(
            viewport={"width": width, "height": 760}, reduced_motion="reduce", **options
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        return Browsing(context.new_page(), url, ready)

    yield opened
    for context in contexts:
        context.close()


def place_box(page: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Where the mark and the panel's text lie in the window."""
    return page.locator("#place").bounding_box(), page.locator("#passage-body").bounding_box()


def pixels(page: Any, box: dict[str, float]) -> Any:
    """A region of the window as an array of RGB."""
    import numpy as np
    from matplotlib.image import imread

    clip = {name: round(box[name]) for name in ("x", "y", "width", "height")}
    picture = imread(io.BytesIO(page.screenshot(clip=clip)), format="png")
    return (np.asarray(picture)[..., :3] * 255).round().astype(int)


def colour(page: Any, selector: str, of: str) -> list[int]:
    """A colour that the style of an element names, as RGB."""
    text = page.eval_on_selector(selector, f"node => getComputedStyle(node).{of}")
    return [int(float(part)) for part in text.partition("(")[2].rstrip(")").split(",")[:3]]


def test_an_answer_is_marked_by_what_shows_it_and_runs_nothing(
    url: str, browse: Callable[..., Browsing]
) -> None:
    at = browse(url)
    at.ask()
    found = at.page.eval_on_selector_all(".sentence", "all => all.map(n => n.dataset.status)")

    assert found == STATUSES
    at.page.click("#open-documents")
    at.page.click("#documents button:has-text('onerror=evil')")
    at.page.wait_for_selector(".paper")
    assert EVIL in at.page.inner_text("#passage-body")
    at.check()


def test_a_cited_page_of_a_pdf_is_shown_with_its_words_marked(
    browse: Callable[..., Browsing], tmp_path: Path
) -> None:
    """The picture of the page is yellow where the words stand, and nowhere else."""
    pdf = drawn_pdf(line(72, 700, "The fee is five dollars a day."), line(72, 300, "No more."))
    make_index(tmp_path / "a/indexes/library", {"fees.pdf": pdf}).close()
    with serving(
        tmp_path / "a/indexes", chat=FixedChat("The fee is five dollars a day [1].")
    ) as url:
        at = browse(url)
        at.ask()
        at.page.click("a.cite >> nth=0")
        at.page.wait_for_selector(".page-sheet rect", state="attached")
        at.page.locator(".page-sheet img").evaluate("picture => picture.decode()")
        sheet = at.page.locator(".page-sheet").bounding_box()
        picture = pixels(at.page, sheet)
        marked = (picture[..., 0] > 200) & (picture[..., 2] < 180) & (picture[..., 1] > 150)
        rows = marked.any(axis=1).nonzero()[0] / sheet["height"]
        columns = marked.any(axis=0).nonzero()[0] / sheet["width"]

        # the words stand 700 of 842 points from below, and 72 of 595 from the left
        assert 0.15 < rows.min() < rows.max() < 0.18
        assert 0.115 < columns.min() < 0.13
        at.page.click("#passage-view")
        assert at.page.inner_text("#place").endswith("\nThe fee is five dollars a day")
        at.check()


def test_why_a_document_is_not_there_is_told(url: str, browse: Callable[..., Browsing]) -> None:
    at = browse(url)
    at.ask()
    at.page.click("text=Why was my document not used?")
    at.page.fill("#why-not input >> nth=1", "empty.txt")
    at.page.keyboard.press("Enter")
    at.page.wait_for_selector(".why-stage")
    assert at.page.inner_text(".why-stage").strip() == "It holds no text."
    assert "OCR" not in at.page.inner_text(".why-told")
    at.check()


def test_why_a_document_is_not_there_is_told_in_chinese(
    url: str, browse: Callable[..., Browsing]
) -> None:
    at = browse(url, locale="zh-CN")
    at.page.click("#open-documents")
    at.page.click("text=为什么没用到我的文档？")
    at.page.fill("#why-not input >> nth=0", QUESTION)
    at.page.fill("#why-not input >> nth=1", "empty.txt")
    at.page.keyboard.press("Enter")
    at.page.wait_for_selector(".why-stage")
    told = at.page.inner_text(".why-told")
    assert "它没有文字。" in told
    assert "需要先识别文字（OCR）" in told
    assert at.page.get_attribute(".why-told .said", "lang") == "en"
    at.check()


def test_each_new_question_is_shown_from_its_top_and_the_window_stays(
    url: str, browse: Callable[..., Browsing]
) -> None:
    """Labels for screen readers made the window taller than it is, and a question scrolled it."""
    at = browse(url)
    for number in (1, 2, 3):
        at.page.fill("#question", QUESTION)
        at.page.keyboard.press("Enter")
        at.page.wait_for_selector(f".turn:nth-child({number}) .actions")
        asked = at.page.locator(".asked").last.bounding_box()
        talk = at.page.locator("#talk").bounding_box()
        composer = at.page.locator("#composer").bounding_box()
        assert talk["y"] <= asked["y"] <= talk["y"] + 80
        assert composer["y"] + composer["height"] == 760
        assert at.page.evaluate("document.scrollingElement.scrollTop") == 0
    at.check()


def test_a_refusal_is_said_once(browse: Callable[..., Browsing], tmp_path: Path) -> None:
    make_index(tmp_path / "a/indexes/library").close()
    with serving(tmp_path / "a/indexes") as url:
        at = browse(url)
        at.page.fill("#question", "Which zebra won the cup?")
        at.page.keyboard.press("Enter")
        at.page.wait_for_selector(".turn .actions")
        assert at.page.locator(".reply .notice").all_inner_texts() == ["The documents do not say."]
        assert at.page.inner_text(".reply").count("documents do not") == 1
        at.check()


def test_a_file_is_added_and_answers(browse: Callable[..., Browsing], tmp_path: Path) -> None:
    make_index(tmp_path / "a/indexes/library").close()
    new = {"name": "new.md", "mimeType": "text/plain", "buffer": b"# New\n\nThe pool fee is two.\n"}
    with serving(tmp_path / "a/indexes", allow_index=True) as url:
        at = browse(url)
        at.page.click("#open-documents")
        at.page.set_input_files("#intake-files", [new])
        at.page.wait_for_selector(".intake-told .notice")
        assert "1 added" in at.page.inner_text(".intake-told")
        at.page.wait_for_selector("#documents button:has-text('new.md')")
        at.page.keyboard.press("Escape")
        at.ask("What is the pool fee?")
        assert "The pool fee is two." in at.page.inner_text("#turns")
        at.check()


def test_the_first_index_is_made_of_what_is_sent(
    browse: Callable[..., Browsing], tmp_path: Path
) -> None:
    new = {"name": "new.md", "mimeType": "text/plain", "buffer": b"# New\n\nThe pool fee is two.\n"}
    settings: dict[str, Any] = {"models__embedder": "none"}
    with serving(tmp_path / "a/indexes", allow_index=True, **settings) as url:
        at = browse(url, ready="#first-name")
        assert "Add files" in at.page.inner_text("#index-facts")
        at.page.fill("#first-name", "pool")
        at.page.set_input_files("#intake-files", [new])
        at.page.wait_for_selector("#index option:has-text('pool')", state="attached")
        at.page.wait_for_selector("#index-facts:has-text('1 document')")
        assert "1 added" in at.page.inner_text("#first")
        assert at.page.locator("#first-name").count() == 0
        at.ask("What is the pool fee?")
        assert "The pool fee is two." in at.page.inner_text("#turns")
        at.check()


def test_a_folder_of_the_server_is_added(browse: Callable[..., Browsing], tmp_path: Path) -> None:
    make_index(tmp_path / "a/indexes/library").close()
    write_files(tmp_path / "root/more", {"pool.md": "The pool fee is two.", "bad.zip": "none"})
    roots = (str(tmp_path / "root"),)
    with serving(tmp_path / "a/indexes", allow_index=True, serve__roots=roots) as url:
        at = browse(url)
        at.page.click("#open-documents")
        folder = at.page.locator("#documents form input")
        assert folder.input_value() == roots[0]
        folder.fill(f"{roots[0]}/more")
        folder.press("Enter")
        at.page.wait_for_selector(".intake-told .notice")
        assert "1 added" in at.page.inner_text(".intake-told")
        at.page.wait_for_selector("#documents button:has-text('pool.md')")
        at.check()
        folder = at.page.locator("#documents form input")
        folder.fill(str(tmp_path))  # above the root: told, and nothing is read
        folder.press("Enter")
        at.page.wait_for_selector(".intake-told .failure")
        assert "serve.roots" in at.page.inner_text(".intake-told")


def test_a_job_is_stopped_and_what_was_read_is_kept(
    browse: Callable[..., Browsing], tmp_path: Path
) -> None:
    slow = SlowEmbedder()
    make_index(tmp_path / "a/indexes/library", embedder=slow).close()
    write_files(tmp_path / "root", {f"{n}.md": f"Note {n}: {n} dollars." for n in range(200)})
    roots = (str(tmp_path / "root"),)
    settings: dict[str, Any] = {"serve__roots": roots, "models__embed_batch": 4}
    with serving(tmp_path / "a/indexes", embedder=slow, allow_index=True, **settings) as url:
        at = browse(url)
        at.page.click("#open-documents")
        at.page.click("#documents form button[type=submit]")
        at.page.click(".intake-told button")
        at.page.wait_for_selector(".intake-told .notice")
        assert at.page.inner_text(".intake-told") == "Stopped. What was read is kept."
        at.check()
    with Pipeline(tmp_path / "a/indexes/library", Config(), embedder=HashEmbedder()) as rag:
        kept = rag.stats()
        assert kept.documents > 2
        assert kept.waiting > 0  # it was stopped before the last vectors
        assert list(rag.store.check()) == []


def test_nobody_adds_where_it_is_not_allowed(url: str, browse: Callable[..., Browsing]) -> None:
    at = browse(url)
    at.page.click("#open-documents")
    at.page.wait_for_selector("#documents .row-head")
    assert at.page.locator(".intake").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_citation_shows_its_place_marked(
    url: str, browse: Callable[..., Browsing], scheme: str
) -> None:
    """The words are marked where they stand in the panel: its picture has the mark's colour."""
    at = browse(url, color_scheme=scheme)
    at.ask()
    at.page.click("a.cite >> nth=0")
    at.page.wait_for_selector("#place")
    mark, panel = place_box(at.page)

    assert at.page.inner_text("#place") == "The fee is five dollars a day"
    assert panel["y"] <= mark["y"]
    assert mark["y"] + mark["height"] <= panel["y"] + panel["height"]
    wanted = colour(at.page, "#place", "backgroundColor")
    beside = mark | {"y": mark["y"] + 3 * mark["height"]}
    shares = [
        (abs(pixels(at.page, box) - wanted).max(axis=2) <= 2).mean() for box in (mark, beside)
    ]
    assert shares[0] > 0.4  # the rest are its letters
    assert shares[1] < 0.01
    at.check()


def test_the_dark_page_is_dark_and_the_light_one_light(
    url: str, browse: Callable[..., Browsing]
) -> None:
    whole = {"x": 0.0, "y": 0.0, "width": 1200.0, "height": 760.0}
    means = [
        pixels(browse(url, color_scheme=scheme).page, whole).mean() for scheme in ("light", "dark")
    ]
    assert means[0] > 215
    assert means[1] < 60


def test_the_page_speaks_chinese(url: str, browse: Callable[..., Browsing]) -> None:
    at = browse(url, locale="zh-CN")
    at.ask()

    assert at.page.get_attribute("html", "lang") == "zh-CN"
    for words in ("文档", "历史", "设置", "来源"):
        assert words in at.page.inner_text("body")
    english = at.page.locator("button:visible").all_inner_texts()
    assert not [text for text in english if text.isascii() and any(map(str.isalpha, text))]
    at.check()


def test_all_is_reached_by_keyboard(url: str, browse: Callable[..., Browsing]) -> None:
    at = browse(url)
    keyboard = at.page.keyboard
    keyboard.type(QUESTION)  # the page begins in the question
    keyboard.press("Enter")
    at.page.wait_for_selector(".sources")

    def tab_to(selector: str) -> None:
        for _ in range(40):
            keyboard.press("Shift+Tab")
            if at.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                return
        pytest.fail(f"no way to {selector} by Tab")

    tab_to("a.cite")
    ring = at.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring != "none"
    keyboard.press("Enter")
    at.page.wait_for_selector("#place")
    assert at.page.evaluate("document.activeElement.id") == "passage-title"
    keyboard.press("Escape")
    assert at.page.evaluate("document.activeElement.className") == "cite"
    for name in ("settings", "history", "documents"):
        tab_to(f"#open-{name}")
        keyboard.press("Enter")
        at.page.wait_for_selector(f"#{name}[open]")
        keyboard.press("Escape")
        assert at.page.evaluate("document.activeElement.id") == f"open-{name}"
    at.check()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_needs_no_scrolling_sideways(
    url: str, browse: Callable[..., Browsing], locale: str
) -> None:
    at = browse(url, width=360, locale=locale)
    assert not at.is_too_wide()
    at.ask()
    assert not at.is_too_wide()
    at.page.click("a.cite >> nth=0")
    at.page.wait_for_selector("#place")
    assert not at.is_too_wide()
    at.page.keyboard.press("Escape")
    for name in ("documents", "history", "settings"):
        at.page.click(f"#open-{name}")
        at.page.wait_for_selector(f"#{name}[open]")
        assert not at.is_too_wide()
        at.page.keyboard.press("Escape")
    at.check()


@pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is absent: `npm install --prefix tests/serve/node`"
)
@pytest.mark.parametrize(
    ("scheme", "locale", "width"), [("light", "en-US", 1200), ("dark", "zh-CN", 360)]
)
def test_axe_finds_nothing_in_the_way_of_anyone(
    indexes: Path, browse: Callable[..., Browsing], scheme: str, locale: str, width: int
) -> None:
    roots = (str(indexes),)
    with serving(indexes, chat=FixedChat(SAID), allow_index=True, serve__roots=roots) as url:
        at = browse(url, color_scheme=scheme, locale=locale, width=width)
        at.page.evaluate(AXE.read_text("utf-8"))

        def faults() -> list[tuple[str, str]]:
            at.page.wait_for_timeout(300)
            found = at.page.evaluate("() => axe.run()")["violations"]
            return [(v["id"], v["nodes"][0]["target"]) for v in found]

        assert faults() == []
        at.ask()
        assert faults() == []
        at.page.click("a.cite >> nth=0")
        at.page.wait_for_selector("#place")
        assert faults() == []
        at.page.keyboard.press("Escape")
        opened = {
            "why-not": ".after button >> nth=2",
            "documents": "#open-documents",
            "history": "#open-history",
            "settings": "#open-settings",
        }
        for name, opener in opened.items():
            at.page.click(opener)
            at.page.wait_for_selector(f"#{name}[open]")
            assert (name, faults()) == (name, [])
            at.page.keyboard.press("Escape")


def test_documents_have_their_state(url: str, browse: Callable[..., Browsing]) -> None:
    at = browse(url)
    at.page.click("#open-documents")
    at.page.wait_for_selector("#documents .row-head")
    shown = at.page.inner_text("#documents-body")

    assert "<img src=x onerror=evil=1>.md" in shown
    assert "empty.txt" in shown
    assert "no text" in shown
    at.check()


def test_a_conversation_is_kept_in_the_browser(url: str, browse: Callable[..., Browsing]) -> None:
    at = browse(url)
    at.ask()
    at.page.reload()
    at.page.wait_for_selector("#index option", state="attached")
    at.page.click("#open-history")
    at.page.click(f"#history button:has-text('{QUESTION}')")
    at.page.wait_for_selector(".sources")

    found = at.page.eval_on_selector_all(".sentence", "all => all.map(n => n.dataset.status)")
    assert found == STATUSES
    at.check()


def test_stop_ends_the_model(browse: Callable[..., Browsing], tmp_path: Path) -> None:
    make_index(tmp_path / "a/indexes/library").close()
    slow = SlowChat()
    with serving(tmp_path / "a/indexes", chat=slow) as url:
        at = browse(url)
        at.page.fill("#question", QUESTION)
        at.page.keyboard.press("Enter")
        at.page.wait_for_selector(".coming p")
        at.page.click("#stop")
        at.page.wait_for_selector(".turn .notice")

        assert slow.stopped.wait(10)
        assert "it was not checked" in at.page.inner_text(".turn .notice")
        at.page.close()
