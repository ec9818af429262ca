"""The split stage: exact offsets, coverage, caps, structure, stability, odd input."""

from __future__ import annotations

import hashlib
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.config import SplitSettings
from ragkit.errors import ConfigError
from ragkit.ingest.split import PREFIX_TOKENS, embedding_text, split
from ragkit.records import Chunk, Document, Page, make_chunk_id
from ragkit.text.tokens import estimate_tokens

KINDS = ["text", "markdown", "rst", "html", "docx", "pdf", "code", "csv", "json", "jsonl", "odd"]
DEFAULT = SplitSettings()
ENGLISH = (
    "The notice period is {n} weeks. It begins on the day on which the letter arrives. "
    "Apprentices may leave at any time during probation, and nobody has to give a reason for it."
)
CHINESE = (
    "通知期限为{n}周，自收到书面通知之日起计算。"
    "试用期内的学徒可以随时离职，无须说明理由；双方另有约定的除外。"
)


def document(text: str, kind: str = "markdown", pages: tuple[Page, ...] = ()) -> Document:
    return Document(
        "doc", "/root", "a/file", "Title", kind, text, "0" * 64, len(text), 0, None, pages
    )


def chunks(text: str, kind: str = "markdown", aim: int = 240, overlap: int = 40) -> list[Chunk]:
    return list(split(document(text, kind), SplitSettings(aim, overlap)))


def texts(text: str, kind: str = "markdown", aim: int = 240, overlap: int = 40) -> list[str]:
    return [c.text for c in chunks(text, kind, aim, overlap)]


def check(text: str, found: list[Chunk], most: int) -> None:
    """Assert what holds for every text and setting."""
    covered = 0
    for n, c in enumerate(found):
        assert c.ordinal == n
        assert text[c.start : c.end] == c.text == c.text.strip() != ""
        assert c.tokens == estimate_tokens(c.text) <= most
        assert not text[covered : c.start].strip(), "characters are lost before the chunk"
        assert c.end > covered, "the chunk adds nothing"
        if n:
            assert c.start > found[n - 1].start
        covered = c.end
    assert not text[covered:].strip(), "characters are lost at the end"


def prose(paragraphs: int, sentence: str = ENGLISH) -> str:
    return "\n\n".join(sentence.format(n=n) for n in range(paragraphs))


MARKUP = (
    *(
        "# One\n",
        "## Two\n",
        "Title\n=====\n",
        "Sub\n---\n",
        "=====\nOver\n=====\n",
        "---\na: b\n---\n",
    ),
    *("```\n", "~~~py\n", "| a | b |\n", "- item\n", "  - nested\n", "1. first\n", "第三条 "),
    *("def f():\n    x\n\n", "通知期限为四周。", "。", "”", "Some words here. ", "a" * 500),
    *("\n\n", "\n", " ", "\t", "\u2028", "\f", "e\u0301", "👩‍👩‍👧‍👦", "🇩🇪"),
)
ANY_TEXT = st.lists(
    st.one_of(
        st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")),
        st.sampled_from(MARKUP),
    ),
    max_size=60,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(
    text=ANY_TEXT,
    kind=st.sampled_from(KINDS),
    aim=st.integers(16, 600),
    overlap=st.integers(0, 700),
    window=st.integers(128, 1024),
)
def test_any_text_is_covered_exactly_and_no_chunk_is_over_the_cap(
    text: str, kind: str, aim: int, overlap: int, window: int
) -> None:
    given_settings = SplitSettings(aim, overlap)
    found = list(split(document(text, kind), given_settings, max_tokens=window))
    check(text, found, min(window - PREFIX_TOKENS, aim * 5 // 4))
    assert found == list(split(document(text, kind), given_settings, max_tokens=window))
    for c in found:
        assert estimate_tokens(embedding_text(c, "Title " * 50)) <= window


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["", " ", " \n\t\n\u3000\n" * 1000], ids=["empty", "space", "spaces"]
)
def test_nothing_but_white_space_gives_no_chunk(text: str, kind: str) -> None:
    assert chunks(text, kind) == []


def test_one_line_of_a_megabyte_is_split_within_the_cap() -> None:
    for unit in ("a", "通", "word "):
        text = unit * (1_000_000 // len(unit.encode()))
        found = chunks(text, "text")
        check(text, found, 300)
        assert sum(c.tokens for c in found) / len(found) > 180


@pytest.mark.parametrize("kind", ["markdown", "rst", "code"])
@pytest.mark.parametrize(
    "unit", ["a", "。", "\n", " \n", "```\n", "```a\n\n", "| a |\n", "x\n---\n"]
)
def test_time_grows_in_proportion_to_the_text(unit: str, kind: str) -> None:
    seconds = []
    for size in (40_000, 320_000):
        text = unit * (size // len(unit.encode())) + "x"
        start = time.process_time()
        found = chunks(text, kind)
        seconds.append(time.process_time() - start)
        check(text, found, 300)
    assert seconds[1] < 8 * seconds[0] * 2.5 + 0.5  # quadratic time would be 64-fold


def test_chunk_ids_hash_document_place_and_text() -> None:
    (chunk,) = chunks("  Hello there.\n")
    raw = b"doc\x002\x0014\x00Hello there."
    assert chunk.chunk_id == hashlib.sha256(raw).hexdigest()[:32]
    assert chunk.chunk_id == make_chunk_id("doc", 2, 14, "Hello there.")


def test_sizes_lie_around_the_aim() -> None:
    for sentence in (ENGLISH, CHINESE):
        sizes = [c.tokens for c in chunks(prose(200, sentence))]
        assert max(sizes) <= 300
        assert sum(180 <= size <= 300 for size in sizes) >= 0.95 * len(sizes)
        assert 200 <= sum(sizes) / len(sizes) <= 280


@given(st.lists(st.integers(1, 4), min_size=8, max_size=30))
def test_the_last_chunk_is_not_a_scrap(repeats: list[int]) -> None:
    text = "\n\n".join("Some words stand here. " * n for n in repeats) + "\n\n///"
    assert chunks(text, aim=48)[-1].tokens >= 7


def test_overlap_repeats_whole_sentences_of_the_same_section_only() -> None:
    text = f"# A\n\n{prose(30)}\n\n# B\n\n{prose(30)}"
    found = chunks(text)
    shared = 0
    for before, after in pairwise(found):
        overlap = text[after.start : before.end] if after.start < before.end else ""
        assert estimate_tokens(overlap) <= 40
        if before.heading != after.heading:
            assert overlap == ""
        if overlap:
            shared += 1
            assert overlap.startswith(("The notice", "It begins", "Apprentices"))
            assert overlap.endswith(".")
            assert "#" not in overlap
    assert shared >= len(found) // 2
    assert all(a.end <= b.start for a, b in pairwise(chunks(text, overlap=0)))


def test_chunks_end_where_paragraphs_end_if_they_can() -> None:
    text = prose(60)
    ends = [text[c.end : c.end + 2] for c in chunks(text, overlap=0)]
    assert set(ends[:-1]) == {"\n\n"}


@pytest.mark.parametrize("joint", ["", "\n"], ids=["one line", "lines"])
def test_chinese_without_spaces_is_cut_behind_full_stops(joint: str) -> None:
    text = joint.join(CHINESE.format(n=n) for n in range(300))
    found = chunks(text)
    check(text, found, 300)
    assert max(len(c.text) for c in found) < 500
    assert all(c.text[-1] in "。；" and c.text[0] not in "。，；！？、”" for c in found)


def test_no_chunk_begins_with_a_closing_mark() -> None:
    text = "他说：“通知期限为四周”，然后（不知为何）离开了、再也没有回来" * 200
    for aim in (16, 40, 240):
        assert all(c.text[0] not in "，”）、。" for c in chunks(text, aim=aim))
    wrapped = "\n".join(["通知期限为四周", "，自收到书面通知之日起计算", "。无须说明理由"] * 100)
    assert all(c.text[0] not in "，。" for c in chunks(wrapped, "pdf"))


@pytest.mark.parametrize("cluster", ["👩‍👩‍👧‍👦", "e\u0301\u0323", "🇩🇪", "👍🏽", "각"])
def test_visible_characters_stay_whole(cluster: str) -> None:
    text = cluster * 2000
    for aim in (16, 240):
        found = chunks(text, aim=aim)
        check(text, found, aim * 5 // 4)
        assert all(c.start % len(cluster) == 0 for c in found)
        assert not any(unicodedata.combining(c.text[0]) for c in found)


def test_one_character_of_a_thousand_marks_is_cut_rather_than_over_the_cap() -> None:
    text = "Z" + "\u0301" * 5000
    check(text, chunks(text), 300)


def test_a_line_added_in_one_section_leaves_other_sections_alone() -> None:
    sections = [f"## Part {n}\n\n" + prose(4 + n % 5, ENGLISH + f" Part {n}.") for n in range(20)]
    before = texts("\n\n".join(sections))
    sections[3] = sections[3].replace("\n\n", "\n\nA new line that nobody expected.\n\n", 1)
    after = texts("\n\n".join(sections))
    assert [t for t in before if "Part 3." not in t] == [t for t in after if "Part 3." not in t]


@pytest.mark.parametrize("sentence", [ENGLISH, CHINESE])
def test_an_insertion_into_plain_text_changes_only_the_chunks_nearby(sentence: str) -> None:
    noise = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove")
    paragraphs = [
        f"{noise[n * n % 7]} {n}. " + sentence.format(n=n) * (1 + n * 5 % 3) for n in range(400)
    ]
    before = texts("\n\n".join(paragraphs), "text")
    paragraphs.insert(5, "A new line that nobody expected.")
    after = texts("\n\n".join(paragraphs), "text")
    assert len(set(after) - set(before)) <= 12 < len(before) // 10


def test_settings_that_leave_no_room_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"split\.chunk_tokens = 15"):
        split(document("x"), SplitSettings(15, 0))
    with pytest.raises(ConfigError, match=r"split\.overlap_tokens = -1"):
        split(document("x"), SplitSettings(100, -1))
    with pytest.raises(ConfigError, match="127 tokens"):
        split(document("x"), DEFAULT, max_tokens=127)


def chunk(text: str, *heading: str) -> Chunk:
    return Chunk("id", "doc", 0, 0, len(text), text, heading)


def test_embedding_text_says_title_and_headings_once() -> None:
    assert embedding_text(chunk("Body.", "One", "Two"), "Book") == "Book > One > Two\nBody."
    assert embedding_text(chunk("Body.", "Book", "Two"), "Book") == "Book > Two\nBody."
    assert embedding_text(chunk("## Two\n\nBody.", "One", "Two"), "Book") == (
        "Book > One\n## Two\n\nBody."
    )
    assert embedding_text(chunk("# Book\n\nBody.", "Book"), "Book") == "# Book\n\nBody."
    assert embedding_text(chunk("Book\n====\n\nBody."), "Book") == "Book\n====\n\nBody."
    assert embedding_text(chunk("Body."), "") == "Body."


def test_embedding_text_bounds_a_long_path_and_keeps_the_nearest_heading() -> None:
    path = tuple(f"Heading number {n} of a deeply nested book" for n in range(30))
    line = embedding_text(chunk("Body.", *path), "Book").split("\n")[0]
    assert line.startswith("Book > ")
    assert line.endswith(path[-1])
    assert 40 <= estimate_tokens(line) <= PREFIX_TOKENS
    line = embedding_text(chunk("Body."), "长" * 500).split("\n")[0]
    assert set(line) == {"长"}
    assert 40 <= estimate_tokens(line) <= PREFIX_TOKENS
