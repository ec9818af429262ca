"""Links in a streamed reply: which stay, which go, and that the stream's cuts change nothing."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragkit.query.links import LinkFilter, links
from ragkit.text.visible import escaped

SOURCE = (
    "See https://staff.example/form(a). 请访问https://cn.example/p查看详情，"
    "[rules](rules.md#leave), write to hr@staff.example."
)


def filtered(*pieces: str) -> str:
    """A reply that came in these pieces, as it is shown."""
    links = LinkFilter([SOURCE])
    return "".join(map(links.feed, pieces)) + links.close()


@pytest.mark.parametrize(
    "kept",
    [
        "See https://staff.example/form(a), or (https://staff.example/form(a)).",
        "Read [the rules](rules.md#leave) first.",
        "Write to hr@staff.example!",
        '"https://cn.example/p" `https://cn.example/p` <https://cn.example/p> x',
        'Open it (`https://cn.example/p`), or ("https://cn.example/p").',
        "1/2, 2024/05/01, and/or, TCP/IP, v1.2/1.3, i.e. e.g. report.pdf, x<y, a <b c> d",
        "a: b; note: c. // comment; items[3]; 3 [1][2].",
        "https:// and http: alone say nothing",
    ],
)
def test_what_stands_in_the_passages_or_is_no_link_stays(kept: str) -> None:
    assert filtered(kept) == kept


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("![x](https://evil.example/?q=1)", "[x] ([link removed])"),
        ("![x](https://staff.example/form(a))", "[x] (https://staff.example/form(a))"),
        ("Great![1]", "Great! [1]"),
        ("[here](https://evil.example)", "[here] ([link removed])"),
        ("[here](/logout)", "[here] (/logout)"),
        ("[a][x]\n\n[x]: https://evil.example", "[a][x]\n\n[x]: [link removed]"),
        ("[x]: //evil.example/p", "[x] : [link removed]"),
        ("<https://evil.example/a>", "<[link removed]>"),
        ("https://staff.example/form(a)?q=secret", "[link removed]"),
        ("https://staff.example/", "[link removed]"),
        ("HTTPS://STAFF.EXAMPLE/form(a)", "[link removed]"),
        ("https://staff.ex%61mple/form(a)", "[link removed]"),
        ("https://stаff.example/form", "[link removed]а[link removed]"),
        ("ht\u200btps://evil.ex\u00adample/a", "[link removed]"),
        ("javascript:alert(1)", "[link removed]"),
        ("data:image/png;base64,AAAA", "[link removed]"),
        ("www.evil.example and evil.example/x", "[link removed] and [link removed]"),
        ("x@evil.example", "[link removed]"),
        ("https:\\\\evil.example\\a", "[link removed]"),
        ("请访问https://evil.example/a查看。", "请访问[link removed]查看。"),
        ("请访问https://cn.example/p秘密。", "请访问https://cn.example/p 秘密。"),
        ("请访问https://cn.example/p。", "请访问https://cn.example/p 。"),
        ("见https://cn.example/p[1]。", "见https://cn.example/p [1]。"),
        ('https://cn.example/p"secret', 'https://cn.example/p "secret'),
        ("https://cn.example/p.|secret", "https://cn.example/p .|secret"),
        ("http://[::1]/x", "[link removed]"),
        ("<img src=//evil.example/x>", "[html removed]"),
        ("<b onclick=go()>x</b>", "[html removed]x</b>"),
        ("<script>x</script>", "[html removed]x[html removed]"),
        ("<img src=//evil.example/x", "[html removed]"),
        ("!<img src=a>(/x.png)", "![html removed] (/x.png)"),
        ("https://evil.example: /x", "[link removed] : /x"),
    ],
)
def test_any_other_link_is_taken_out(said: str, shown: str) -> None:
    assert filtered(said) == shown


def test_links_of_a_text_are_found_without_the_sentence_around_them() -> None:
    assert links([SOURCE]) >= {
        "https://staff.example/form(a)",
        "https://cn.example/p",
        "rules.md#leave",
        "hr@staff.example",
    }


def test_only_what_may_become_a_link_is_held_back() -> None:
    stream = LinkFilter([SOURCE])
    assert stream.feed("Three mon") == "Three "
    assert stream.feed("ths, see ") == "months, see "
    assert stream.feed("通知期为三个月。") == "通知期为三个月。"
    assert stream.feed("https://evil.exa") == ""
    assert stream.feed("mple 再见") == "[link removed] 再见"
    assert stream.removed == ["https://evil.example"]
    assert stream.close() == ""


def test_a_tag_that_never_ends_is_not_held_for_ever() -> None:
    stream = LinkFilter([])
    shown = [stream.feed("<img x=" + "y" * 5000), stream.feed("z" * 5000), stream.feed(" end")]
    assert shown[0].startswith("[html removed]")
    assert "".join(shown).endswith("z ")


_PIECES = (
    "https://evil.example/a", "https://staff.example/form(a)", "https:", "//", "://", "www.",
    "evil.example", "/x", "!", "[", "](", ")", "]:", " ", "\n", "<img ", "<b", "=", ">", "通知期",
    "。", "secret", "[1]", "@", "\u200b", "\u202e", "é", "K", ".", "&", "`", "data:image/png",
    "javascript:", "(", "1", "?", "\u3000",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from(_PIECES), max_size=14).map("".join),
        st.text(alphabet="ahtps:/.@[]()<>!= \n中。é", max_size=30),
    ),
    st.lists(st.integers(0, 120), max_size=8),
)
@example("](中 )https://a中b", [3])
@example("K://evil.example", [1])
def test_a_reply_is_the_same_wherever_it_was_cut(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(c for c in cuts if c <= len(text)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert filtered(*pieces) == filtered(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
def test_what_was_filtered_holds_no_link_that_the_passages_do_not(text: str) -> None:
    shown = filtered(text)
    assert links([shown]) <= links([SOURCE]) | {""}
    targets = re.findall(r"(!?)\[[^\]]*\]\(([^)]*)", shown)
    assert all(target.rstrip(") ") in SOURCE and not image for image, target in targets)


def test_escapes_are_json_of_the_same_text() -> None:
    text = 'a\u200b "q" \U000e0041 \x9b 字'
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text
    assert "\u200b" not in escaped(json.dumps(text, ensure_ascii=False))
