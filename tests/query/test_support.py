"""Marks, figures and the tie between an answer's sentences and the passages."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import CitationError
from ragkit.protocols import ChatDone, ChatEvent, TextDelta, ThinkingDelta
from ragkit.query.proof.analysed import AnalysedText
from ragkit.query.proof.citations import drop_unsupported, link_citations
from ragkit.query.proof.entities import names_missing
from ragkit.query.proof.marks import MarkFilter, find_marks, without_marks
from ragkit.query.proof.negation import find_negations, opposed
from ragkit.query.proof.numbers import figures_missing, read_figures
from ragkit.query.proof.places import CitedPassage
from ragkit.query.proof.roles import roles_swapped
from ragkit.query.proof.support import Evidence, answer_sentences, check_sentence, judge
from ragkit.query.thinking import without_thinking
from ragkit.records import Passage

HANDBOOK = (
    "Leaving the company.\nThe notice period is three months to the end of a quarter. "
    "Overtime is not paid. The canteen opens at 11.30 and serves 1,200 meals a day."
)
CHINESE = "员工手册。通知期为三个月，自季度末起算。加班费不予支付。食堂每天供应一千二百份餐。"


def passage(text: str, number: int = 1, start: int = 0) -> Passage:
    return Passage(
        number=number,
        doc_id=f"d{number}",
        root="/r",
        path=f"{number}.md",
        title="",
        heading=(),
        page=None,
        start=start,
        end=start + len(text),
        text=text,
        file_sha256="f",
        score=None,
        chunk_ids=(f"c{number}",),
        tokens=1,
    )


@pytest.mark.parametrize(
    ("sentence", "status"),
    [
        ("The notice period is three months to the end of a quarter [1].", "quoted"),
        ("the NOTICE  period is\nthree months [1]", "quoted"),
        ("Notice is 3 months to the end of the quarter [1].", "supported"),
        ("The canteen serves 1200 meals each day [1].", "supported"),
        ("Notice is 4 months to the end of the quarter [1].", "unsupported"),
        ("Overtime is paid [1].", "unsupported"),
        ("The notice period is not three months to the end of a quarter [1].", "unsupported"),
        ("The canteen opens at 1130 and serves meals [1].", "unsupported"),
        ("Parental leave lasts a year [1].", "unsupported"),
        ("It says “three months to the end of a quarter” for the notice period [1].", "quoted"),
        ("It says “three weeks to the end of a quarter” for the notice period [1].", "unsupported"),
        ("Yes [1].", "unsupported"),
        ("The notice period is three months.", "uncited"),
    ],
)
def test_english_sentence_gets_its_status(sentence: str, status: str) -> None:
    cited = [CitedPassage(passage(HANDBOOK))] if "[1]" in sentence else []
    assert check_sentence(sentence, cited).status == status


@pytest.mark.parametrize(
    ("sentence", "status"),
    [
        ("通知期为三个月[1]。", "quoted"),
        ("通知期是3个月，从季度末起算[1]。", "supported"),
        ("通知期是4个月，从季度末起算[1]。", "unsupported"),
        ("通知期为四个月，自季度末起算[1]。", "unsupported"),
        ("加班费予以支付[1]。", "unsupported"),
        ("食堂每天供应1200份餐[1]。", "supported"),
        ("1200份[1]。", "supported"),
        ("3个月[1]。", "supported"),
    ],
)
def test_chinese_sentence_gets_its_status(sentence: str, status: str) -> None:
    assert check_sentence(sentence, [CitedPassage(passage(CHINESE))]).status == status


def test_place_of_a_sentence_is_the_text_that_says_it() -> None:
    given_ = CitedPassage(passage(HANDBOOK))
    (place,) = check_sentence("Notice is 3 months to the end of the quarter.", [given_]).places
    said = HANDBOOK[place.start : place.end]
    assert said == "The notice period is three months to the end of a quarter."
    (exact,) = check_sentence("the notice period is three months", [given_]).places
    assert HANDBOOK[exact.start : exact.end] == "The notice period is three months"


def test_citations_are_exact_places_in_their_documents_and_named_once() -> None:
    first, second = passage(HANDBOOK, 1, start=500), passage(CHINESE, 2, start=7)
    text = "The notice period is three months [1]. 通知期为三个月。[2] Overtime is not paid.[1]"
    sentences, citations = link_citations(text, [first, second])
    assert [s.status for s in sentences] == ["quoted", "quoted", "quoted"]
    assert [text[s.start : s.end] for s in sentences] == [
        "The notice period is three months [1].",
        "通知期为三个月。[2]",
        "Overtime is not paid.[1]",
    ]
    assert [(c.number, c.quote, c.path) for c in citations] == [
        (1, "The notice period is three months", "1.md"),
        (2, "通知期为三个月", "2.md"),
        (1, "Overtime is not paid", "1.md"),
    ]
    assert citations[0].start == 500 + HANDBOOK.index("The notice")
    assert citations[1].start == 7 + CHINESE.index("通知期")
    assert [s.citations for s in sentences] == [(0,), (1,), (2,)]


def test_citing_a_passage_that_was_not_given_is_an_error() -> None:
    with pytest.raises(CitationError, match=r"\[3\].*1 to 1"):
        link_citations("It is so [3].", [passage(HANDBOOK)])


def test_withholding_leaves_only_what_is_proved() -> None:
    text = "Well. Overtime is not paid [1]. Parental leave lasts a year [1].\nNotice: 3 months [1]."
    sentences, _ = link_citations(text, [passage(HANDBOOK)])
    assert drop_unsupported(text, sentences) == "Overtime is not paid [1].\nNotice: 3 months [1]."


def test_marks_after_the_full_stop_belong_to_the_sentence_before() -> None:
    text = "One thing. [1][2] Another thing.\n\n- A point [1]\n- Next"
    parts = [text[a:b] for a, b in answer_sentences(text)]
    assert parts == ["One thing. [1][2]", "Another thing.", "- A point [1]", "- Next"]


def test_a_mark_at_the_end_of_a_line_ends_the_sentence() -> None:
    text = "These are the rules: [1] \n\tNo smoking. [2]\n通知期；[1]\n三个月 [2]\nAs [3] for it."
    parts = [text[a:b] for a, b in answer_sentences(text)]
    assert parts == [
        "These are the rules: [1]",
        "No smoking. [2]",
        "通知期；[1]",
        "三个月 [2]",
        "As [3] for it.",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a [9]. b【2】 c［1, 3］ d [1-3] e [7, 2]", "a. b[2] c[1][3] d [1][2][3] e [2]"),
        ("`x[9]` and ```\nb[8]\n``` a [2]", "`x[9]` and ```\nb[8]\n``` a [2]"),
        ("both [1] [9] [3], none [8][9].", "both [1][3], none."),
        ("see [2023] UKSC [1]", "see [2023] UKSC [1]"),
        ("see [passage 2] and [Source 3]", "see [2] and [3]"),
        ("[[9]5] and [[2]]", "[ 5] and [[2]]"),
        ("left [open", "left [open"),
        ("NORMAL NO", "NORMAL NO"),
    ],
)
def test_marks_are_checked_and_written_alike(text: str, shown: str) -> None:
    marks = MarkFilter(3)
    assert marks.feed(text) + marks.close() == shown
    assert all(1 <= m.number <= 3 for m in find_marks(shown))


PIECES = st.lists(
    st.sampled_from(
        ["[", "]", "1", "2", "9", " ", "`", "[9]", "```", "a.", "[1]", "【7】", "NO", " ANSWER"]
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(PIECES, st.integers(1, 4))
def test_filter_shows_the_same_however_the_reply_is_cut(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    whole, parts = MarkFilter(2), MarkFilter(2)
    expected = whole.feed(text) + whole.close()
    shown = [parts.feed(text[i : i + size]) for i in range(0, len(text), size)]
    assert "".join(shown) + parts.close() == expected
    assert (parts.invalid, parts.no_answer) == (whole.invalid, whole.no_answer)
    assert all(1 <= m.number <= 2 for m in find_marks(expected))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab 通知。.3[1]\n“”", max_size=60), st.text(max_size=60))
def test_citation_quotes_exactly_the_span_that_it_names(text: str, document: str) -> None:
    marks = MarkFilter(1)
    shown = (marks.feed(text) + marks.close()).strip()
    _, citations = link_citations(shown, [passage(document, start=10)])
    assert all(c.quote == document[c.start - 10 : c.end - 10] for c in citations)


def test_marks_and_the_space_before_them_can_be_removed() -> None:
    assert without_marks("One [1]. Two[2][3], `x[1]`") == "One. Two, `x[1]`"


@pytest.mark.parametrize(
    ("pieces", "thought", "said"),
    [
        (["<th", "ink>hm", "m</think>", "Yes."], "hmm", "Yes."),
        (["Yes <think>"], "", "Yes <think>"),
        (["<b>Yes"], "", "<b>Yes"),
        (["<think>never closed"], "never closed", ""),
        (["<thi"], "", "<thi"),
    ],
)
def test_leaked_thinking_is_no_part_of_the_reply(
    pieces: list[str], thought: str, said: str
) -> None:
    events: list[ChatEvent] = [*(TextDelta(p) for p in pieces), ChatDone("stop")]
    out = list(without_thinking(events))
    assert "".join(e.text for e in out if isinstance(e, ThinkingDelta)) == thought
    assert "".join(e.text for e in out if isinstance(e, TextDelta)) == said
    assert out[-1] == ChatDone("stop")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. It costs 1,000.50 euros", {"1000.5"}),
        ("in twelve of 007 cases", {"12", "7"}),
        ("共二十五人，一千二百元，二〇一九年", {"25", "1200", "2019"}),
        ("十分重要，一般如此", set()),
        ("十二万米", {"120000"}),
        ("约1.5万人，2,020万户", {"15000", "20200000"}),
        ("zero errors in two runs", {"0", "2"}),
        ("零事故，误差为零，零点开放", {"0"}),
        ("零售店的零件与零食，花草凋零，零下五度", {"-5"}),
        ("共一千零二十", {"1020"}),
        ("出口C2和G11公路", set()),
    ],
)
def test_figures_of_a_statement_are_read(text: str, expected: set[str]) -> None:
    said = AnalysedText(text)
    found = said.once(read_figures)
    values = {value for value, _ in found.stated} | {Fraction(d.year) for d in found.dates}
    assert values == {Fraction(value) for value in expected}
    assert not figures_missing(said, said)


def test_negated_words_are_found_past_function_words() -> None:
    assert AnalysedText("It must not be terminated, and isn't possible").once(find_negations) == [
        ("terminat", "possibl"),
        ("possibl",),
    ]
    assert [terms[0] for terms in AnalysedText("不得解除合同，不仅如此").once(find_negations)] == [
        "得解"
    ]


@pytest.mark.parametrize(
    ("sentence", "evidence", "missing"),
    [
        ("It lasts 3 weeks.", "It lasts three months.", True),
        ("It lasts 3 months.", "Three-month terms, 3 months at most.", False),
        ("In 1990 it began.", "它始于1990年。", False),
        ("面积1万平方米", "面积4万平方米", True),
        ("面积4万平方米", "40,000 square metres", False),
        ("有2个出口", "出口为C2和D1", True),
        ("The run had zero errors.", "The run had two errors.", True),
        ("The run had zero errors.", "The run had 0 errors.", False),
        ("全年零事故。", "全年两起事故。", True),
        ("全年零事故。", "全年事故为0起。", False),
        ("他在零售业工作。", "他从事零售。", False),
    ],
)
def test_a_figure_counts_with_its_unit(sentence: str, evidence: str, missing: bool) -> None:  # noqa: FBT001 -- a table
    assert figures_missing(AnalysedText(sentence), AnalysedText(evidence)) is missing


@pytest.mark.parametrize(
    ("sentence", "evidence", "missing"),
    [
        ("Rollo led them.", "They were led by Rollo.", False),
        ("Charles led them.", "They were led by Rollo.", True),
        ("Koreans sailed.", "Sailors of Korea sailed.", False),
        ("作者是雷蒙·钱德勒。", "雷蒙·钱德勒写了这本书，是作者。", False),
        ("作者是索尔·勒维特。", "雷蒙·钱德勒写了这本书，是作者。", True),
        ("軟體由微軟公司開發。", "软体由微软公司开发。", False),
        ("它用Python编写。", "它用Java编写。", True),
        ("这个问题目前已经解决。", "此事已解决。", False),
    ],
)
def test_a_foreign_name_is_missed(sentence: str, evidence: str, missing: bool) -> None:  # noqa: FBT001 -- a table
    assert names_missing(AnalysedText(sentence), AnalysedText(evidence)) is missing


@pytest.mark.parametrize(
    ("sentence", "evidence", "against"),
    [
        ("Overtime is paid.", "Overtime is not paid.", True),
        ("It is not true that overtime is paid.", "Overtime is paid.", True),
        ("He refused to sign.", "He did not sign.", False),
        ("Staff never pay.", "Staff do not pay.", False),
        ("Prices rose after May.", "Prices rose before May.", True),
        ("Prices rose after May.", "Prices rose after May, not before.", False),
        ("公司并未支付加班费。", "公司支付加班费。", True),
        ("公司不支付加班费。", "公司不予支付加班费。", False),
        ("人口減少了。", "人口增加了。", True),
        ("He was sitting on the right.", "When the others had left he was sitting there.", False),
        ("Smoking is prohibited in the hall.", "Smoking is not allowed in the hall.", False),
        ("Smoking is not allowed.", "Smoking is prohibited.", False),
        ("Smoking is allowed.", "Smoking is prohibited.", True),
        ("More than five members sign.", "No fewer than five members sign.", False),
        ("Prices fell after the war.", "Wages rose, prices fell after the war.", False),
        ("It is a work of embroidery.", "It is not a tapestry but a work of embroidery.", False),
        ("Odo chose the tapestry.", "A famous tapestry, which is not a tapestry, is here.", False),
        ("The answer is yes or no.", "The answer is 1 or 0.", False),
        ("收入不平等。", "市场不完善带来的不平等对资本有影响。", False),
        ("收入平等。", "市场不完善带来的收入不平等。", True),
        ("足球俱乐部设在上海。", "这是已经不存在的足球俱乐部，设在上海。", False),
        ("蒙古人生活贫苦。", "汉人数量不及 生活贫苦的蒙古人。", False),
        ("语言能力不错。", "语言能力很强。", False),
        ("频率不是AM 675。", "频率是AM 675。", True),
        ("Overtime is not paid.", "Overtime is unpaid.", False),
        ("The sweets hold no sugar.", "These are sugar-free sweets.", False),
        ("No smoking in the hall.", "Smoking is prohibited in the hall.", False),
        ("Smoking is prohibited.", "Smoking is not prohibited.", True),
        ("Smoking is not prohibited.", "Smoking is prohibited.", True),
        ("He did not refuse payment.", "He refused payment.", True),
        ("She failed to land there.", "She tried to land there in May, but failed.", False),
        ("She failed to land there.", "She tried to land there and never failed.", True),
        ("It failed to land.", "It landed there, but then failed.", True),
        ("The second failed to land.", "The first failed. The second landed.", True),
        ("The second failed to land.", "The second landed before the first failed.", True),
        ("He refused to sign the act.", "He signed the act, though she refused.", True),
        ("He refused to sign the act.", "He was asked to sign the act, but refused.", False),
        ("A second one failed to land.", "A first one tried to land, but failed.", True),
        ("A first one failed to land.", "A first one tried to land, but failed.", False),
        ("She failed to win.", "She told him to win, but he failed.", True),
        ("It lacks caffeine.", "It holds caffeine, which the other one lacked.", True),
        ("It denied the request.", "It granted the request. The charge was denied.", True),
        ("She failed to land there.", "She tried to swim, landed there and failed.", True),
        ("He refused to pay rent.", "She refused to leave. He had to pay rent.", True),
        ("Payment is made.", "They never refused payment, it is made.", False),
        ("Partners are what they are forbidden to have.", "They cannot have partners.", False),
        ("Bonuses are due and dogs are not.", "Dogs and bonuses are due.", True),
        ("He did pay. Staff work.", "He did. Staff do not work.", True),
        ("The western states had joined.", "Unlike the western states, it never joined.", False),
        (
            "The eastern states had joined.",
            "Unlike the western states, the eastern never joined.",
            True,
        ),
        ("He visited Rome.", "He visited Rome in May, not having visited Spain.", False),
        ("The act is no longer practised.", "The act is not practised.", False),
        ("It does not solely serve guests.", "It serves guests and staff.", False),
        ("To enter a permit is needed.", "Nobody may enter without a permit.", False),
        ("One may enter without a permit.", "Nobody may enter without a permit.", True),
        ("They arrived in 1990.", "They did not arrive until 1990.", False),
        ("They stayed until 1990.", "They did not stay until 1990.", True),
        ("进入须经许可。", "未经许可，不得进入。", False),
        ("未经许可可以进入。", "未经许可，不得进入。", True),
        ("此事没有得到证实。", "此事未经证实。", False),
        ("此事得到证实。", "此事没有得到证实。", True),
        ("化石缺少现代种类的触须。", "化石没有触须。", False),
        ("公司并未拒绝赔偿。", "公司拒绝赔偿。", True),
        ("他不得不支付费用。", "他支付费用。", False),
        ("触须是化石所没有的。", "化石没有触须。", False),
        ("It has at most five rooms.", "It has no more than five rooms.", False),
        ("It has more than five rooms.", "It has no more than five rooms.", True),
        ("It does not have more than five rooms.", "It has more than five rooms.", True),
        ("The fee is certainly due.", "There is no doubt that the fee is due.", False),
        ("The fee is due.", "There is no doubt that the fee is not due.", True),
        ("Staff help guests.", "Staff cannot help guests.", True),
        ("Refunds are not possible.", "Refunds are impossible.", False),
        ("He does not pay.", "He stopped paying.", False),
        ("They did not stop paying.", "They stopped paying.", True),
        ("The law was not abolished.", "Parliament abolished the law.", True),
        ("该船于1912年沉没。", "该船在1912年沉入海底。", False),
        ("该船没有沉没。", "该船沉没。", True),
        ("大不列颠在欧洲。", "英国在欧洲。", False),
        ("军队不得进入该地。", "条约禁止军队进入该地。", False),
        ("军队进入该地。", "条约禁止军队进入该地。", True),
        ("他没有取消会议。", "他取消会议。", True),
    ],
)
def test_the_opposite_is_noticed(sentence: str, evidence: str, against: bool) -> None:  # noqa: FBT001 -- a table
    assert opposed(AnalysedText(sentence), AnalysedText(evidence)) is against


def test_a_name_may_stand_in_the_title_but_a_quotation_may_not() -> None:
    titled = [Evidence("It was founded in 1903.", ("Rome Works", "History of the works"))]
    assert judge("Rome Works was founded in 1903.", titled).status == "supported"
    assert judge("It has a “History of the works” of 1903.", titled).status == "unsupported"


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab Not 不是通知三3.。“”", max_size=40))
def test_a_place_that_was_found_proves_as_much_by_itself(sentence: str) -> None:
    given_ = passage(HANDBOOK + CHINESE)
    found = check_sentence(sentence, [CitedPassage(given_)])
    places = [Evidence(given_.text[p.start : p.end], ("", *given_.heading)) for p in found.places]
    again = judge(sentence, places)
    assert (again.status, again.score) == (found.status, found.score)


def test_clauses_under_one_mark_are_one_statement_and_each_is_proved() -> None:
    said = "押金为三个月租金；逾期每天另收百分之一。"
    text = f"{said}[1]"
    sentences, citations = link_citations(text, [passage(f"{said}验船在码头进行。")])
    assert [(text[s.start : s.end], s.status) for s in sentences] == [(text, "quoted")]
    assert [c.quote for c in citations] == [said[:-1]]
    listed = "- 押金为3个月租金；\n- 逾期每天另收1%。[1] 验船在码头进行；[1] 别无其他。"
    sentences, _ = link_citations(listed, [passage(f"{said}验船在码头进行。")])
    assert [s.status for s in sentences] == ["supported", "quoted", "uncited"]
    wrong = "押金为3个月租金；逾期每天另收2%。[1]"
    sentences, _ = link_citations(wrong, [passage(said)])
    assert [s.status for s in sentences] == ["unsupported"]


def test_a_citation_carries_the_heading_of_its_sentence() -> None:
    text = "## Leave\nThirty days of leave are given.\n\n## Notice\nThree months of notice are due."
    handbook = replace(passage(text), heading=("Handbook",))
    _, citations = link_citations(
        "Three months of notice are due [1]. Thirty days of leave are given [1].", [handbook]
    )
    assert [c.heading for c in citations] == [("Handbook", "Notice"), ("Handbook", "Leave")]
    plain = passage("# install\nThree months of notice are due.")
    assert link_citations("Three months of notice are due [1].", [plain])[1][0].heading == ()


@pytest.mark.parametrize(
    ("sentence", "evidence", "swapped"),
    [
        ("The landlord pays the tenant.", "The tenant pays the landlord every month.", True),
        ("The tenant is paid by the landlord.", "The tenant pays the landlord.", True),
        ("The landlord is paid by the tenant.", "The tenant pays the landlord.", False),
        ("Rollo founded the duchy.", "The duchy was founded by Rollo.", False),
        ("Anna met Otto.", "Otto met Anna.", False),
        ("France and Germany signed it.", "Germany and France signed it.", False),
        ("房东通知租客。", "租客应当通知房东。", True),
        ("租客被房东通知。", "房东通知租客。", False),
        ("房东通知租客。", "房东应当在月底前通知租客。", False),
    ],
)
def test_doer_and_object_the_other_way_round_are_noticed(
    sentence: str,
    evidence: str,
    swapped: bool,  # noqa: FBT001 -- a table
) -> None:
    assert roles_swapped(AnalysedText(sentence), AnalysedText(evidence)) is swapped
