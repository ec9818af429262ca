"""Sentences that a passage does not say, though nearly every word of them stands there."""

from __future__ import annotations

import pytest

from ragkit.query.proof.places import CitedPassage
from ragkit.query.proof.support import Evidence, check_sentence, judge
from ragkit.records import Passage

STAY = "Guests may stay in the house for up to thirty days after they have paid the deposit."
LEASE = "The tenant must pay the deposit to the landlord before the first day of May."
CHURCH = "The church was built in 1850 by Hill and the school was built in 1900 by Stone."
STUDY = "Some patients may recover faster because the new drug reduces the fever in most cases."
SIZE = "Lagos is the second largest city of the region and has at least 40 bridges."
BILL = "The repair of the roof cost $250 in 2019."
REPAIRS = "In 2019 the repair of the roof cost more than the repair of the door."
TOLL = "Use of the bridge is free unless a lorry weighs more than 12 tonnes."
ZH_LEASE = "承租人应当在合同生效后三十日内向出租人支付押金。"
ZH_STAY = "部分客人可以在付款之后使用会议室，最多不超过五天。"
ZH_CITY = "该市是全国第二大城市，通常在夏季举行音乐节。"


def _status(sentence: str, evidence: str) -> str:
    return judge(sentence, [Evidence(evidence)]).status


@pytest.mark.parametrize(
    ("sentence", "evidence"),
    [
        # another duty
        ("Guests must stay in the house for up to thirty days after they have paid.", STAY),
        ("The tenant may pay the deposit to the landlord before the first day of May.", LEASE),
        ("The tenant should pay the deposit to the landlord before the first day of May.", LEASE),
        ("承租人可以在合同生效后三十日内向出租人支付押金。", ZH_LEASE),
        ("部分客人必须在付款之后使用会议室，最多不超过五天。", ZH_STAY),
        # another bound
        ("Guests may stay in the house for at least 30 days.", STAY),
        ("Guests may stay in the house for more than thirty days after they have paid.", STAY),
        ("Lagos has at most forty bridges.", SIZE),
        ("Lagos is the second largest city and has forty bridges.", SIZE),
        ("部分客人可以在付款之后使用会议室，至少五天。", ZH_STAY),
        ("The use of the bridge is free unless a lorry weighs less than 12 tonnes.", TOLL),
        # another quantity
        ("All patients may recover faster because the new drug reduces the fever.", STUDY),
        ("Few patients may recover faster because the new drug reduces the fever.", STUDY),
        ("The new drug always reduces the fever.", "The new drug sometimes reduces the fever."),
        ("所有客人可以在付款之后使用会议室。", ZH_STAY),
        ("该市始终在夏季举行音乐节。", ZH_CITY),
        # another time
        ("Guests may stay in the house for up to thirty days before they have paid it.", STAY),
        ("The tenant must pay the deposit to the landlord after the first day of May.", LEASE),
        ("The school will be built in 1900 by Stone.", CHURCH),
        ("部分客人可以在付款之前使用会议室。", ZH_STAY),
        ("承租人应当在合同生效前三十日内向出租人支付押金。", ZH_LEASE),
        # only, and superlatives
        ("Only guests may stay in the house for up to thirty days.", STAY),
        ("Lagos is the largest city of the region.", SIZE),
        ("只有承租人应当在合同生效后三十日内向出租人支付押金。", ZH_LEASE),
        ("该市是全国最大城市。", ZH_CITY),
        # negations
        ("The tenant hardly must pay the deposit to the landlord before the first of May.", LEASE),
        ("The new drug by no means reduces the fever in most cases.", STUDY),
        ("The new drug failed to reduce the fever in most cases.", STUDY),
        ("The tenant declined to pay the deposit to the landlord before May.", LEASE),
        # another one of two
        ("The school was built in 1850.", CHURCH),
        ("The church was built in 1850 by Stone and the school in 1900 by Hill.", CHURCH),
        ("The landlord must pay the deposit to the tenant before the first day of May.", LEASE),
        ("出租人应当在合同生效后三十日内向承租人支付押金。", ZH_LEASE),
        # opposites
        ("Some patients may recover slower because the new drug reduces the fever.", STUDY),
        ("Some patients may recover because the old drug reduces the fever.", STUDY),
        ("该市通常在冬季举行音乐节。", ZH_CITY),
        ("The repair of the roof was incomplete.", "The repair of the roof was complete."),
        # turned round
        (
            "The new drug reduces the fever in most cases because some patients recover faster.",
            STUDY,
        ),
        ("The repair of the door cost more than the repair of the roof.", REPAIRS),
        ("由于生产停止，所以道路关闭。", "因为道路关闭，生产停止。"),
        # limits left out
        ("Use of the bridge is free for everybody.", TOLL),
        ("Use of the bridge is free", TOLL),
        ("Use of the bridge is free if a lorry weighs more than 12 tonnes.", TOLL),
        ("the garden is closed", "It is not true that the garden is closed."),
        ("the match is cancelled", "If it rains, the match is cancelled."),
        ("Some patients recover faster because the new drug reduces the fever.", STUDY),
        # units, currencies, signs
        ("承租人应当在合同生效后三十年内向出租人支付押金。", ZH_LEASE),
        ("The repair of the roof cost €250", BILL),
        ("The difference was large (p < 0.05)", "The difference was large (p > 0.05) in 2019."),
        # lists
        ("They sell apples, figs, and plums.", "They sell apples, pears, and plums."),
    ],
)
def test_what_the_passage_does_not_say_is_unsupported(sentence: str, evidence: str) -> None:
    assert _status(sentence, evidence) == "unsupported"


@pytest.mark.parametrize(
    ("sentence", "evidence"),
    [
        ("Guests can stay in the house for at most 30 days after they have paid.", STAY),
        ("After they have paid the deposit, guests are allowed to stay for up to 30 days.", STAY),
        ("The tenant has to pay the deposit to the landlord before the first of May.", LEASE),
        ("The tenant is required to pay the landlord the deposit before the first of May.", LEASE),
        ("The deposit must be paid to the landlord by the tenant before May.", LEASE),
        ("承租人必须在合同生效后30日内向出租人支付押金。", ZH_LEASE),
        ("承租人应当在合同生效后三十天内支付押金。", ZH_LEASE),
        ("有些客人能够在付款之后使用会议室，不超过5天。", ZH_STAY),
        ("In 1900 the school was built by Stone.", CHURCH),
        ("The school was built in the year 1900.", CHURCH),
        ("According to the study, some patients might recover faster.", STUDY),
        ("The fever is reduced by the new drug in most cases.", STUDY),
        ("Lagos has no fewer than forty bridges.", SIZE),
        ("Lagos is the region's second largest city.", SIZE),
        ("In 2019 the repair of the roof cost 250 dollars.", BILL),
        ("The roof's repair cost more than the repair of the door.", REPAIRS),
        ("Unless a lorry weighs more than 12 tonnes, use of the bridge is free.", TOLL),
        ("该市一般在夏季举行音乐节。", ZH_CITY),
        ("超过百分之七十的客人会取消，即百分之七十以上。", "70%以上的客人会取消。"),
        ("They sell pears, plums and apples.", "They sell apples, pears, and plums."),
        ("It is unclear who paid.", "It is not clear who paid for the roof."),
        ("因为道路关闭，所以生产停止了。", "由于道路关闭，生产停止。"),
        ("The garden is open all day.", "Unless otherwise stated, the garden is open all day."),
        # a kindred word says it, beside one that says the opposite of something else
        ("Sales dropped in 2019.", "Sales fell in 2019, and sales rose in 2021."),
        ("The house is open every day from 9 to 17.", "The house is open daily from 9 to 17."),
        ("Guests may not eat in the hall.", "Nobody may eat in the hall, as guests are told."),
        ("Guests must have a ticket to enter.", "Guests cannot enter without a ticket."),
        ("The course is optional for guests.", "The course is not required for guests."),
        # the same bound in other words
        ("The report must be sent by 15 March.", "The report must be sent no later than 15 March."),
        ("The offer is valid until 31 May.", "The offer is valid up to 31 May."),
        ("Children aged 6 or older can join.", "Children from 6 years of age can join."),
        ("Driving faster than 120 km/h is forbidden.", "Driving above 120 km/h is forbidden."),
        ("The church is 40 m high.", "The tower is 50 m high, taller than the 40 m church."),
        ("会员每年最少缴纳10元。", "这是全省最古老的图书馆之一，会员每年至少缴纳10元。"),
        ("会员每年最少缴纳10元。", "会员每年缴纳不少于10元。"),
    ],
)
def test_what_the_passage_says_in_other_words_is_supported(sentence: str, evidence: str) -> None:
    assert _status(sentence, evidence) in ("supported", "quoted")


@pytest.mark.parametrize(
    ("sentence", "evidence"),
    [
        ("Sales rose in 2019.", "Sales fell in 2019, and the rent went up in 2021."),
        ("会员每年最多缴纳10元会费。", "会员每年至少缴纳10元会费。"),
        ("会员每年缴纳10元会费。", "会员每年至少缴纳10元会费。"),
        ("该市是人口最多的城市。", "该市是人口最多的城市之一。"),
        ("Guests must take the course.", "The course is optional for guests; guests take it."),
        ("the garden is shut", "The \ufb01ve \ufb01les say: the garden is shut if it rains."),
        ("the garden is shut", "If it rains: the hall is open; the garden is shut."),
        ("the garden is shut", "It is not true that the hall is open and the garden is shut."),
        ("The garden is shut.", "The porter believes that the garden is shut."),
        ("A second hall will be opened.", "The city hopes that a second hall will be opened."),
        ("在2025年开设第二家分店", "公司计划在2025年开设第二家分店。"),
    ],
)
def test_what_is_said_likewise_elsewhere_does_not_make_it_true(
    sentence: str, evidence: str
) -> None:
    assert _status(sentence, evidence) == "unsupported"


@pytest.mark.parametrize(
    "evidence",
    [
        "We do not charge for lost cards and the reading room is open all day.",
        "If you lose a book, you pay for it; the reading room is open all day.",
        "The reading room is open all day, not the garden.",
        # a ligature is two letters when it is folded
        "\ufb01\ufb01\ufb01\ufb01\ufb01ve, not. Here the reading room is open all day.",
    ],
)
def test_a_stretch_is_quoted_beside_what_denies_another(evidence: str) -> None:
    assert _status("The reading room is open all day", evidence) == "quoted"


def test_a_stretch_that_its_sentence_limits_is_cited_with_the_whole_sentence() -> None:
    text = f"Hours are posted. {TOLL}"
    one = Passage(1, "d", "/r", "p", "", (), None, 0, len(text), text, "", None, ("c",), 0)
    found = check_sentence("Use of the bridge is free", [CitedPassage(one)])
    assert found.status == "unsupported"
    assert [text[p.start : p.end] for p in found.places] == [TOLL]


def test_a_stretch_that_stands_elsewhere_without_a_limit_is_quoted() -> None:
    text = "If it rains, the match is cancelled. On Monday the match is cancelled."
    assert _status("the match is cancelled", text) == "quoted"
