"""Scripts, sentences, words and graphemes."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.text.markdown import heading_text
from ragkit.text.scripts import grapheme_start, is_cjk
from ragkit.text.sentences import sentences
from ragkit.text.words import language, words

ANY_TEXT = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("a. \n!?。！”)…通知かな한e\u0301\u200d👩🏽🇩🇪-1"),
    ),
    max_size=300,
)


@pytest.mark.parametrize("char", ["通", "㐀", "𠮷", "豈", "か", "カ", "ｶ", "한", "ᄒ"])
def test_cjk_letters_are_recognised_by_their_blocks(char: str) -> None:
    assert is_cjk(char)


@pytest.mark.parametrize("char", ["a", "é", "я", "1", "。", "、", "「", "😀", " "])
def test_other_letters_and_cjk_punctuation_are_not_cjk(char: str) -> None:
    assert not is_cjk(char)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How long is the notice period?", "en"),
        ("通知期限是多久？", "zh"),
        ("契約の解約予告期間は？", "ja"),
        ("カタカナ", "ja"),
        ("계약 해지 통지 기간은?", "ko"),
        ("什么是 FastAPI？", "zh"),
        ("What does 通知 mean in English?", "en"),
        ("Какой срок?", "en"),
        ("", "en"),
        ("42 !", "en"),
    ],
)
def test_language_follows_the_script_that_prevails(text: str, expected: str) -> None:
    assert language(text) == expected


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith came at 3.14 p.m. on Jan. 5.", "Nobody knew why."],
        ["See Fig. 3 and e.g. v1.2 at https://a.example/x.html?y=1.", "J. R. Jones did!", "So?"],
        ['"What?" he said.', "“Yes.”", "(It was so.)", "Wait ... what?"],
        [
            "He was born in 1999.",
            "They moved to the U.S. Army base.",
            "Acme Inc.",
            "Then it ended.",
        ],
        ["Smith et al. found no. 5.", "No.", "Never."],
        ["Up at 8 p.m. Monday, 1 p.m. EST else.", "Shut at 9 a.m.", "A.M. Jones said so."],
    ],
    ids=["titles", "dots inside", "quotes", "abbreviation at the end", "may end", "hours"],
)
def test_latin_sentences_end_where_a_reader_would_end_them(expected: list[str]) -> None:
    assert _sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["The hut holds max. 12 persons.", "Capt. Vane and Lt. Cole signed approx. 5 of them."],
        ["Open Mon. to Fri. from 9.", "Shut Sat. 5 May and Mon. May 7.", "See you Sun.", "Bye."],
        ["We saw Max.", "He left.", "It is No. 5, Vol. 2, cap. 3.", "Is it OK.", "So it is."],
        ["Nach Abs. 2 zahlt er am 3. Mai.", "Der 2. Absatz gilt ggf. nicht.", "Er kam 1999."],
        ["Vgl. Abb. 3, S. 9 ff. und Tel. 5.", "Im 19. Jahrhundert zzgl. Kosten inkl. Steuer."],
        ["Le 3 janv. 2020, voir fig. 3 et éd. 2.", "La Sra. Díaz llegó."],
        ["Стоит 12 тыс. рублей на ул. Мира.", "Да."],
        ["It lasts ten years.³", "Lenses do not.¹²"],
    ],
    ids=["ranks", "days", "also words", "german", "references", "french and spanish", "russian",
         "note marks"],
)  # fmt: skip
def test_abbreviations_end_no_sentence(expected: list[str]) -> None:
    assert _sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["今天天气很好。", "“你好吗？”", "他问。", "我说：“很好！”", "然后走了……", "完"],
        ["「はい。」", "と言った。", "（終わり。）", "本当！？"],
        ["版本是3.14。", "用 Python 3.11 运行！", "好"],
    ],
    ids=["chinese", "japanese", "decimal"],
)
def test_cjk_sentences_keep_their_closing_quotes(expected: list[str]) -> None:
    assert _sentences("".join(expected)) == expected


def test_list_items_and_blank_lines_end_sentences_but_wrapped_lines_do_not() -> None:
    text = "A line\nwrapped here\n- one\n- two\n1. first. Then more\n\nLast\n| a | b |\n# Head"
    assert _sentences(text) == [
        "A line\nwrapped here",
        "- one",
        "- two",
        "1. first.",
        "Then more",
        "Last",
        "| a | b |",
        "# Head",
    ]


@given(ANY_TEXT)
def test_sentences_cover_all_text_in_order_and_are_trimmed(text: str) -> None:
    spans = sentences(text)
    last = 0
    for start, end in spans:
        assert not text[last:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        last = end
    assert not text[last:].strip()


@pytest.mark.parametrize(
    "unit", ["a", "通", ".", '."', "?)", "\n", " \n", "Hello there. ", "1. ", "- a\n", "通。"]
)
def test_sentences_take_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    spans = sentences(text)
    assert time.process_time() - start < 4
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text.split())


def test_words_fold_case_and_width_and_cut_cjk_into_bigrams() -> None:
    assert words("Straße ＡＢＣ chunk_tokens, don't") == [
        "strasse",
        "abc",
        "chunk",
        "tokens",
        "don",
        "t",
    ]
    assert words("通知期限 X 为") == ["通知", "知期", "期限", "x", "为"]
    assert words("ｶﾀ 한국어") == ["カタ", "한국", "국어"]


def test_words_keep_decimals_and_drop_commas_of_thousands() -> None:
    assert words("1,234,567.5 or 3.14, 2019,2020 v1.2.3") == [
        "1234567.5",
        "or",
        "3.14",
        "2019",
        "2020",
        "v1",
        "2.3",
    ]


@given(ANY_TEXT)
def test_words_do_not_change_when_the_text_is_folded_first(text: str) -> None:
    folded = unicodedata.normalize("NFKC", text).casefold()
    assert words(folded) == words(unicodedata.normalize("NFKC", folded))
    assert not any(word.isspace() or not word for word in words(text))


@pytest.mark.parametrize(
    "cluster",
    [
        "e\u0301\u0323",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇩🇪",
        "한",
        "1\ufe0f\u20e3",
        "क्षि"[:2],
        "🏴\U000e0067\U000e007f",
    ],
)
def test_no_place_inside_a_visible_character_is_a_start(cluster: str) -> None:
    text = f"ab{cluster}c"
    assert {grapheme_start(text, i) for i in range(2, 2 + len(cluster))} == {2}
    assert grapheme_start(text, 2 + len(cluster)) == 2 + len(cluster)


def test_flags_in_a_row_are_cut_between_flags() -> None:
    text = "🇩🇪🇫🇷🇨🇳"
    assert [grapheme_start(text, i) for i in range(7)] == [0, 0, 2, 2, 4, 4, 6]


def test_an_endless_cluster_is_cut_where_asked() -> None:
    assert grapheme_start("e" + "\u0301" * 100, 80) == 80


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        (" Plain ", "Plain"),
        ("Closed ##", "Closed"),
        ("Learning C#", "Learning C#"),
        ("Named {#named .big}", "Named"),
        ("Named {: #named }", "Named"),
        ("Sized {width=3}", "Sized"),
        ("The set {1, 2}", "The set {1, 2}"),
        ("{#only}", "{#only}"),
        ("##", "##"),
    ],
)
def test_a_heading_is_what_its_reader_sees_of_it(line: str, heading: str) -> None:
    assert heading_text(line) == heading
