"""Terms for a keyword index: pairs of CJK, folded forms, prefixes."""

from __future__ import annotations

from ragkit.text.analysis import QueryTerm, index_text, query_terms


def test_terms_of_a_question_are_distinct_and_in_order() -> None:
    assert query_terms("合同合同 VPN合 vpn VPN") == [
        QueryTerm(("合同",)),
        QueryTerm(("同合",)),
        QueryTerm(("VPN",)),
        QueryTerm(("合",), is_prefix=True),
        QueryTerm(("vpn",)),
    ]


def test_a_traditional_form_is_searched_for_as_written_too() -> None:
    assert query_terms("東京") == [QueryTerm(("东京", "東京"))]
    assert query_terms("東京の天気を見る")[0] == QueryTerm(("東京",))  # Japanese is not folded


def test_index_text_of_mixed_text_is_pairs_with_the_last_character_alone() -> None:
    assert index_text("plain ascii") == "plain ascii"
    assert index_text("看电影abc字").split() == ["看电", "电影", "影", "abc", "字"]
